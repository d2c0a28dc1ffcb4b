//! From root with a few capabilities to an ordinary user with one.

use std::io::{Error, Result};

/// Envoy binds upstream sockets to the client's address, listens for connections to others' addresses (IP_TRANSPARENT)
/// and marks what it passes on (SO_MARK, Linux 5.17): the kernel asks for this one.
const CAP_NET_RAW: u32 = 13;
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Becomes uid and gid for good, with CAP_NET_RAW alone, which children keep (ambient). Who is not root stays who it is.
/// An error is a sentence.
pub fn drop_to(uid: u32, gid: u32) -> std::result::Result<(), String> {
    // SAFETY: no pointers.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let steps = || -> Result<()> {
        prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
        // SAFETY: no group is passed.
        zero(unsafe { libc::setgroups(0, std::ptr::null()) })?;
        // SAFETY: no pointers.
        zero(unsafe { libc::setresgid(gid, gid, gid) })?;
        // SAFETY: no pointers.
        zero(unsafe { libc::setresuid(uid, uid, uid) })
    };
    steps().map_err(|error| {
        format!("can't become user {uid}: {error}; it needs the capabilities SETUID and SETGID")
    })?;
    keep_net_raw().map_err(|error| {
        format!("can't keep the capability NET_RAW, without which Envoy can't use the clients' addresses: {error}")
    })?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
        .map_err(|error| format!("can't set no_new_privs: {error}"))
}

fn keep_net_raw() -> Result<()> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let one = 1 << CAP_NET_RAW;
    let sets = [
        Sets {
            effective: one,
            permitted: one,
            inheritable: one,
        },
        Sets::default(),
    ];
    // SAFETY: version 3 takes a header and two sets, which live through the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    if result != 0 {
        return Err(Error::last_os_error());
    }
    prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong,
        libc::c_ulong::from(CAP_NET_RAW),
    )
}

fn prctl(option: libc::c_int, first: libc::c_ulong, second: libc::c_ulong) -> Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: these options take numbers only.
    zero(unsafe { libc::prctl(option, first, second, none, none) })
}

fn zero(result: libc::c_int) -> Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}
