//! From Envoy's stdout to the agent's records.sock: Envoy is always read, the agent is written to when it reads.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::agent::Retry;
use crate::backlog::Backlog;
use crate::unix::{Got, connect, read_some};

/// Bytes that wait for the agent.
const LIMIT: usize = 4 << 20;

pub struct Records {
    path: PathBuf,
    stream: Option<UnixStream>,
    retry: Retry,
    pub backlog: Backlog,
}

impl Records {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            stream: None,
            retry: Retry::default(),
            backlog: Backlog::new(LIMIT),
        }
    }

    pub fn fd(&self) -> Option<RawFd> {
        self.stream.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub fn wants_to_write(&self) -> bool {
        self.backlog.has_news()
    }

    pub fn wake_at(&self) -> Option<u64> {
        (self.stream.is_none() && self.backlog.has_news()).then_some(self.retry.at)
    }

    /// Writes what the agent takes now; connects when there is something to tell.
    pub fn forward(&mut self, now: u64) {
        if self.stream.is_none() && self.backlog.has_news() && now >= self.retry.at {
            match connect(&self.path) {
                Ok(stream) => self.stream = Some(stream),
                Err(_) => self.retry.failed(now),
            }
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        while self.backlog.has_news() {
            match stream.write(self.backlog.front()) {
                Ok(count) => {
                    self.backlog.wrote(count);
                    self.retry.succeeded();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.hang_up(now),
            }
        }
    }

    /// The agent never writes here; bytes that it sends all the same are left out.
    pub fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 256];
        self.stream
            .as_mut()
            .is_some_and(|stream| matches!(read_some(stream, &mut buffer), Got::End))
    }

    /// The agent closed the connection, or its end is gone.
    pub fn hang_up(&mut self, now: u64) {
        if self.stream.take().is_some() {
            self.backlog.reader_gone();
            self.retry.failed(now);
        }
    }
}
