//! Signals as readable events, and the dead children of a first process.

use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::unix::check;

const WATCHED: [libc::c_int; 6] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGPIPE,
];

pub struct Signals(OwnedFd);

impl Signals {
    pub fn watch() -> Result<Self> {
        // SAFETY: the set is made by sigemptyset, and lives through the calls.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            check(libc::sigemptyset(&raw mut set))?;
            for signal in WATCHED {
                check(libc::sigaddset(&raw mut set, signal))?;
            }
            check(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                std::ptr::null_mut(),
            ))?;
            let fd = check(libc::signalfd(
                -1,
                &raw const set,
                libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
            ))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Those that came.
    pub fn take(&self) -> Vec<libc::c_int> {
        let mut taken = Vec::new();
        loop {
            // SAFETY: plain data, and all zeros is a value of it.
            let mut one: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
            let size = std::mem::size_of::<libc::signalfd_siginfo>();
            // SAFETY: there is room for one structure of that size.
            let count = unsafe { libc::read(self.fd(), (&raw mut one).cast(), size) };
            if count != size as isize {
                return taken;
            }
            taken.push(one.ssi_signo as libc::c_int);
        }
    }
}

/// All children that have ended, also those that others left behind.
pub fn reap() -> Vec<(u32, ExitStatus)> {
    let mut dead = Vec::new();
    loop {
        let mut status = 0;
        // SAFETY: status lives through the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return dead;
        }
        dead.push((pid as u32, ExitStatus::from_raw(status)));
    }
}

pub fn send(pid: u32, signal: libc::c_int) {
    // SAFETY: no pointers. The child is not reaped yet, so the pid is its.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}
