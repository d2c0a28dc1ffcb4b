//! Packet programs on kernels before 6.6, which have no tcx: filters of the queueing discipline clsact.
//!
//! A filter stays in the kernel until somebody removes it or its device goes. The program is pinned where a link would
//! be, before the filter is made, so that whatever is attached has a pin; what is really attached only the device tells.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// Ours among the filters of a device. Nobody chooses this priority by chance; the kernel's own choices are higher.
const PRIORITY: u32 = 0x5765;
const HANDLE: u32 = 1;
/// What the names of our programs begin with.
const OURS: &[u8] = b"weft_";
/// lo, which each network namespace has.
const LOOPBACK: i32 = 1;

#[derive(Clone, Copy)]
pub struct Hook {
    pub ifindex: u32,
    pub egress: bool,
}

impl Hook {
    /// attach_type: of the program's section, `tcx/ingress` or `tcx/egress`.
    pub fn new(ifindex: u32, attach_type: u32) -> Self {
        let egress = attach_type == libbpf_sys::BPF_TCX_EGRESS;
        Self { ifindex, egress }
    }

    fn raw(self) -> libbpf_sys::bpf_tc_hook {
        libbpf_sys::bpf_tc_hook {
            sz: size_of::<libbpf_sys::bpf_tc_hook>() as libbpf_sys::size_t,
            ifindex: self.ifindex as i32,
            attach_point: if self.egress {
                libbpf_sys::BPF_TC_EGRESS
            } else {
                libbpf_sys::BPF_TC_INGRESS
            },
            ..Default::default()
        }
    }
}

fn ours() -> libbpf_sys::bpf_tc_opts {
    libbpf_sys::bpf_tc_opts {
        sz: size_of::<libbpf_sys::bpf_tc_opts>() as libbpf_sys::size_t,
        handle: HANDLE,
        priority: PRIORITY,
        ..Default::default()
    }
}

/// True if this kernel has tcx. Asked once: of a kernel that has not, an attach type that it does not know.
pub fn has_tcx() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let (mut flags, mut count) = (0, 0);
        // SAFETY: the counters are ours; no room for ids is offered.
        let result = unsafe {
            libbpf_sys::bpf_prog_query(
                LOOPBACK,
                libbpf_sys::BPF_TCX_INGRESS,
                0,
                &raw mut flags,
                std::ptr::null_mut(),
                &raw mut count,
            )
        };
        ![-libc::EINVAL, -libc::EOPNOTSUPP].contains(&result)
    })
}

/// In the network namespace of the calling thread, like all below. A filter that is there gets the program in place of
/// its own, so that no packet passes unseen.
pub fn attach(hook: Hook, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: a hook of ours.
    match unsafe { libbpf_sys::bpf_tc_hook_create(&mut hook.raw()) } {
        0 => {}
        there if there == -libc::EEXIST => {}
        error => return Err(io::Error::from_raw_os_error(-error)),
    }
    let mut options = libbpf_sys::bpf_tc_opts {
        prog_fd: program.as_raw_fd(),
        flags: libbpf_sys::BPF_TC_F_REPLACE,
        ..ours()
    };
    // SAFETY: the descriptor is open, hook and options are ours.
    check(unsafe { libbpf_sys::bpf_tc_attach(&hook.raw(), &raw mut options) })?;
    Ok(())
}

/// No filter of ours, or no device, is no error.
pub fn detach(hook: Hook) -> io::Result<()> {
    if attached(hook).is_none() {
        return Ok(());
    }
    // SAFETY: hook and options are ours.
    check(unsafe { libbpf_sys::bpf_tc_detach(&hook.raw(), &ours()) })?;
    Ok(())
}

/// The name of our program there, as the kernel keeps it (15 bytes).
pub fn attached(hook: Hook) -> Option<Vec<u8>> {
    let mut options = ours();
    // SAFETY: hook and options are ours.
    check(unsafe { libbpf_sys::bpf_tc_query(&hook.raw(), &raw mut options) }).ok()?;
    let name = name_of(options.prog_id).ok()?;
    name.starts_with(OURS).then_some(name)
}

/// Removes the filters of this network namespace whose programs have one of these names, except at one device; of all
/// names if none is given.
pub fn sweep(names: &[&str], except: u32) -> io::Result<()> {
    for ifindex in devices()? {
        for egress in [false, true] {
            let hook = Hook { ifindex, egress };
            let wanted = |name: Vec<u8>| {
                names.is_empty() || names.iter().any(|full| full.as_bytes().starts_with(&name))
            };
            if ifindex != except && attached(hook).is_some_and(wanted) {
                detach(hook)?;
            }
        }
    }
    Ok(())
}

