//! Access records between Envoy's pipe and the agent: whole lines, bounded, what does not fit is counted.

use std::collections::VecDeque;

/// A longer line is no record of ours.
const LONGEST_LINE: usize = 64 * 1024;

#[derive(Debug)]
pub struct Backlog {
    lines: VecDeque<u8>,
    /// The line that has no end yet.
    partial: Vec<u8>,
    /// The rest of a line that is too long is skipped.
    skipping: bool,
    /// Bytes of `lines` that are written already; they stay until their line is complete.
    written: usize,
    lost: u64,
    limit: usize,
}

impl Backlog {
    pub fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            partial: Vec::new(),
            skipping: false,
            written: 0,
            lost: 0,
            limit,
        }
    }

    /// Bytes that can be written.
    pub fn pending(&self) -> usize {
        self.lines.len() - self.written
    }

    /// What Envoy wrote, cut anywhere.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            chunk = rest;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.partial.is_empty() {
                self.append(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.append(&whole);
                whole.clear();
                self.partial = whole;
            }
        }
        if self.skipping {
            return;
        }
        if self.partial.len() + chunk.len() > LONGEST_LINE {
            self.partial.clear();
            self.skipping = true;
            self.lost += 1;
        } else {
            self.partial.extend_from_slice(chunk);
        }
    }

    /// Envoy ended, maybe in the middle of a line.
    pub fn end_of_stream(&mut self) {
        if !self.partial.is_empty() {
            self.lost += 1;
        }
        self.partial = Vec::new();
        self.skipping = false;
    }

    fn append(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let note = if self.lost == 0 {
            String::new()
        } else {
            format!("{{\"lost\":{}}}\n", self.lost)
        };
        if line.len() > LONGEST_LINE || self.lines.len() + note.len() + line.len() + 1 > self.limit
        {
            self.lost += 1;
            return;
        }
        self.lost = 0;
        self.lines.extend(note.as_bytes());
        self.lines.extend(line);
        self.lines.push_back(b'\n');
    }

    /// What to write next. Losses that no record follows are told once all else is written.
    pub fn front(&mut self) -> &[u8] {
        if self.lines.is_empty() && self.lost > 0 {
            self.lines
                .extend(format!("{{\"lost\":{}}}\n", self.lost).as_bytes());
            self.lost = 0;
        }
        let (first, second) = self.lines.as_slices();
        if self.written < first.len() {
            &first[self.written..]
        } else {
            &second[self.written - first.len()..]
        }
    }

    /// Whether there is something to tell, be it only a loss.
    pub fn has_news(&self) -> bool {
        self.pending() > 0 || self.lost > 0
    }

    pub fn wrote(&mut self, count: usize) {
        self.written += count;
        let complete = self
            .lines
            .range(..self.written)
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        self.lines.drain(..complete);
        self.written -= complete;
        if self.lines.is_empty() && self.lines.capacity() > LONGEST_LINE {
            self.lines = VecDeque::new();
        }
    }

    /// The reader went away: the line it got half of is written again, from its beginning.
    pub fn reader_gone(&mut self) {
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything, as a reader that takes `step` bytes at a time gets it.
    fn read(backlog: &mut Backlog, step: usize) -> String {
        let mut text = Vec::new();
        loop {
            let front = backlog.front();
            let count = front.len().min(step);
            if count == 0 {
                return String::from_utf8(text).expect("text");
            }
            text.extend_from_slice(&front[..count]);
            backlog.wrote(count);
        }
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut() {
        let text = "{\"a\":1}\n{\"b\":2}\n\n{\"c\":3}\n";
        for cut in 1..text.len() {
            for step in [1, 3, 1000] {
                let mut backlog = Backlog::new(1000);
                for chunk in text.as_bytes().chunks(cut) {
                    backlog.push(chunk);
                }
                assert_eq!(
                    read(&mut backlog, step),
                    "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n"
                );
                assert!(!backlog.has_news());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_before_the_next_line() {
        let mut backlog = Backlog::new(40);
        for n in 0..10 {
            backlog.push(format!("record-{n}\n").as_bytes());
        }
        assert_eq!(backlog.pending(), 36);
        assert_eq!(
            read(&mut backlog, 9),
            "record-0\nrecord-1\nrecord-2\nrecord-3\n{\"lost\":6}\n"
        );
        backlog.push(b"later\n");
        assert_eq!(read(&mut backlog, 100), "later\n");
    }

    #[test]
    fn a_half_written_line_is_written_again_for_the_next_reader() {
        let mut backlog = Backlog::new(100);
        backlog.push(b"first\nsecond\n");
        assert_eq!(&backlog.front()[..8], b"first\nse");
        backlog.wrote(8);
        backlog.reader_gone();
        assert_eq!(read(&mut backlog, 100), "second\n");
    }

    #[test]
    fn lines_without_end_and_half_lines_of_the_dead_are_lost_and_nothing_else() {
        let mut backlog = Backlog::new(1 << 20);
        for _ in 0..100 {
            backlog.push(&[b'x'; 4096]);
        }
        backlog.push(b"\nfine\nhalf");
        backlog.end_of_stream();
        backlog.push(b"new\n");
        assert_eq!(
            read(&mut backlog, 100),
            "{\"lost\":1}\nfine\n{\"lost\":1}\nnew\n"
        );
    }
}
