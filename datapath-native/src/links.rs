//! bpf links of all kinds: made, pinned, and updated in place when a process takes over.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libbpf_rs::query::{LinkInfo, LinkTypeInfo};

use crate::error::{Error, Result, Step};

/// Where a program is attached.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// ifindex
    Device(u32),
    Cgroup(&'a fs::File),
}

pub struct Program {
    pub name: String,
    pub fd: OwnedFd,
    pub attach_type: u32,
}

/// Attaches the program so that it is pinned at `path` afterwards. A link that is pinned there and still at the same
/// target gets the program in place of its own, so that no packet passes unseen; any other is replaced.
pub fn attach(path: &Path, target: Target<'_>, program: &Program) -> Result<()> {
    let step = || format!("attaching {} at {}", program.name, path.display());
    if path.exists() {
        let pinned = open(path).step(step)?;
        if is_at(&pinned, target).step(step)? && update(&pinned, program).is_ok() {
            return Ok(());
        }
        fs::remove_file(path).step(step)?;
    }
    let link = create(target, program).step(|| no_tcx_hint(step(), target))?;
    pin(&link, path).step(step)
}

fn no_tcx_hint(step: String, target: Target<'_>) -> String {
    match target {
        Target::Device(index) => {
            format!("{step} (device {index}; this needs tcx, in kernel 6.6 and later)")
        }
        Target::Cgroup(_) => step,
    }
}

fn create(target: Target<'_>, program: &Program) -> io::Result<OwnedFd> {
    let at = match target {
        Target::Device(ifindex) => ifindex as i32,
        Target::Cgroup(directory) => directory.as_raw_fd(),
    };
    // SAFETY: descriptors are open; without options the kernel attaches behind programs that are there already.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(
            program.fd.as_raw_fd(),
            at,
            program.attach_type,
            std::ptr::null(),
        )
    };
    owned(fd)
}

fn update(link: &OwnedFd, program: &Program) -> io::Result<()> {
    // SAFETY: both descriptors are open.
    check(unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), program.fd.as_raw_fd(), std::ptr::null())
    })
}

/// Gives the link that is pinned at the path, if there is one, the program in place of its own.
pub fn refresh(path: &Path, program: &Program) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let step = || format!("updating {}", path.display());
    update(&open(path).step(step)?, program).step(step)
}

fn pin(link: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the descriptor is open and the path is a C string.
    check(unsafe { libbpf_sys::bpf_obj_pin(link.as_raw_fd(), path.as_ptr()) })
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: the path is a C string.
    owned(unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// libbpf answers -errno.
fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(())
    }
}

fn is_at(link: &OwnedFd, target: Target<'_>) -> io::Result<bool> {
    let info = LinkInfo::from_fd(link.as_fd()).map_err(io::Error::other)?;
    Ok(match (info.info, target) {
        (LinkTypeInfo::Tcx(tcx), Target::Device(ifindex)) => tcx.ifindex == ifindex,
        (LinkTypeInfo::Cgroup(cgroup), Target::Cgroup(directory)) => {
            cgroup.cgroup_id == directory.metadata()?.ino()
        }
        _ => false,
    })
}

/// True if the device of the tcx link pinned at the path is still there.
pub fn is_alive(path: &Path) -> bool {
    let alive = |link: OwnedFd| {
        let info = LinkInfo::from_fd(link.as_fd()).ok()?;
        Some(matches!(info.info, LinkTypeInfo::Tcx(tcx) if tcx.ifindex != 0))
    };
    open(path).ok().and_then(alive).unwrap_or(false)
}

/// Absent is no error.
pub fn detach(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new(
            format_args!("removing {}", path.display()),
            error,
        )),
        _ => Ok(()),
    }
}

pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned()
        .step(|| "duplicating a descriptor".to_owned())
}

/// Names of the links pinned in a directory.
pub fn pinned(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).step(|| format!("reading {}", directory.display()))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

/// Path of the link of a pod's device.
pub fn pod_path(directory: &Path, ifindex: u32, direction: &str) -> PathBuf {
    directory.join(format!("pod-{ifindex}-{direction}"))
}

/// The ifindex in the name of a pod's link.
pub fn pod_ifindex(name: &str) -> Option<u32> {
    name.strip_prefix("pod-")?.split_once('-')?.0.parse().ok()
}
