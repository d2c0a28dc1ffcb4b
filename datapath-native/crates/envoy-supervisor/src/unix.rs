//! Unix sockets and pipes that never make the caller wait.

use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connected, non-blocking stream. A listener whose queue is full is an error at once.
pub fn connect(path: &Path) -> Result<UnixStream> {
    // SAFETY: plain data, and all zeros is a value of it.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the path is too long for a socket",
        ));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the descriptor was made above and has no other owner.
    let stream = unsafe { UnixStream::from_raw_fd(fd) };
    let size = std::mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: address lives through the call and size is its size.
    check(unsafe { libc::connect(fd, (&raw const address).cast(), size) })?;
    Ok(stream)
}

/// The read end, which does not block, and the write end, which does: it is for a child.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for the two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both were made above and have no other owner.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((read, write))
}

pub fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Whether a line of up to PIPE_BUF bytes can be written without waiting.
pub fn can_write(fd: RawFd) -> bool {
    let mut one = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one descriptor, as told.
    let count = unsafe { libc::poll(&raw mut one, 1, 0) };
    count == 1 && one.revents & libc::POLLOUT != 0
}

pub enum Got {
    Bytes(usize),
    Nothing,
    End,
}

pub fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> Got {
    loop {
        match from.read(buffer) {
            Ok(0) => return Got::End,
            Ok(count) => return Got::Bytes(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Got::Nothing,
            Err(_) => return Got::End,
        }
    }
}
