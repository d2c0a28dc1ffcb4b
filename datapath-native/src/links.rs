//! bpf links of all kinds: made, pinned, and updated in place when a process takes over. Without tcx, packet programs
//! are filters, and what is pinned is the program: see clsact.rs.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libbpf_rs::query::{LinkInfo, LinkTypeInfo};

pub use crate::clsact::has_tcx;
use crate::clsact::{self, Hook};
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
    if let Some(hook) = filter(target, program.attach_type) {
        replace_pin(&program.fd, path).step(step)?;
        return clsact::attach(hook, program.fd.as_fd()).step(|| {
            let what = step();
            format!("{what} as a filter (this kernel has no tcx, so it needs the modules sch_ingress and cls_bpf)")
        });
    }
    if path.exists() {
        let pinned = open(path).step(step)?;
        if is_at(&pinned, target).step(step)? && update(&pinned, program).is_ok() {
            return Ok(());
        }
        fs::remove_file(path).step(step)?;
    }
    let link = create(target, program.fd.as_fd(), program.attach_type).step(step)?;
    pin(&link, path).step(step)
}

/// Attaches for as long as the returned link is open; None: for as long as the device lives.
pub fn attach_unpinned(
    target: Target<'_>,
    program: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<Option<OwnedFd>> {
    match filter(target, attach_type) {
        Some(hook) => clsact::attach(hook, program).map(|()| None),
        None => create(target, program, attach_type).map(Some),
    }
}

/// Where the program becomes a filter instead of a link.
fn filter(target: Target<'_>, attach_type: u32) -> Option<Hook> {
    match target {
        Target::Device(ifindex) if !clsact::has_tcx() => Some(Hook::new(ifindex, attach_type)),
        _ => None,
    }
}

fn create(target: Target<'_>, program: BorrowedFd<'_>, attach_type: u32) -> io::Result<OwnedFd> {
    let at = match target {
        Target::Device(ifindex) => ifindex as i32,
        Target::Cgroup(directory) => directory.as_raw_fd(),
    };
    // SAFETY: descriptors are open; without options the kernel attaches behind programs that are there already.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), at, attach_type, std::ptr::null())
    };
    owned(fd)
}

fn update(link: &OwnedFd, program: &Program) -> io::Result<()> {
    // SAFETY: both descriptors are open.
    check(unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), program.fd.as_raw_fd(), std::ptr::null())
    })
}

/// Gives the link that is pinned at the path, if there is one, the program in place of its own. A filter is only reached
/// from its network namespace: whoever attached it there does it again.
pub fn refresh(path: &Path, program: &Program) -> Result<()> {
    if !path.exists() || !clsact::has_tcx() {
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

/// At no time is there no pin at the path.
fn replace_pin(program: &OwnedFd, path: &Path) -> io::Result<()> {
    let next = path.with_file_name("next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => pin(program, &next)?,
    }
    fs::rename(&next, path)
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

/// True if what is pinned at the path is still attached.
/// at: None if the device is in another network namespace, where filters can't be seen: they end with their device.
pub fn is_alive(path: &Path, at: Option<Hook>) -> bool {
    if !clsact::has_tcx() {
        return at.is_none_or(|hook| clsact::attached(hook).is_some());
    }
    let alive = |link: OwnedFd| {
        let info = LinkInfo::from_fd(link.as_fd()).ok()?;
        Some(matches!(info.info, LinkTypeInfo::Tcx(tcx) if tcx.ifindex != 0))
    };
    open(path).ok().and_then(alive).unwrap_or(false)
}

/// Filters of other devices with these programs: of an underlay that is none any more.
pub fn remove_strays(programs: &[&str], except: u32) -> Result<()> {
    if clsact::has_tcx() {
        return Ok(());
    }
    clsact::sweep(programs, except).step(|| "removing filters of other devices".to_owned())
}

/// All filters of this network namespace. Links end with their pins.
pub fn remove_filters() -> Result<()> {
    remove_strays(&[], 0)
}

/// Absent is no error.
/// at: as for `is_alive`.
pub fn detach(path: &Path, at: Option<Hook>) -> Result<()> {
    if let Some(hook) = at
        && !clsact::has_tcx()
    {
        clsact::detach(hook).step(|| format!("removing the filter of device {}", hook.ifindex))?;
    }
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
