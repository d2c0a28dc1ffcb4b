//! Flow events: one thread reads the ring and hands on batches.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libbpf_rs::RingBufferBuilder;

use crate::datapath::Datapath;
use crate::error::{Error, Result, Step};
use crate::layout::{Event, Plain};

/// Events in one batch at most.
pub const BATCH: usize = 4096;
/// Between two batches at least.
const INTERVAL: Duration = Duration::from_millis(50);

pub struct Batch {
    pub events: Vec<Event>,
    /// Nanoseconds since the epoch at CLOCK_MONOTONIC's zero: add to an event's time_ns.
    pub clock_offset_ns: i128,
    /// Events that found the ring full since the last batch, or that the receiver did not take.
    pub lost: u64,
}

/// Ends the thread when dropped.
pub struct Subscription {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Subscription {
    /// `deliver` is called on the reading thread; false means that the batch was not taken, and counts as lost.
    pub fn start(
        datapath: Arc<Datapath>,
        deliver: impl FnMut(Batch) -> bool + Send + 'static,
    ) -> Result<Self> {
        // SAFETY: a plain system call.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::new(
                "making an eventfd",
                std::io::Error::last_os_error(),
            ));
        }
        // SAFETY: the kernel just gave us this descriptor.
        let stop = unsafe { OwnedFd::from_raw_fd(fd) };
        let stop_reader = stop
            .try_clone()
            .step(|| "duplicating an eventfd".to_owned())?;
        let thread = thread::Builder::new()
            .name("weft-events".to_owned())
            .spawn(move || read(&datapath, &stop_reader, deliver))
            .step(|| "starting the thread that reads events".to_owned())?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes that live through the call.
        unsafe { libc::write(self.stop.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(datapath: &Datapath, stop: &OwnedFd, mut deliver: impl FnMut(Batch) -> bool) {
    let events = RefCell::new(Vec::new());
    let mut builder = RingBufferBuilder::new();
    let collect = |bytes: &[u8]| {
        events.borrow_mut().extend(Event::from_bytes(bytes));
        0
    };
    let Ok(ring) = builder
        .add(&datapath.maps().events, collect)
        .map(|_| ())
        .and_then(|()| builder.build())
    else {
        return;
    };
    let mut known_lost = datapath.events_lost().unwrap_or(0);
    let mut not_taken = 0;
    loop {
        if wait(stop, Some(ring.epoll_fd()), None) {
            return;
        }
        let started = Instant::now();
        ring.consume_raw_n(BATCH);
        let lost_now = datapath.events_lost().unwrap_or(known_lost);
        let batch = Batch {
            events: events.take(),
            clock_offset_ns: clock_offset_ns(),
            lost: lost_now.saturating_sub(known_lost) + not_taken,
        };
        known_lost = lost_now;
        let (count, lost) = (batch.events.len() as u64, batch.lost);
        if count > 0 || lost > 0 {
            not_taken = if deliver(batch) { 0 } else { lost + count };
        }
        if wait(stop, None, Some(INTERVAL.saturating_sub(started.elapsed()))) {
            return;
        }
    }
}

/// True if it is time to stop. Returns early when the ring has something.
fn wait(stop: &OwnedFd, ring: Option<i32>, timeout: Option<Duration>) -> bool {
    let watch = |fd: i32| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // poll ignores negative descriptors.
    let mut watched = [watch(stop.as_raw_fd()), watch(ring.unwrap_or(-1))];
    let timeout_ms = timeout.map_or(-1, |timeout| timeout.as_millis() as i32);
    // SAFETY: two entries that live through the call.
    unsafe { libc::poll(watched.as_mut_ptr(), 2, timeout_ms) };
    watched[0].revents != 0
}

fn clock_offset_ns() -> i128 {
    let mut monotonic = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut monotonic) };
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i128);
    wall - (i128::from(monotonic.tv_sec) * 1_000_000_000 + i128::from(monotonic.tv_nsec))
}
