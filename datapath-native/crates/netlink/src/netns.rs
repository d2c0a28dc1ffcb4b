//! Work inside another network namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;

use crate::socket::Error;

/// Runs the work on a thread that joined the namespace and ends with it, so that no other work can land there.
pub fn in_namespace<T: Send>(
    netns: impl AsFd + Sync,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // SAFETY: a plain system call on a descriptor that outlives it; only this thread changes namespace.
            if unsafe { libc::setns(netns.as_fd().as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(Error::new(
                    "entering the network namespace",
                    io::Error::last_os_error(),
                ));
            }
            work()
        });
        worker.join().unwrap_or_else(|_| {
            Err(Error::new(
                "work in the network namespace",
                io::Error::other("it panicked"),
            ))
        })
    })
}
