//! A TCP port that is open exactly while the pod is ready: for kubelet's probe.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};

pub struct Ready {
    port: u16,
    listener: Option<TcpListener>,
    /// That it can't be opened was said.
    failed: bool,
}

impl Ready {
    pub fn new(port: u16) -> Self {
        Self {
            port,
            listener: None,
            failed: false,
        }
    }

    pub fn fd(&self) -> Option<RawFd> {
        self.listener.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// An error is told once; it is tried again at each call.
    pub fn set(&mut self, ready: bool) -> Result<(), String> {
        if !ready {
            self.listener = None;
            self.failed = false;
        } else if self.listener.is_none() {
            // Both families; a kernel without IPv6 has the second only.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port))
                .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port)))
                .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
            match listener {
                Ok(listener) => self.listener = Some(listener),
                Err(error) if !self.failed => {
                    self.failed = true;
                    return Err(format!(
                        "the readiness port {} can't be opened: {error}",
                        self.port
                    ));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whoever connects has seen what it came for.
    pub fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        loop {
            match listener.accept() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