fn name_of(program: u32) -> io::Result<Vec<u8>> {
    // SAFETY: a plain system call.
    let fd = check(unsafe { libbpf_sys::bpf_prog_get_fd_by_id(program) })?;
    // SAFETY: the kernel just gave us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut size = size_of::<libbpf_sys::bpf_prog_info>() as u32;
    // SAFETY: info and its size are valid for writing.
    check(unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(fd.as_raw_fd(), (&raw mut info).cast(), &raw mut size)
    })?;
    // SAFETY: the kernel ends the name with a zero.
    let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
    Ok(name.to_bytes().to_vec())
}

fn devices() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    // SAFETY: the list ends with an entry of zeros, and is given back.
    unsafe {
        let list = libc::if_nameindex();
        if list.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut entry = list;
        while (*entry).if_index != 0 {
            found.push((*entry).if_index);
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    Ok(found)
}

/// libbpf answers -errno.
fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    /// A program that passes every packet.
    fn program(name: &CStr) -> OwnedFd {
        let instructions = [
            libbpf_sys::bpf_insn {
                code: 0xb7,
                ..Default::default()
            },
            libbpf_sys::bpf_insn {
                code: 0x95,
                ..Default::default()
            },
        ];
        // SAFETY: C strings and two instructions: r0 = 0; exit.
        let fd = unsafe {
            libbpf_sys::bpf_prog_load(
                libbpf_sys::BPF_PROG_TYPE_SCHED_CLS,
                name.as_ptr(),
                c"GPL".as_ptr(),
                instructions.as_ptr(),
                instructions.len() as libbpf_sys::size_t,
                std::ptr::null_mut(),
            )
        };
        assert!(fd >= 0, "{}", io::Error::from_raw_os_error(-fd));
        // SAFETY: just made, owned by nobody else.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// On a thread with a network namespace with the devices 7 and 8, which ends with it.
    fn with_devices(test: impl FnOnce() + Send + 'static) {
        // SAFETY: a plain system call.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("skipped: needs root");
            return;
        }
        let thread = std::thread::spawn(|| {
            // SAFETY: changes this thread only.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            let words = "link add seven index 7 type veth peer name eight index 8";
            let made = Command::new("ip").args(words.split(' ')).status();
            assert!(made.expect("iproute2").success());
            test();
        });
        thread.join().expect("the test");
    }

    const AT: Hook = Hook {
        ifindex: 7,
        egress: true,
    };

    #[test]
    fn a_filter_is_replaced_in_place_and_removed_twice() {
        with_devices(|| {
            assert_eq!(attached(AT), None);
            detach(AT).expect("nothing to do");
            for name in [c"weft_one", c"weft_two"] {
                attach(AT, program(name).as_fd()).expect("attached");
                assert_eq!(attached(AT), Some(name.to_bytes().to_vec()));
                assert_eq!(
                    attached(Hook {
                        egress: false,
                        ..AT
                    }),
                    None
                );
            }
            detach(AT).expect("detached");
            detach(AT).expect("nothing to do");
            assert_eq!(attached(AT), None);
            assert_eq!(attached(Hook { ifindex: 9, ..AT }), None, "no such device");
            assert!(attach(Hook { ifindex: 9, ..AT }, program(c"weft_one").as_fd()).is_err());
        });
    }

    #[test]
    fn a_sweep_takes_ours_of_the_given_names_and_nobody_elses() {
        with_devices(|| {
            let other = Hook { ifindex: 8, ..AT };
            attach(AT, program(c"weft_to_underla").as_fd()).expect("attached");
            attach(other, program(c"weft_to_pod").as_fd()).expect("attached");
            sweep(&["weft_to_underlay"], 7).expect("swept");
            assert!(attached(AT).is_some() && attached(other).is_some());
            sweep(&["weft_to_underlay"], 8).expect("swept");
            assert!(attached(AT).is_none() && attached(other).is_some());
            attach(AT, program(c"strange").as_fd()).expect("attached");
            sweep(&[], 0).expect("swept");
            assert!(attached(other).is_none());
            detach(AT).expect("not ours, so nothing to do");
            let shown = Command::new("tc")
                .args(["filter", "show", "dev", "seven", "egress"])
                .output();
            let shown = String::from_utf8(shown.expect("iproute2").stdout).expect("text");
            assert!(shown.contains("strange"), "{shown}");
        });
    }
}
