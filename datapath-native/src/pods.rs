//! weft_pods and its two indexes, which only this file writes.

use crate::address;
use crate::error::{Error, Result};
use crate::layout::{Addr, POD_PROXY, Pod, Proxy};
use crate::maps::Maps;
use crate::row::{PodRow, ProxyRow};

impl PodRow {
    fn addresses(&self) -> impl Iterator<Item = Addr> {
        self.ipv4.into_iter().chain(self.ipv6)
    }

    /// Make before break: the row, then what leads to it, then away with what led to the slot before. The epoch
    /// stays, unless the slot changes its owner.
    pub fn write(&self, maps: &Maps) -> Result<()> {
        self.check(maps)?;
        let before = maps.pods.get(&self.slot)?.unwrap_or_default();
        let none: Addr = [0; 16];
        let mut after = Pod {
            set: self.set,
            epoch: before.epoch,
            ifindex: self.ifindex,
            ipv4: self.ipv4.unwrap_or(none),
            ipv6: self.ipv6.unwrap_or(none),
            flags: if self.proxy { POD_PROXY } else { 0 },
            pad: 0,
            tenant: self.tenant,
        };
        if (before.ifindex, before.ipv4, before.ipv6) != (after.ifindex, after.ipv4, after.ipv6) {
            after.epoch = before.epoch.wrapping_add(1);
        }
        maps.pods.put(&self.slot, &after)?;
        maps.pod_by_dev.put(&self.ifindex, &self.slot)?;
        for addr in self.addresses() {
            maps.pod_by_addr.put(&addr, &self.slot)?;
        }
        if before.ifindex != after.ifindex {
            forget_device(maps, before.ifindex, self.slot)?;
        }
        for addr in [before.ipv4, before.ipv6] {
            if !self.addresses().any(|own| own == addr) {
                forget_address(maps, &addr, self.slot)?;
            }
        }
        Ok(())
    }

    fn check(&self, maps: &Maps) -> Result<()> {
        if self.slot >= maps.pods.capacity() {
            let most = maps.pods.capacity();
            return Err(Error::new(
                format_args!("slot {}", self.slot),
                format_args!("there are {most} slots"),
            ));
        }
        if self.ifindex == 0 {
            return Err("a pod needs the ifindex of its device".to_owned().into());
        }
        if self.ipv4.is_some_and(|addr| !address::is_ipv4(&addr)) {
            return Err("ipv4 is not an IPv4 address".to_owned().into());
        }
        if self.ipv6.is_some_and(|addr| address::is_ipv4(&addr)) {
            return Err("ipv6 is not an IPv6 address".to_owned().into());
        }
        Ok(())
    }

    /// First what leads to the slot, then the slot. Its epoch is raised, so that connections which remember the slot
    /// are looked up again if it gets another owner.
    pub fn delete(slot: u32, maps: &Maps) -> Result<()> {
        if slot >= maps.pods.capacity() {
            return Ok(());
        }
        let before = maps.pods.get(&slot)?.unwrap_or_default();
        if before.ifindex == 0 {
            return Ok(());
        }
        for addr in [before.ipv4, before.ipv6] {
            forget_address(maps, &addr, slot)?;
        }
        forget_device(maps, before.ifindex, slot)?;
        maps.pods.put(
            &slot,
            &Pod {
                epoch: before.epoch.wrapping_add(1),
                ..Pod::default()
            },
        )
    }

