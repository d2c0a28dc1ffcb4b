//! Envoy's admin interface: HTTP over a unix socket, one exchange a connection.

use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::machine::{Answer, Question};
use crate::unix::{Got, connect, read_some};

const MOST_ANSWER: usize = 4 << 20;

pub fn request(method: &str, path: &str) -> String {
    let length = if method == "POST" {
        "content-length: 0\r\n"
    } else {
        ""
    };
    format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{length}\r\n")
}

pub fn line_of(question: Question) -> (&'static str, &'static str) {
    match question {
        Question::Ready => ("GET", "/ready"),
        Question::FailHealthCheck => ("POST", "/healthcheck/fail"),
        // Listeners stay open: what is under way to them is served, and told to close after the answer.
        Question::DrainListeners => ("POST", "/drain_listeners?graceful&skip_exit"),
        Question::Connections => ("GET", "/stats?filter=^listener%5C..*downstream_cx_active$"),
    }
}

/// A question under way.
pub struct Exchange {
    stream: UnixStream,
    question: Question,
    unsent: Vec<u8>,
    received: Vec<u8>,
    pub deadline: u64,
}

impl Exchange {
    pub fn begin(socket: &Path, question: Question, deadline: u64) -> Result<Self> {
        let (method, path) = line_of(question);
        let stream = connect(socket)?;
        Ok(Self {
            stream,
            question,
            unsent: request(method, path).into_bytes(),
            received: Vec::new(),
            deadline,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn wants_to_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The answer once it is complete.
    pub fn proceed(&mut self) -> Option<Answer> {
        if !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Some(Answer::None),
            }
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match read_some(&mut self.stream, &mut buffer) {
                Got::Bytes(_) if self.received.len() > MOST_ANSWER => return Some(Answer::None),
                Got::Bytes(count) => self.received.extend_from_slice(&buffer[..count]),
                Got::Nothing => return None,
                Got::End => return Some(answer(self.question, &self.received)),
            }
        }
    }
}

/// For people: waits for the answer. Status and body.
pub fn ask(socket: &Path, method: &str, path: &str) -> Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request(method, path).as_bytes())?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    response(&received).ok_or_else(|| Error::other("Envoy's answer is no HTTP/1.1 response"))
}

fn answer(question: Question, received: &[u8]) -> Answer {
    let Some((status, body)) = response(received) else {
        return Answer::None;
    };
    match question {
        Question::Connections if status == 200 => {
            connections(&body).map_or(Answer::No, Answer::Count)
        }
        _ if status == 200 => Answer::Yes,
        _ => Answer::No,
    }
}

/// Status and body of a response whose connection was closed after it.
fn response(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.1 ")?
        .get(..3)?
        .parse()
        .ok()?;
    let chunked = lines.any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = &bytes[end + 4..];
    Some((
        status,
        if chunked {
            unchunk(body)?
        } else {
            body.to_vec()
        },
    ))
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let data = rest.get(end + 2..)?;
        body.extend_from_slice(data.get(..size)?);
        rest = data.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Of the lines `listener.NAME.downstream_cx_active: N`: all but those of one worker, which count twice, and of the
/// admin interface, which is this connection and always there. None where it is missing or a line is another.
fn connections(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.contains("listener.admin.downstream_cx_active: ") {
        return None;
    }
    text.lines().try_fold(0_u64, |sum, line| {
        let (name, value) = line.rsplit_once(": ")?;
        let own = name.starts_with("listener.admin.") || name.contains(".worker_");
        let count: u64 = value.parse().ok()?;
        Some(if own { sum } else { sum.saturating_add(count) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_without_workers_and_admin() {
        let body = b"listener.[__]_10000.downstream_cx_active: 2\nlistener.[__]_10000.worker_1.downstream_cx_active: 2\n\
            listener.admin.downstream_cx_active: 1\nlistener.b.downstream_cx_active: 3\n";
        assert_eq!(connections(body), Some(5));
        assert_eq!(
            connections(b"listener.admin.downstream_cx_active: 1\n"),
            Some(0)
        );
        assert_eq!(connections(b""), None);
        assert_eq!(connections(b"listener.a.downstream_cx_active: 0\n"), None);
        assert_eq!(connections(b"nonsense"), None);
    }

    #[test]
    fn chunks_are_put_together_and_half_an_answer_is_none() {
        let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nLIVE\r\n1\r\n\n\r\n0\r\n\r\n";
        assert_eq!(response(good), Some((200, b"LIVE\n".to_vec())));
        for end in 0..good.len() - 4 {
            assert_eq!(response(&good[..end]), None, "{end}");
        }
        assert_eq!(answer(Question::Ready, good), Answer::Yes);
        let counts = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            a\r\nlistener.a\r\n1a\r\n.downstream_cx_active: 12\n\r\n\
            27\r\nlistener.admin.downstream_cx_active: 1\n\r\n0\r\n\r\n";
        assert_eq!(answer(Question::Connections, counts), Answer::Count(12));
        let starting =
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 13\r\n\r\nINITIALIZING\n";
        assert_eq!(answer(Question::Ready, starting), Answer::No);
    }
}
