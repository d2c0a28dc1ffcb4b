//! The pod's log: never waited for, and bounded in lines a second. What is left out is counted.

use std::io::Write;

use crate::unix::can_write;

/// PIPE_BUF: a pipe that polls writable takes that much.
const LONGEST_LINE: usize = 4096;

/// A number of lines at once, and then some a second.
#[derive(Debug)]
pub struct Budget {
    tokens: u64,
    burst: u64,
    per_second: u64,
    since: u64,
}

impl Budget {
    pub fn new(burst: u64, per_second: u64) -> Self {
        Self {
            tokens: burst,
            burst,
            per_second,
            since: 0,
        }
    }

    pub fn take(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.since) * self.per_second / 1000;
        if earned > 0 {
            self.tokens = (self.tokens + earned).min(self.burst);
            self.since = now;
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

pub struct Log {
    budget: Budget,
    left_out: u64,
    partial: Vec<u8>,
    /// The last line that may say why Envoy ended.
    pub last: String,
}

impl Log {
    pub fn new() -> Self {
        Self {
            budget: Budget::new(100, 2),
            left_out: 0,
            partial: Vec::new(),
            last: String::new(),
        }
    }

    /// What this program itself has to say.
    pub fn say(&mut self, sentence: &str) {
        self.write(format!("weft-envoy: {sentence}\n").as_bytes());
    }

    /// What Envoy wrote to its stderr, cut anywhere.
    pub fn pass(&mut self, chunk: &[u8], now: u64) {
        for &byte in chunk {
            if byte == b'\n' {
                self.line(now);
            } else if self.partial.len() < LONGEST_LINE - 1 {
                self.partial.push(byte);
            }
        }
    }

    pub fn end_of_stream(&mut self, now: u64) {
        if !self.partial.is_empty() {
            self.line(now);
        }
    }

    fn line(&mut self, now: u64) {
        let mut line = std::mem::take(&mut self.partial);
        if may_be_a_reason(&line) {
            self.last = String::from_utf8_lossy(&line[..line.len().min(500)])
                .trim()
                .to_owned();
        }
        line.push(b'\n');
        if self.budget.take(now) {
            if self.left_out > 0 {
                let note = format!(
                    "weft-envoy: {} lines of Envoy's log are left out here\n",
                    self.left_out
                );
                self.left_out = 0;
                self.write(note.as_bytes());
            }
            self.write(&line);
        } else {
            self.left_out += 1;
        }
    }

    fn write(&mut self, line: &[u8]) {
        let done = can_write(libc::STDERR_FILENO) && std::io::stderr().write_all(line).is_ok();
        if !done {
            self.left_out += 1;
        }
    }
}

/// Envoy's lines begin with their level; others come from the loader, an assertion or a stack.
fn may_be_a_reason(line: &[u8]) -> bool {
    !["[trace]", "[debug]", "[info]", "[warning]"]
        .iter()
        .any(|level| line.starts_with(level.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_burst_and_then_to_the_rate() {
        let mut budget = Budget::new(5, 10);
        assert_eq!((0..100).filter(|_| budget.take(1_000)).count(), 5);
        assert_eq!((0..100).filter(|_| budget.take(1_050)).count(), 0);
        assert_eq!((0..100).filter(|_| budget.take(1_300)).count(), 3);
        assert_eq!(
            (1_300..=11_300).filter(|&now| budget.take(now)).count(),
            100
        );
    }

    #[test]
    fn the_last_line_is_known_however_it_was_cut() {
        let mut log = Log::new();
        log.pass(b"[error] one\n[critical] no", 0);
        log.pass(b"body\n[warning][config] not this\n", 0);
        assert_eq!(log.last, "[critical] nobody");
    }
}
