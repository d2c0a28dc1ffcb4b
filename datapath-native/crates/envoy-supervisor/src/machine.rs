//! What to do with Envoy when something happens: pure, times are milliseconds of one clock.

use serde::Serialize;

/// Between a death and the restart after it: the first at once, then 100 ms doubling to 5 s.
const FIRST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 5_000;
/// Whoever has lived that long begins anew with restarts at once.
const LONG_LIFE: u64 = 30_000;
/// How often a starting Envoy is asked whether it is live, in its first second and later.
const START_POLL: u64 = 10;
const SLOW_POLL: u64 = 100;
/// How often a running one is asked, and how many answers in a row may be missing.
const HEALTH_POLL: u64 = 2_000;
const MOST_MISSES: u32 = 3;
const DRAIN_POLL: u64 = 250;
/// How long the agent may take to point new connections elsewhere.
const RETIRE_WAIT: u64 = 2_000;
/// From SIGTERM to SIGKILL.
const KILL_WAIT: u64 = 5_000;
/// A start that takes longer is told as an error.
const SLOW_START: u64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Ready,
    FailHealthCheck,
    DrainListeners,
    Connections,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Live, said or confirmed.
    Yes,
    /// It answered, and not with that.
    No,
    /// Downstream connections.
    Count(u64),
    /// No answer.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    AgentBack,
    AgentGone,
    Order(bool),
    /// New connections go elsewhere now.
    Retired,
    Spawned(u32),
    /// A sentence.
    SpawnFailed(String),
    /// How it ended, a sentence.
    Exited(String),
    Answer(Answer),
    /// The pod is to end.
    Terminate,
    /// Time has passed.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Spawn,
    /// SIGTERM to Envoy.
    Stop,
    /// SIGKILL to Envoy.
    Kill,
    /// Of one Envoy one question is asked at a time.
    Ask(Question),
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Idle,
    Starting,
    Running,
    Draining,
    Stopped,
}

/// What the agent is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    pub restarts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    /// Before a restart.
    Pausing {
        until: u64,
    },
    Starting {
        since: u64,
        ask_at: u64,
    },
    Running {
        since: u64,
        ask_at: u64,
        misses: u32,
    },
    /// Not wanted any more; serves the connections that are left. Nothing in Envoy is changed: it may be wanted again.
    Leaving {
        since: u64,
        until: u64,
        ask_at: u64,
    },
    /// The pod ends: the agent has been told.
    Announced {
        until: u64,
    },
    Draining {
        next: Option<Question>,
        ask_at: u64,
        quiet: bool,
    },
    /// SIGTERM was sent.
    Ending {
        kill_at: u64,
        killed: bool,
    },
    Stopped,
}

#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// The agent's last word; none yet in a fresh pod.
    order: Option<bool>,
    agent: bool,
    /// When the pod was told to end.
    terminated: Option<u64>,
    pid: Option<u32>,
    /// The question that is under way.
    asking: Option<Question>,
    restarts: u32,
    /// Short lives in a row.
    failures: u32,
    error: Option<String>,
    /// The longest that connections are waited for, ms.
    patience: u64,
}

impl Machine {
    pub fn new(drain_seconds: u32) -> Self {
        Self {
            phase: Phase::Idle,
            order: None,
            agent: false,
            terminated: None,
            pid: None,
            asking: None,
            restarts: 0,
            failures: 0,
            error: None,
            patience: u64::from(drain_seconds) * 1000,
        }
    }

    pub fn status(&self) -> Status {
        let state = match self.phase {
            Phase::Idle => State::Idle,
            Phase::Pausing { .. } | Phase::Starting { .. } => State::Starting,
            Phase::Running { .. } | Phase::Leaving { .. } => State::Running,
            Phase::Announced { .. } | Phase::Draining { .. } | Phase::Ending { .. } => {
                State::Draining
            }
            Phase::Stopped => State::Stopped,
        };
        Status {
            state,
            pid: self.pid,
            restarts: self.restarts,
            error: self.error.clone(),
        }
    }

    /// Whether it does what the agent last said.
    pub fn ready(&self) -> bool {
        match (self.terminated, self.order) {
            (Some(_), _) | (_, None) => false,
            (_, Some(true)) => {
                matches!(self.phase, Phase::Running { misses, .. } if misses < MOST_MISSES)
            }
            (_, Some(false)) => true,
        }
    }

