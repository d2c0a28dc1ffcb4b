//! The machine in the order in which things happen to it.

use crate::machine::{Action, Answer, Event, Machine, Question, State};

struct Bench {
    machine: Machine,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            machine: Machine::new(50),
            now: 0,
        }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.machine.handle(event, self.now)
    }

    fn after(&mut self, ms: u64, event: Event) -> Vec<Action> {
        self.now += ms;
        self.on(event)
    }

    fn state(&self) -> State {
        self.machine.status().state
    }

    /// From a fresh pod to a live Envoy.
    fn running() -> Self {
        let mut bench = Self::new();
        bench.on(Event::AgentBack);
        assert_eq!(bench.on(Event::Order(true)), [Action::Spawn]);
        bench.on(Event::Spawned(7));
        assert_eq!(bench.after(10, Event::Tick), [Action::Ask(Question::Ready)]);
        assert_eq!(bench.on(Event::Answer(Answer::Yes)), []);
        assert_eq!(
            (bench.state(), bench.machine.ready()),
            (State::Running, true)
        );
        bench
    }

    fn dies(&mut self) -> Vec<Action> {
        self.on(Event::Exited("it died".to_owned()))
    }
}

#[test]
fn a_fresh_pod_waits_for_its_first_order_and_is_not_ready() {
    let mut bench = Bench::new();
    assert_eq!(bench.after(60_000, Event::Tick), []);
    assert_eq!(
        (
            bench.state(),
            bench.machine.ready(),
            bench.machine.wake_at()
        ),
        (State::Idle, false, None)
    );
    bench.on(Event::AgentBack);
    assert!(!bench.machine.ready());
    assert_eq!(bench.on(Event::Order(false)), []);
    assert!(bench.machine.ready());
}

#[test]
fn a_starting_envoy_is_asked_until_it_is_live() {
    let mut bench = Bench::new();
    bench.on(Event::Order(true));
    bench.on(Event::Spawned(7));
    for _ in 0..3 {
        assert_eq!(bench.after(10, Event::Tick), [Action::Ask(Question::Ready)]);
        assert_eq!(bench.after(1, Event::Tick), []);
        assert_eq!(bench.on(Event::Answer(Answer::No)), []);
        assert!(!bench.machine.ready());
    }
    bench.after(10, Event::Tick);
    bench.on(Event::Answer(Answer::Yes));
    assert_eq!(
        (bench.state(), bench.machine.status().pid),
        (State::Running, Some(7))
    );
}

#[test]
fn what_dies_is_started_again_at_once_then_later_and_later() {
    let mut bench = Bench::running();
    assert_eq!(bench.dies(), [Action::Spawn]);
    let status = bench.machine.status();
    assert_eq!(
        (status.restarts, status.error.as_deref(), status.pid),
        (1, Some("it died"), None)
    );
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(bench.dies(), []);
        let at = bench.machine.wake_at().expect("a restart");
        pauses.push(at - bench.now);
        assert_eq!(bench.after(at - bench.now - 1, Event::Tick), []);
        assert_eq!(bench.after(1, Event::Tick), [Action::Spawn]);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    // A long life makes up for it.
    bench.now += 30_000;
    assert_eq!(bench.dies(), [Action::Spawn]);
}

#[test]
fn the_agents_absence_changes_nothing() {
    let mut bench = Bench::running();
    assert_eq!(bench.on(Event::AgentGone), []);
    assert!(bench.machine.ready());
    assert_eq!(bench.dies(), [Action::Spawn]);
}

#[test]
fn no_longer_wanted_it_serves_what_is_left_and_can_be_wanted_again() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.on(Event::Order(false)),
        [Action::Ask(Question::Connections)]
    );
    assert_eq!(bench.on(Event::Answer(Answer::Count(3))), []);
    assert_eq!(
        (bench.state(), bench.machine.ready()),
        (State::Running, true)
    );
    assert_eq!(bench.on(Event::Order(true)), [Action::Ask(Question::Ready)]);
    bench.on(Event::Answer(Answer::Yes));
    bench.on(Event::Order(false));
    assert_eq!(bench.on(Event::Answer(Answer::Count(0))), [Action::Stop]);
    assert_eq!(bench.dies(), []);
    assert_eq!(
        (bench.state(), bench.machine.status().restarts),
        (State::Idle, 0)
    );
}

#[test]
fn connections_are_waited_for_a_limited_time_and_then_the_process() {
    let mut bench = Bench::running();
    bench.on(Event::Order(false));
    assert_eq!(bench.after(50_000, Event::Tick), [Action::Stop]);
    assert_eq!(bench.after(4_999, Event::Tick), []);
    assert_eq!(bench.after(1, Event::Tick), [Action::Kill]);
    assert_eq!(bench.machine.wake_at(), None);
}

#[test]
fn wanted_again_while_it_ends_it_is_started_when_it_has_ended() {
    let mut bench = Bench::running();
    bench.on(Event::Order(false));
    bench.on(Event::Answer(Answer::Count(0)));
    assert_eq!(bench.on(Event::Order(true)), []);
    assert!(!bench.machine.ready());
    assert_eq!(bench.dies(), [Action::Spawn]);
}

