//! Attaching to many devices: the kernel waits for a grace period of RCU at each, one after the other, and that is 5
//! to 20 ms. Expedited ones take microseconds, at the price of interrupts on all processors.

use std::fs;

/// Kernel parameter rcupdate.rcu_expedited, as a file.
const SWITCH: &str = "/sys/kernel/rcu_expedited";

/// Grace periods are short as long as it lives. Without the right to that it changes nothing. A process that is killed
/// meanwhile leaves the switch on, which slows nothing but costs interrupts.
pub struct ShortGracePeriods {
    ours: bool,
}

impl ShortGracePeriods {
    pub fn begin() -> Self {
        let off = fs::read_to_string(SWITCH).is_ok_and(|value| value.trim() == "0");
        let ours = off && fs::write(SWITCH, "1").is_ok();
        Self { ours }
    }
}

impl Drop for ShortGracePeriods {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::write(SWITCH, "0");
        }
    }
}
