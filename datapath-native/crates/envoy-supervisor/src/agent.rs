//! The agent's socket: JSON lines both ways, for ever connected anew.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::machine::{Event, Status};
use crate::unix::{Got, connect, read_some};

const LONGEST_LINE: usize = 64 * 1024;
/// Status lines that nobody reads.
const MOST_UNSENT: usize = 64 * 1024;

/// 100 ms doubling to 1 s.
#[derive(Debug, Default)]
pub struct Retry {
    pub at: u64,
    pause: u64,
}

impl Retry {
    pub fn failed(&mut self, now: u64) {
        self.pause = if self.pause == 0 {
            100
        } else {
            (self.pause * 2).min(1_000)
        };
        self.at = now + self.pause;
    }

    pub fn succeeded(&mut self) {
        self.pause = 0;
    }
}

#[derive(Deserialize)]
struct Message {
    run: Option<bool>,
    retired: Option<bool>,
}

#[derive(Serialize)]
struct Report<'a> {
    pod: &'a str,
    envoy: &'a str,
    #[serde(flatten)]
    status: &'a Status,
}

pub fn report(pod: &str, envoy: &str, status: &Status) -> String {
    serde_json::to_string(&Report { pod, envoy, status }).unwrap_or_default() + "\n"
}

/// What a line of the agent asks for; fields that are not known are left alone.
fn events_of(line: &[u8]) -> Result<Vec<Event>, String> {
    let message: Message = serde_json::from_slice(line).map_err(|error| {
        format!(
            "the agent sent a line that can't be read ({error}): {}",
            String::from_utf8_lossy(&line[..line.len().min(200)])
        )
    })?;
    let order = message.run.map(Event::Order);
    let retired = message.retired.filter(|&yes| yes).map(|_| Event::Retired);
    Ok(order.into_iter().chain(retired).collect())
}

pub struct Agent {
    path: PathBuf,
    stream: Option<UnixStream>,
    retry: Retry,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Agent {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            stream: None,
            retry: Retry::default(),
            unsent: Vec::new(),
            received: Vec::new(),
        }
    }

    pub fn fd(&self) -> Option<RawFd> {
        self.stream.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub fn wants_to_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// When to try again.
    pub fn wake_at(&self) -> Option<u64> {
        self.stream.is_none().then_some(self.retry.at)
    }

    /// Connects when it is time. True if the agent is back.
    pub fn reach(&mut self, now: u64) -> bool {
        if self.stream.is_some() || now < self.retry.at {
            return false;
        }
        match connect(&self.path) {
            Ok(stream) => self.stream = Some(stream),
            Err(_) => self.retry.failed(now),
        }
        self.stream.is_some()
    }

    pub fn send(&mut self, line: &str, now: u64) -> Result<(), String> {
        if self.stream.is_none() {
            return Ok(());
        }
        self.unsent.extend_from_slice(line.as_bytes());
        self.flush(now)
    }

    /// An error is a connection that is given up.
    pub fn flush(&mut self, now: u64) -> Result<(), String> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while !self.unsent.is_empty() {
            match stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && self.unsent.len() <= MOST_UNSENT =>
                {
                    break;
                }
                Err(error) => {
                    return Err(self.give_up(now, &format!("the agent does not read: {error}")));
                }
            }
        }
        Ok(())
    }

    pub fn receive(&mut self, now: u64) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        let mut buffer = [0; 4096];
        while let Some(stream) = &mut self.stream {
            match read_some(stream, &mut buffer) {
                Got::Nothing => break,
                Got::End => {
                    let _ = self.give_up(now, "");
                    events.push(Event::AgentGone);
                }
                Got::Bytes(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                        let line: Vec<u8> = self.received.drain(..=end).collect();
                        match events_of(&line) {
                            Ok(some) => events.extend(some),
                            Err(sentence) => return Err(self.give_up(now, &sentence)),
                        }
                    }
                    if self.received.len() > LONGEST_LINE {
                        return Err(self.give_up(now, "the agent sent a line of more than 64 KiB"));
                    }
                }
            }
        }
        if !events.is_empty() {
            self.retry.succeeded();
        }
        Ok(events)
    }

    fn give_up(&mut self, now: u64, sentence: &str) -> String {
        self.stream = None;
        self.unsent.clear();
        self.received.clear();
        self.retry.failed(now);
        sentence.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    #[test]
    fn lines_of_the_agent() {
        assert_eq!(
            events_of(b"{\"run\":true,\"later\":[1]}\n"),
            Ok(vec![Event::Order(true)])
        );
        assert_eq!(events_of(b"{\"retired\":true}\n"), Ok(vec![Event::Retired]));
        assert_eq!(events_of(b"{\"retired\":false}\n"), Ok(vec![]));
        for bad in [
            &b"{\"run\":1}"[..],
            b"[]",
            b"run",
            b"\xff",
            b"{\"run\":true",
        ] {
            assert!(events_of(bad).is_err());
        }
    }

    #[test]
    fn a_report_has_only_what_is_known() {
        let idle = report("u", "1.40.0", &Machine::new(1).status());
        assert_eq!(
            idle,
            "{\"pod\":\"u\",\"envoy\":\"1.40.0\",\"state\":\"idle\",\"restarts\":0}\n"
        );
    }

    #[test]
    fn retries_grow_to_a_second_and_begin_anew() {
        let mut retry = Retry::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            retry.failed(0);
            pauses.push(retry.at);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000]);
        retry.succeeded();
        retry.failed(0);
        assert_eq!(retry.at, 100);
    }
}
