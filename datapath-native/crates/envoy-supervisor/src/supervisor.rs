//! The loop: what happens goes into the machine, what the machine says is done.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

use crate::admin::Exchange;
use crate::agent::{Agent, report};
use crate::args::Options;
use crate::child::{Child, command_line, ending, spawn, version};
use crate::log::Log;
use crate::machine::{Action, Answer, Event, Machine, Question, Status};
use crate::privileges::drop_to;
use crate::ready::Ready;
use crate::records::Records;
use crate::signals::{Signals, reap, send};
use crate::unix::{Got, read_some};

/// Envoy's admin interface may take that long to answer, ms.
const ADMIN_PATIENCE: u64 = 1_000;

struct Supervisor {
    options: Options,
    version: String,
    began: Instant,
    machine: Machine,
    events: VecDeque<Event>,
    agent: Agent,
    records: Records,
    ready: Ready,
    log: Log,
    child: Option<Child>,
    exchange: Option<Exchange>,
    told: Option<Status>,
    exit: bool,
}

/// Runs until the pod ends.
pub fn run(options: Options) -> Result<(), String> {
    let signals = Signals::watch().map_err(|error| format!("signals can't be watched: {error}"))?;
    raise_file_limit();
    drop_to(options.uid, options.gid)?;
    let version = version(&options)?;
    let mut supervisor = Supervisor::new(options, version);
    let words: Vec<_> = command_line(&supervisor.options)
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    supervisor.log.say(&format!(
        "ready to run Envoy {}: envoy {}",
        supervisor.version,
        words.join(" ")
    ));
    while !supervisor.exit {
        supervisor.turn(&signals);
    }
    Ok(())
}

/// Each connection is two descriptors.
fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: limit lives through both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