    /// When the next Tick has something to do.
    pub fn wake_at(&self) -> Option<u64> {
        let ask = |at: u64| if self.asking.is_some() { u64::MAX } else { at };
        let at = match self.phase {
            Phase::Idle | Phase::Stopped => u64::MAX,
            Phase::Pausing { until } | Phase::Announced { until } => until,
            Phase::Starting { ask_at, .. } | Phase::Running { ask_at, .. } => ask(ask_at),
            Phase::Leaving { until, ask_at, .. } => until.min(ask(ask_at)),
            Phase::Draining { ask_at, .. } => self.drained_by().min(ask(ask_at)),
            Phase::Ending { killed: true, .. } => u64::MAX,
            Phase::Ending { kill_at, .. } => kill_at,
        };
        (at != u64::MAX).then_some(at)
    }

    pub fn handle(&mut self, event: Event, now: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::AgentBack => self.agent = true,
            Event::AgentGone => {
                self.agent = false;
                if matches!(self.phase, Phase::Announced { .. }) {
                    self.drain(now);
                }
            }
            Event::Order(run) => {
                self.order = Some(run);
                if self.terminated.is_none() {
                    self.obey(run, now, &mut actions);
                }
            }
            Event::Retired => {
                if matches!(self.phase, Phase::Announced { .. }) {
                    self.drain(now);
                }
            }
            Event::Spawned(pid) => self.pid = Some(pid),
            Event::SpawnFailed(sentence) | Event::Exited(sentence) => {
                self.gone(sentence, now, &mut actions)
            }
            Event::Answer(answer) => {
                if let Some(question) = self.asking.take() {
                    self.answered(question, &answer, now, &mut actions);
                }
            }
            Event::Terminate => self.terminate(now, &mut actions),
            Event::Tick => {}
        }
        self.advance(now, &mut actions);
        actions
    }

    fn obey(&mut self, run: bool, now: u64, actions: &mut Vec<Action>) {
        match (run, &self.phase) {
            (true, Phase::Idle) => self.spawn(now, actions),
            (true, &Phase::Leaving { since, .. }) => {
                self.phase = Phase::Running {
                    since,
                    ask_at: now,
                    misses: 0,
                };
            }
            (false, Phase::Pausing { .. }) => {
                self.error = None;
                self.failures = 0;
                self.phase = Phase::Idle;
            }
            (false, Phase::Starting { .. }) => self.stop(now, actions),
            (false, &Phase::Running { since, .. }) => {
                self.phase = Phase::Leaving {
                    since,
                    until: now + self.patience,
                    ask_at: now,
                };
            }
            _ => {}
        }
    }

    fn spawn(&mut self, now: u64, actions: &mut Vec<Action>) {
        self.asking = None;
        self.phase = Phase::Starting {
            since: now,
            ask_at: now + START_POLL,
        };
        actions.push(Action::Spawn);
    }

    fn stop(&mut self, now: u64, actions: &mut Vec<Action>) {
        self.phase = Phase::Ending {
            kill_at: now + KILL_WAIT,
            killed: false,
        };
        actions.push(Action::Stop);
    }

    fn drain(&mut self, now: u64) {
        self.phase = Phase::Draining {
            next: Some(Question::FailHealthCheck),
            ask_at: now,
            quiet: false,
        };
    }

    fn drained_by(&self) -> u64 {
        self.terminated.unwrap_or(0) + self.patience
    }

    fn gone(&mut self, sentence: String, now: u64, actions: &mut Vec<Action>) {
        self.pid = None;
        self.asking = None;
        if self.terminated.is_some() {
            self.phase = Phase::Stopped;
            actions.push(Action::Exit);
            return;
        }
        let life = match self.phase {
            Phase::Starting { since, .. } | Phase::Running { since, .. } => {
                now.saturating_sub(since)
            }
            // It was told to end.
            _ => {
                self.error = None;
                self.failures = 0;
                self.phase = Phase::Idle;
                if self.order == Some(true) {
                    self.spawn(now, actions);
                }
                return;
            }
        };
        self.error = Some(sentence);
        self.failures = if life >= LONG_LIFE {
            1
        } else {
            self.failures + 1
        };
        self.phase = Phase::Pausing {
            until: now + pause(self.failures),
        };
    }

    fn terminate(&mut self, now: u64, actions: &mut Vec<Action>) {
        let again = self.terminated.is_some();
        self.terminated.get_or_insert(now);
        match self.phase {
            Phase::Idle | Phase::Pausing { .. } => {
                self.phase = Phase::Stopped;
                actions.push(Action::Exit);
            }
            Phase::Starting { .. } => self.stop(now, actions),
            Phase::Running { .. } if self.agent => {
                self.phase = Phase::Announced {
                    until: now + RETIRE_WAIT,
                }
            }
            Phase::Running { .. } | Phase::Leaving { .. } => self.drain(now),
            // Told twice: no more patience.
            Phase::Announced { .. } | Phase::Draining { .. } if again => self.stop(now, actions),
            _ => {}
        }
    }

    /// An answer to a question of an earlier phase changes nothing: what this phase asks is asked next.
    fn answered(
        &mut self,
        question: Question,
        answer: &Answer,
        now: u64,
        actions: &mut Vec<Action>,
    ) {
        match (&mut self.phase, question) {
            (Phase::Starting { since, ask_at }, Question::Ready) => {
                let age = now.saturating_sub(*since);
                if *answer == Answer::Yes {
                    self.error = None;
                    self.phase = Phase::Running {
                        since: *since,
                        ask_at: now + HEALTH_POLL,
                        misses: 0,
                    };
                    return;
                }
                *ask_at = now + if age < 1_000 { START_POLL } else { SLOW_POLL };
                if age >= SLOW_START {
                    self.error = Some(format!(
                        "Envoy was started {} s ago and is not live yet",
                        SLOW_START / 1000
                    ));
                }
            }
            (Phase::Running { ask_at, misses, .. }, Question::Ready) => {
                *ask_at = now + HEALTH_POLL;
                *misses = if *answer == Answer::Yes {
                    0
                } else {
                    misses.saturating_add(1)
                };
                let silent = *misses >= MOST_MISSES;
                self.error = silent.then(|| {
                    "Envoy runs and its admin interface does not say that it is live".to_owned()
                });
            }
            (Phase::Leaving { ask_at, .. }, Question::Connections) => {
                *ask_at = now + DRAIN_POLL;
                if *answer == Answer::Count(0) {
                    self.stop(now, actions);
                }
            }
            (Phase::Draining { next, .. }, Question::FailHealthCheck) => {
                *next = Some(Question::DrainListeners)
            }
            (Phase::Draining { next, .. }, Question::DrainListeners) => *next = None,
            (Phase::Draining { ask_at, quiet, .. }, Question::Connections) => {
                let none = *answer == Answer::Count(0);
                // Twice, because a connection may have been under way.
                if none && *quiet {
                    self.stop(now, actions);
                } else {
                    *quiet = none;
                    *ask_at = now + DRAIN_POLL;
                }
            }
            _ => {}
        }
    }

    /// What the time alone brings about.
    fn advance(&mut self, now: u64, actions: &mut Vec<Action>) {
        let limit = self.drained_by();
        let question = match &mut self.phase {
            Phase::Pausing { until } if now >= *until => {
                self.restarts = self.restarts.saturating_add(1);
                self.spawn(now, actions);
                return;
            }
            Phase::Announced { until } if now >= *until => {
                self.drain(now);
                Question::FailHealthCheck
            }
            Phase::Leaving { until, .. } if now >= *until => return self.stop(now, actions),
            Phase::Draining { .. } if now >= limit => return self.stop(now, actions),
            Phase::Ending { kill_at, killed } if now >= *kill_at && !*killed => {
                *killed = true;
                return actions.push(Action::Kill);
            }
            Phase::Starting { ask_at, .. } | Phase::Running { ask_at, .. } if now >= *ask_at => {
                Question::Ready
            }
            Phase::Leaving { ask_at, .. } if now >= *ask_at => Question::Connections,
            Phase::Draining { next, ask_at, .. } if now >= *ask_at => {
                next.unwrap_or(Question::Connections)
            }
            _ => return,
        };
        if self.asking.is_none() {
            self.asking = Some(question);
            actions.push(Action::Ask(question));
        }
    }
}

fn pause(failures: u32) -> u64 {
    match failures {
        0 | 1 => 0,
        n => (FIRST_PAUSE << (n - 2).min(16)).min(LONGEST_PAUSE),
    }
}
