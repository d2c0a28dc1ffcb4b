//! Access records: one thread listens on a unix socket for those who forward them, and hands on batches.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Step};
use crate::record::{Line, Record, decode};

/// Records in one batch at most.
pub const BATCH: usize = 4096;
/// Between two batches at least.
const INTERVAL: Duration = Duration::from_millis(50);
/// A node has two Envoys at most, while one replaces the other.
const MAX_CLIENTS: usize = 8;
/// Headers of a request are at most 60 KiB, and an escape takes six characters.
const MAX_LINE: usize = 512 << 10;
const CHUNK: usize = 64 << 10;

pub struct Batch {
    pub records: Vec<Record>,
    /// Records since the last batch that were dropped on the way, are not understood, or were more than a batch takes.
    pub lost: u64,
}

/// Ends the thread and removes the socket when dropped.
pub struct RecordServer {
    path: PathBuf,
    inode: u64,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl RecordServer {
    /// `deliver` is called on the reading thread; false means that the batch was not taken, and counts as lost.
    pub fn start(
        path: &Path,
        group: u32,
        deliver: impl FnMut(Batch) -> bool + Send + 'static,
    ) -> Result<Self> {
        let (listener, inode) = listen(path, group)?;
        let (stop, stopped) = UnixStream::pair().step(|| "making a pair of sockets".to_owned())?;
        let thread = thread::Builder::new()
            .name("weft-records".to_owned())
            .spawn(move || Reader::new(deliver).run(&listener, &stopped))
            .step(|| "starting the thread that reads records".to_owned())?;
        Ok(Self {
            path: path.to_owned(),
            inode,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for RecordServer {
    fn drop(&mut self) {
        // The other end of the pair sees this one close.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Bound beside its place and renamed, so that nobody meets the socket with another mode or group.
fn listen(path: &Path, group: u32) -> Result<(UnixListener, u64)> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(Error::new(
            format_args!("listening on {}", path.display()),
            "something that is no socket is there",
        ));
    }
    let step = |what: &str| format!("{what} {}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).step(|| step("listening on"))?;
    listener
        .set_nonblocking(true)
        .step(|| step("listening on"))?;
    fs::set_permissions(&beside, Permissions::from_mode(0o660))
        .step(|| step("setting the mode of"))?;
    chown(&beside, None, Some(group)).step(|| step("setting the group of"))?;
    let inode = fs::symlink_metadata(&beside)
        .step(|| step("looking at"))?
        .ino();
    fs::rename(&beside, path).step(|| step("putting into place"))?;
    Ok((listener, inode))
}

struct Client {
    stream: UnixStream,
    /// A line whose end is yet to come.
    rest: Vec<u8>,
    /// The line at hand is too long: what follows until its end is dropped.
    overlong: bool,
}

struct Reader<F> {
    deliver: F,
    clients: Vec<Client>,
    records: Vec<Record>,
    lost: u64,
    chunk: Box<[u8]>,
    last: Option<Instant>,
}

impl<F: FnMut(Batch) -> bool> Reader<F> {
    fn new(deliver: F) -> Self {
        Self {
            deliver,
            clients: Vec::new(),
            records: Vec::new(),
            lost: 0,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            last: None,
        }
    }

    fn run(mut self, listener: &UnixListener, stopped: &UnixStream) {
        loop {
            let mut watched = vec![stopped.as_raw_fd(), listener.as_raw_fd()];
            watched.extend(self.clients.iter().map(|client| client.stream.as_raw_fd()));
            let ready = wait(&watched, self.until_delivery());
            if ready[0] {
                return;
            }
            self.read(&ready[2..]);
            if ready[1] && !self.accept(listener) {
                return;
            }
            if self.until_delivery() == Some(Duration::ZERO) {
                self.hand_on();
            }
        }
    }

    /// None: there is nothing to deliver.
    fn until_delivery(&self) -> Option<Duration> {
        if self.records.is_empty() && self.lost == 0 {
            return None;
        }
        Some(self.last.map_or(Duration::ZERO, |last| {
            INTERVAL.saturating_sub(last.elapsed())
        }))
    }

    fn hand_on(&mut self) {
        let batch = Batch {
            records: mem::take(&mut self.records),
            lost: mem::take(&mut self.lost),
        };
        let all = batch.records.len() as u64 + batch.lost;
        if !(self.deliver)(batch) {
            self.lost = all;
        }
        self.last = Some(Instant::now());
    }

    /// False if the listener is of no use any more.
    fn accept(&mut self, listener: &UnixListener) -> bool {
        match listener.accept() {
            Ok((stream, _)) => {
                // One too many is closed at once, and comes again.
                if self.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
                    self.clients.push(Client {
                        stream,
                        rest: Vec::new(),
                        overlong: false,
                    });
                }
                true
            }
            Err(cause) => match cause.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {
                    true
                }
                _ => {
                    // No descriptors, for example: not again at once.
                    thread::sleep(INTERVAL);
                    cause.raw_os_error() != Some(libc::EBADF)
                }
            },
        }
    }

    /// One piece of each client that has something; those that are gone are let go.
    fn read(&mut self, ready: &[bool]) {
        let mut clients = mem::take(&mut self.clients);
        let mut ready = ready.iter();
        clients.retain_mut(|client| {
            if ready.next() != Some(&true) {
                return true;
            }
            match client.stream.read(&mut self.chunk) {
                Ok(0) => {
                    // Half a line is a record that was lost.
                    self.lost += u64::from(client.overlong || !client.rest.is_empty());
                    false
                }
                Ok(length) => {
                    let chunk = mem::take(&mut self.chunk);
                    self.take(client, &chunk[..length]);
                    self.chunk = chunk;
                    true
                }
                Err(cause) => {
                    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                }
            }
        });
        self.clients = clients;
    }

    fn take(&mut self, client: &mut Client, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            let (end, next) = rest.split_at(at);
            rest = &next[1..];
            if client.overlong || client.rest.len() + end.len() > MAX_LINE {
                client.overlong = false;
                client.rest = Vec::new();
                self.lost += 1;
            } else if client.rest.is_empty() {
                self.line(end);
            } else {
                client.rest.extend_from_slice(end);
                let line = mem::take(&mut client.rest);
                self.line(&line);
            }
        }
        if client.overlong || client.rest.len() + rest.len() > MAX_LINE {
            client.overlong = true;
            client.rest = Vec::new();
        } else {
            client.rest.extend_from_slice(rest);
        }
    }

    fn line(&mut self, line: &[u8]) {
        // A full batch needs no more records, only what was lost.
        if self.records.len() >= BATCH && !line.starts_with(b"{\"lost\"") {
            self.lost += 1;
            return;
        }
        match decode(line) {
            Line::Record(record) => self.records.push(*record),
            Line::Lost(count) => self.lost = self.lost.saturating_add(count),
            Line::Malformed => self.lost += 1,
        }
    }
}

/// Which descriptors have something to read, or are at their end.
fn wait(descriptors: &[RawFd], timeout: Option<Duration>) -> Vec<bool> {
    let mut watched: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // Rounded up: a millisecond early would be a turn for nothing.
    let timeout_ms = timeout.map_or(-1, |timeout| timeout.as_micros().div_ceil(1000) as i32);
    // SAFETY: as many entries as it says, which live through the call.
    let count = unsafe {
        libc::poll(
            watched.as_mut_ptr(),
            watched.len() as libc::nfds_t,
            timeout_ms,
        )
    };
    watched
        .iter()
        .map(|one| count > 0 && one.revents != 0)
        .collect()
}