impl Supervisor {
    fn new(options: Options, version: String) -> Self {
        Self {
            version,
            began: Instant::now(),
            machine: Machine::new(options.drain_seconds),
            events: VecDeque::new(),
            agent: Agent::new(options.dir.join("supervisor.sock")),
            records: Records::new(options.dir.join("records.sock")),
            ready: Ready::new(options.ready_port),
            log: Log::new(),
            child: None,
            exchange: None,
            told: None,
            exit: false,
            options,
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn admin_socket(&self) -> PathBuf {
        self.options.run_dir.join("admin.sock")
    }

    fn turn(&mut self, signals: &Signals) {
        let now = self.now();
        if self.agent.reach(now) {
            self.told = None;
            self.events.push_back(Event::AgentBack);
        }
        if self.machine.wake_at().is_some_and(|at| at <= now) {
            self.events.push_back(Event::Tick);
        }
        self.settle();
        self.records.forward(now);
        if self.exit {
            return;
        }
        let woken = self.wait(signals);
        self.serve(signals, &woken);
        self.settle();
    }

    /// Hands over all that happened and does what is to be done, until nothing is left.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.events.pop_front() {
                for action in self.machine.handle(event, self.now()) {
                    self.act(action);
                }
            }
            self.tell();
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Spawn => {
                let event = match spawn(&self.options) {
                    Ok(child) => {
                        let pid = child.pid;
                        self.child = Some(child);
                        Event::Spawned(pid)
                    }
                    Err(error) => Event::SpawnFailed(format!(
                        "{} can't be started: {error}",
                        self.options.envoy.display()
                    )),
                };
                self.events.push_back(event);
            }
            Action::Stop => self.signal(libc::SIGTERM),
            Action::Kill => self.signal(libc::SIGKILL),
            Action::Ask(question) => self.ask(question),
            Action::Exit => self.exit = true,
        }
    }

    fn signal(&self, signal: libc::c_int) {
        if let Some(child) = &self.child {
            send(child.pid, signal);
        }
    }

    fn ask(&mut self, question: Question) {
        match Exchange::begin(&self.admin_socket(), question, self.now() + ADMIN_PATIENCE) {
            Ok(exchange) => self.exchange = Some(exchange),
            Err(_) => self.events.push_back(Event::Answer(Answer::None)),
        }
    }

    /// Says what changed: to the agent, to the log, to kubelet.
    fn tell(&mut self) {
        if let Err(sentence) = self.ready.set(self.machine.ready()) {
            self.log.say(&sentence);
        }
        let status = self.machine.status();
        if self.told.as_ref() == Some(&status) {
            return;
        }
        let line = report(&self.options.node_id, &self.version, &status);
        self.log.say(line.trim_end());
        self.told = Some(status);
        if let Err(sentence) = self.agent.send(&line, self.now()) {
            self.lost_agent(&sentence);
        }
    }

    fn lost_agent(&mut self, sentence: &str) {
        self.log.say(sentence);
        self.events.push_back(Event::AgentGone);
    }

    /// Descriptors on which something happened.
    fn wait(&self, signals: &Signals) -> Vec<(RawFd, i16)> {
        let mut fds = vec![on(signals.fd(), libc::POLLIN)];
        let out = |wanted: bool| libc::POLLIN | if wanted { libc::POLLOUT } else { 0 };
        fds.extend(
            self.agent
                .fd()
                .map(|fd| on(fd, out(self.agent.wants_to_write()))),
        );
        fds.extend(
            self.records
                .fd()
                .map(|fd| on(fd, out(self.records.wants_to_write()))),
        );
        fds.extend(self.ready.fd().map(|fd| on(fd, libc::POLLIN)));
        if let Some(exchange) = &self.exchange {
            fds.push(on(exchange.fd(), out(exchange.wants_to_write())));
        }
        if let Some(child) = &self.child {
            let pipes = [&child.stdout, &child.stderr].into_iter().flatten();
            fds.extend(pipes.map(|pipe| on(pipe.as_raw_fd(), libc::POLLIN)));
        }
        let wakes = [
            self.machine.wake_at(),
            self.agent.wake_at(),
            self.records.wake_at(),
            self.exchange.as_ref().map(|exchange| exchange.deadline),
        ];
        let timeout = match wakes.into_iter().flatten().min() {
            Some(at) => at.saturating_sub(self.now()).min(60_000) as libc::c_int,
            None => -1,
        };
        // SAFETY: the array lives through the call and has that many entries.
        unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        fds.iter()
            .filter(|one| one.revents != 0)
            .map(|one| (one.fd, one.revents))
            .collect()
    }

    fn serve(&mut self, signals: &Signals, woken: &[(RawFd, i16)]) {
        let now = self.now();
        let is = |fd: Option<RawFd>| woken.iter().any(|(one, _)| Some(*one) == fd);
        // Records first: a burst before a death is still read.
        if is(self.pipe(|child| &child.stdout)) {
            self.read_records();
        }
        if is(self.pipe(|child| &child.stderr)) {
            self.read_log(now);
        }
        if is(self.records.fd()) {
            self.serve_records(now);
        }
        if is(self.ready.fd()) {
            self.ready.accept();
        }
        if is(self.agent.fd()) {
            self.serve_agent(now);
        }
        self.serve_admin(now, is(self.exchange.as_ref().map(Exchange::fd)));
        if is(Some(signals.fd())) {
            self.serve_signals(signals, now);
        }
    }

    fn pipe(&self, which: impl Fn(&Child) -> &Option<File>) -> Option<RawFd> {
        which(self.child.as_ref()?).as_ref().map(AsRawFd::as_raw_fd)
    }

    /// One read a turn, so that nothing else waits for a flood; 64 KiB is what a pipe holds.
    fn read_records(&mut self) {
        let mut buffer = [0; 64 * 1024];
        let count = read_once(
            self.child.as_mut().map(|child| &mut child.stdout),
            &mut buffer,
        );
        self.records.backlog.push(&buffer[..count]);
    }

    fn read_log(&mut self, now: u64) {
        let mut buffer = [0; 16 * 1024];
        let count = read_once(
            self.child.as_mut().map(|child| &mut child.stderr),
            &mut buffer,
        );
        self.log.pass(&buffer[..count], now);
    }

    /// The agent has nothing to say here: what can be read is the end.
    fn serve_records(&mut self, now: u64) {
        if self.records.is_closed() {
            self.records.hang_up(now);
        }
        self.records.forward(now);
    }

    fn serve_agent(&mut self, now: u64) {
        let received = self.agent.flush(now).and_then(|()| self.agent.receive(now));
        match received {
            Ok(events) => self.events.extend(events),
            Err(sentence) => self.lost_agent(&sentence),
        }
    }

    fn serve_admin(&mut self, now: u64, woken: bool) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        let late = now >= exchange.deadline;
        let answer = if woken { exchange.proceed() } else { None };
        if let Some(answer) = answer.or(late.then_some(Answer::None)) {
            self.exchange = None;
            self.events.push_back(Event::Answer(answer));
        }
    }

    fn serve_signals(&mut self, signals: &Signals, now: u64) {
        for signal in signals.take() {
            match signal {
                libc::SIGTERM | libc::SIGINT => self.events.push_back(Event::Terminate),
                libc::SIGHUP | libc::SIGUSR1 => self.signal(signal),
                _ => {}
            }
        }
        for (pid, status) in reap() {
            let Some(child) = self.child.take_if(|child| child.pid == pid) else {
                continue;
            };
            self.exchange = None;
            self.read_rest(child, now);
            let last = std::mem::take(&mut self.log.last);
            self.events.push_back(Event::Exited(ending(status, &last)));
        }
    }

    /// What a dead Envoy left in its pipes.
    fn read_rest(&mut self, mut child: Child, now: u64) {
        drain(&mut child.stdout, |bytes| self.records.backlog.push(bytes));
        self.records.backlog.end_of_stream();
        drain(&mut child.stderr, |bytes| self.log.pass(bytes, now));
        self.log.end_of_stream(now);
    }
}

/// Bytes read; a pipe at its end is closed, or poll would never wait again.
fn read_once(from: Option<&mut Option<File>>, buffer: &mut [u8]) -> usize {
    let Some(pipe) = from else { return 0 };
    match pipe.as_mut().map(|file| read_some(file, buffer)) {
        Some(Got::Bytes(count)) => count,
        Some(Got::End) => {
            *pipe = None;
            0
        }
        Some(Got::Nothing) | None => 0,
    }
}

fn drain(from: &mut Option<File>, mut take: impl FnMut(&[u8])) {
    let Some(from) = from else { return };
    let mut buffer = [0; 16 * 1024];
    while let Got::Bytes(count) = read_some(from, &mut buffer) {
        take(&buffer[..count]);
    }
}

fn on(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}