/// Answers as an Envoy with that many connections, for each time it is asked; ends with what is not a question.
fn drain(bench: &mut Bench, connections: &[u64]) -> (Vec<Question>, Vec<Action>) {
    let mut asked = Vec::new();
    let mut counts = connections.iter();
    let mut actions = bench.on(Event::Tick);
    loop {
        match actions.as_slice() {
            [Action::Ask(question)] => {
                asked.push(*question);
                let answer = match question {
                    Question::Connections => {
                        Answer::Count(*counts.next().expect("asked too often"))
                    }
                    _ => Answer::Yes,
                };
                actions = bench.on(Event::Answer(answer));
            }
            [] => {
                let at = bench.machine.wake_at().expect("more to come");
                actions = bench.after(at - bench.now, Event::Tick);
            }
            _ => return (asked, actions),
        }
    }
}

#[test]
fn a_pod_that_ends_tells_the_agent_drains_and_exits() {
    let mut bench = Bench::running();
    assert_eq!(bench.on(Event::Terminate), []);
    assert_eq!(
        (bench.state(), bench.machine.ready()),
        (State::Draining, false)
    );
    assert_eq!(
        bench.after(100, Event::Retired),
        [Action::Ask(Question::FailHealthCheck)]
    );
    assert_eq!(
        bench.on(Event::Answer(Answer::Yes)),
        [Action::Ask(Question::DrainListeners)]
    );
    let began = bench.now;
    let next = bench.on(Event::Answer(Answer::Yes));
    assert_eq!(next, [Action::Ask(Question::Connections)]);
    bench.on(Event::Answer(Answer::Count(0)));
    // A connection was under way: one quiet answer is not enough.
    let (_, last) = drain(&mut bench, &[1, 0, 0]);
    assert_eq!(last, [Action::Stop]);
    assert_eq!(bench.now - began, 750);
    assert_eq!(bench.dies(), [Action::Exit]);
    assert_eq!(bench.state(), State::Stopped);
}

#[test]
fn an_agent_that_does_not_answer_or_is_away_is_not_waited_for() {
    let mut bench = Bench::running();
    bench.on(Event::Terminate);
    assert_eq!(bench.after(1_999, Event::Tick), []);
    assert_eq!(
        bench.after(1, Event::Tick),
        [Action::Ask(Question::FailHealthCheck)]
    );

    let mut bench = Bench::running();
    bench.on(Event::Terminate);
    assert_eq!(
        bench.on(Event::AgentGone),
        [Action::Ask(Question::FailHealthCheck)]
    );

    let mut bench = Bench::running();
    bench.on(Event::AgentGone);
    assert_eq!(
        bench.on(Event::Terminate),
        [Action::Ask(Question::FailHealthCheck)]
    );
}

#[test]
fn an_answer_to_an_earlier_question_skips_no_step_of_draining() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.after(2_000, Event::Tick),
        [Action::Ask(Question::Ready)]
    );
    bench.on(Event::Terminate);
    assert_eq!(bench.on(Event::Retired), []);
    assert_eq!(
        bench.on(Event::Answer(Answer::Yes)),
        [Action::Ask(Question::FailHealthCheck)]
    );
}

#[test]
fn a_mute_admin_interface_ends_with_the_deadline() {
    let mut bench = Bench::running();
    bench.on(Event::AgentGone);
    let mut actions = bench.on(Event::Terminate);
    let began = bench.now;
    while actions != [Action::Stop] {
        if let [Action::Ask(_)] = actions.as_slice() {
            actions = bench.after(1_000, Event::Answer(Answer::None));
        } else {
            actions = bench.after(50, Event::Tick);
        }
        assert!(bench.now - began <= 51_000);
    }
    assert!(bench.now - began >= 50_000);
}

#[test]
fn told_twice_it_waits_no_more_and_without_envoy_it_exits_at_once() {
    let mut bench = Bench::running();
    bench.on(Event::Terminate);
    assert_eq!(bench.on(Event::Terminate), [Action::Stop]);

    assert_eq!(Bench::new().on(Event::Terminate), [Action::Exit]);

    let mut bench = Bench::running();
    bench.dies();
    bench.dies();
    assert_eq!(bench.on(Event::Terminate), [Action::Exit]);

    let mut bench = Bench::running();
    bench.on(Event::Terminate);
    assert_eq!(bench.dies(), [Action::Exit]);
    assert_eq!(bench.on(Event::Order(true)), []);
}

#[test]
fn an_envoy_that_does_not_answer_is_not_ready_and_says_so() {
    let mut bench = Bench::running();
    for _ in 0..3 {
        assert!(bench.machine.ready());
        assert_eq!(
            bench.after(2_000, Event::Tick),
            [Action::Ask(Question::Ready)]
        );
        bench.on(Event::Answer(Answer::None));
    }
    assert!(!bench.machine.ready());
    assert!(bench.machine.status().error.is_some());
    bench.after(2_000, Event::Tick);
    bench.on(Event::Answer(Answer::Yes));
    assert!(bench.machine.ready());
    assert_eq!(bench.machine.status().error, None);
}

#[test]
fn a_program_that_can_not_be_started_is_tried_again_and_told() {
    let mut bench = Bench::new();
    bench.on(Event::Order(true));
    assert_eq!(
        bench.on(Event::SpawnFailed("no such file".to_owned())),
        [Action::Spawn]
    );
    assert_eq!(bench.on(Event::SpawnFailed("no such file".to_owned())), []);
    assert_eq!(
        (bench.state(), bench.machine.ready()),
        (State::Starting, false)
    );
    assert_eq!(
        bench.machine.status().error.as_deref(),
        Some("no such file")
    );
    bench.on(Event::Order(false));
    assert_eq!(
        (bench.state(), bench.machine.status().error),
        (State::Idle, None)
    );
}
