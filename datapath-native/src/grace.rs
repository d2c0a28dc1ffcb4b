//! Attaching to many devices: the kernel waits for a grace period of RCU at each, one after the other, and that is 5
//! to 20 ms. Expedited ones take microseconds, at the price of interrupts on all processors.

use std::fs;
use std::path::{Path, PathBuf};

/// Kernel parameter rcupdate.rcu_expedited, as a file.
const SWITCH: &str = "/sys/kernel/rcu_expedited";

/// Grace periods are short as long as it lives. Without the right to that it changes nothing.
pub struct ShortGracePeriods {
    mark: PathBuf,
    ours: bool,
}

impl ShortGracePeriods {
    /// mark: a directory beside the pins, which says that the switch is ours to turn off; like them it outlives a process
    /// that is killed, and does not outlive the kernel.
    pub fn begin(mark: &Path) -> Self {
        let off = fs::read_to_string(SWITCH).is_ok_and(|value| value.trim() == "0");
        let ours = off && fs::create_dir(mark).is_ok();
        if ours {
            let _ = fs::write(SWITCH, "1");
        }
        Self {
            mark: mark.to_owned(),
            ours,
        }
    }

    /// Ends what a process began that was killed.
    pub fn end_forgotten(mark: &Path) {
        if mark.is_dir() && fs::write(SWITCH, "0").is_ok() {
            let _ = fs::remove_dir(mark);
        }
    }
}

impl Drop for ShortGracePeriods {
    fn drop(&mut self) {
        if self.ours {
            Self::end_forgotten(&self.mark);
        }
    }
}