    /// Every packet of the pod's connections gets a new verdict. u32::MAX: of all pods.
    pub fn bump(slot: u32, maps: &Maps) -> Result<()> {
        let slots = if slot == u32::MAX {
            0..maps.pods.capacity()
        } else {
            slot..slot.saturating_add(1)
        };
        for slot in slots {
            let Some(pod) = maps.pods.get(&slot)? else {
                return Err(Error::new(
                    format_args!("slot {slot}"),
                    "there is no such slot",
                ));
            };
            // A free slot's epoch need not grow: its next owner raises it.
            if pod.ifindex != 0 {
                maps.pods.put(
                    &slot,
                    &Pod {
                        epoch: pod.epoch.wrapping_add(1),
                        ..pod
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Pods by slot.
    pub fn read_all(maps: &Maps) -> Result<Vec<Self>> {
        let present = |addr: Addr| (!address::is_zero(&addr)).then_some(addr);
        let rows = maps
            .pods
            .rows()?
            .into_iter()
            .filter(|(_, pod)| pod.ifindex != 0);
        let mut rows: Vec<Self> = rows
            .map(|(slot, pod)| Self {
                slot,
                ifindex: pod.ifindex,
                set: pod.set,
                ipv4: present(pod.ipv4),
                ipv6: present(pod.ipv6),
                proxy: pod.flags & POD_PROXY != 0,
                tenant: pod.tenant,
            })
            .collect();
        rows.sort();
        Ok(rows)
    }
}

impl ProxyRow {
    /// Errors: the slot has no proxy pod.
    pub fn write(&self, maps: &Maps) -> Result<()> {
        let pod = maps.pods.get(&self.slot)?.unwrap_or_default();
        if pod.ifindex == 0 || pod.flags & POD_PROXY == 0 {
            return Err(Error::new(
                format_args!("slot {}", self.slot),
                "there is no proxy pod in it",
            ));
        }
        let proxy = Proxy {
            slot: self.slot,
            ifindex: pod.ifindex,
        };
        maps.proxy.put(&0, &proxy)
    }

    pub fn delete(maps: &Maps) -> Result<()> {
        maps.proxy.put(&0, &Proxy::default())
    }

    /// None or one.
    pub fn read_all(maps: &Maps) -> Result<Vec<Self>> {
        let found = maps.proxy.get(&0)?.filter(|proxy| proxy.ifindex != 0);
        Ok(found
            .into_iter()
            .map(|proxy| Self { slot: proxy.slot })
            .collect())
    }
}

/// Only if it still leads to this slot: the address may be another pod's by now.
fn forget_address(maps: &Maps, addr: &Addr, slot: u32) -> Result<()> {
    if !address::is_zero(addr) && maps.pod_by_addr.get(addr)? == Some(slot) {
        maps.pod_by_addr.remove(addr)?;
    }
    Ok(())
}

fn forget_device(maps: &Maps, ifindex: u32, slot: u32) -> Result<()> {
    if ifindex != 0 && maps.pod_by_dev.get(&ifindex)? == Some(slot) {
        maps.pod_by_dev.remove(&ifindex)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::path::Path;

    use super::*;
    use crate::layout::{Config, Plain};
    use crate::objects::{Budgets, load};

    /// On a thread with a mount namespace and a bpffs of its own, which end with it.
    fn with_maps(test: impl FnOnce(&Maps) + Send + 'static) {
        // SAFETY: a plain system call.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("skipped: needs root");
            return;
        }
        let thread = std::thread::spawn(|| {
            let path = |text: &str| CString::new(text).expect("no zero inside");
            let (none, root, bpf, place) = (path("none"), path("/"), path("bpf"), path("/mnt"));
            // SAFETY: system calls with C strings; they change this thread only.
            let results = unsafe {
                let data: *const libc::c_void = std::ptr::null();
                [
                    libc::unshare(libc::CLONE_NEWNS),
                    libc::mount(
                        none.as_ptr(),
                        root.as_ptr(),
                        std::ptr::null(),
                        libc::MS_REC | libc::MS_PRIVATE,
                        data,
                    ),
                    libc::mount(bpf.as_ptr(), place.as_ptr(), bpf.as_ptr(), 0, data),
                ]
            };
            assert_eq!(results, [0; 3], "{}", std::io::Error::last_os_error());
            let directory = Path::new("/mnt");
            let config = Config::from_bytes(&[0; 64]).expect("the size of a configuration");
            load(directory, &config, &Budgets::new()).expect("loaded objects");
            test(&Maps::open(directory).expect("pinned maps"));
        });
        thread.join().expect("the test");
    }

    fn pod(slot: u32, ifindex: u32, set: u64) -> PodRow {
        PodRow {
            slot,
            ifindex,
            set,
            ipv4: Some(address::parse("10.0.0.1").expect("an address")),
            ipv6: None,
            proxy: false,
            tenant: 0,
        }
    }

    fn epoch(maps: &Maps, slot: u32) -> u32 {
        maps.pods.get(&slot).expect("a map").expect("a slot").epoch
    }

    #[test]
    fn a_bump_raises_the_epoch_and_nothing_else() {
        with_maps(|maps| {
            pod(3, 9, 7).write(maps).expect("written");
            let before = maps.pods.get(&3).expect("a map").expect("a slot");
            PodRow::bump(3, maps).expect("bumped");
            PodRow::bump(u32::MAX, maps).expect("bumped");
            let after = maps.pods.get(&3).expect("a map").expect("a slot");
            assert_eq!(
                after,
                Pod {
                    epoch: before.epoch + 2,
                    ..before
                }
            );
            assert!(PodRow::bump(1024, maps).is_err());
        });
    }

    #[test]
    fn the_epoch_stays_when_the_set_changes_and_grows_when_the_slot_changes_hands() {
        with_maps(|maps| {
            pod(3, 9, 7).write(maps).expect("written");
            let first = epoch(maps, 3);
            pod(3, 9, 8).write(maps).expect("written");
            assert_eq!(epoch(maps, 3), first);
            PodRow::delete(3, maps).expect("deleted");
            pod(3, 10, 8).write(maps).expect("written");
            assert!(epoch(maps, 3) > first);
        });
    }

    #[test]
    fn only_a_slot_with_a_proxy_pod_can_be_the_proxy() {
        with_maps(|maps| {
            pod(3, 9, 7).write(maps).expect("written");
            assert!(ProxyRow { slot: 3 }.write(maps).is_err());
            let proxy = PodRow {
                proxy: true,
                ..pod(3, 9, 7)
            };
            proxy.write(maps).expect("written");
            ProxyRow { slot: 3 }.write(maps).expect("written");
            assert_eq!(ProxyRow::read_all(maps), Ok(vec![ProxyRow { slot: 3 }]));
            ProxyRow::delete(maps).expect("deleted");
            assert_eq!(ProxyRow::read_all(maps), Ok(Vec::new()));
        });
    }

    #[test]
    fn an_address_that_moved_to_another_slot_survives_the_end_of_the_old_one() {
        with_maps(|maps| {
            pod(3, 9, 7).write(maps).expect("written");
            pod(4, 10, 7).write(maps).expect("written");
            PodRow::delete(3, maps).expect("deleted");
            let addr = address::parse("10.0.0.1").expect("an address");
            assert_eq!(maps.pod_by_addr.get(&addr), Ok(Some(4)));
            assert_eq!(maps.pod_by_dev.get(&9), Ok(None));
        });
    }
}
