//! Network namespaces without names: each lives as long as its handle, so that nothing is left behind, whatever ends
//! the test.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub struct Netns(File);

fn unshare_net() {
    // SAFETY: affects only the calling thread.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
}

fn enter(fd: i32) -> std::io::Result<()> {
    // SAFETY: affects only the calling thread; the descriptor is a network namespace.
    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The calling thread joins the namespace at `Netns::path` for good.
pub fn join(path: &str) {
    let ns = File::open(path).expect("a namespace");
    enter(ns.as_raw_fd()).expect("setns");
}

impl Netns {
    pub fn new() -> Netns {
        let make = || {
            unshare_net();
            File::open("/proc/thread-self/ns/net").expect("own namespace")
        };
        let ns = Netns(thread::spawn(make).join().expect("thread"));
        // Without DAD: until it is done no neighbour is asked for.
        ns.sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up");
        ns
    }

    /// Runs in a thread of this namespace.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let fd = self.0.as_raw_fd();
        thread::scope(|scope| {
            let handle = scope.spawn(move || {
                enter(fd).expect("setns");
                body()
            });
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub fn command(&self, program: &str) -> Command {
        let fd = self.0.as_raw_fd();
        let mut command = Command::new(program);
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                enter(fd)
            });
        }
        command
    }

    /// Commands, one a line; panics at the first that fails.
    pub fn sh(&self, script: &str) {
        let output = self
            .command("sh")
            .args(["-ec", script])
            .stdin(Stdio::null())
            .output()
            .expect("sh");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{text}");
    }

    /// Waits for the kernel's link watch, which may take a second: before it a device that is up drops packets.
    pub fn await_up(&self, device: &str) {
        let end = Instant::now() + crate::talk::patient(Duration::from_secs(10));
        while Instant::now() < end {
            let shown = self
                .command("ip")
                .args(["link", "show", "dev", device])
                .output()
                .expect("ip");
            if String::from_utf8_lossy(&shown.stdout).contains("state UP") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{device} is not up after 10 s");
    }

    /// As `ip link set DEV netns` takes it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// The reason why these tests can't run here.
pub fn cannot_run() -> Option<&'static str> {
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some("needs iproute2");
    }
    None
}

/// Says why a test can't run here. Where it has to (WEFT_MUST_RUN is set) that is a failure.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("WEFT_MUST_RUN").is_none(),
        "can't run: {reason}"
    );
    eprintln!("skipped: {reason}");
}

/// Ends a test early, with the reason, where it can't run.
#[macro_export]
macro_rules! require_root {
    () => {
        if let Some(reason) = $crate::netns::cannot_run() {
            $crate::netns::skip(reason);
            return;
        }
    };
}
