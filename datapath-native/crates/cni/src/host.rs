//! The host's side of a pod's veth.

use std::fs;
use std::net::IpAddr;

use weft_netlink::{NextHop, POD_ROUTE_PROTOCOL, Route, Socket};

use crate::config::Attachment;
use crate::error::{Code, Failure};

pub const POD_MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x01];
pub const HOST_MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x02];
const PREFIX: &str = "weft";
/// Of the hash, so that the name has the 15 characters that the kernel allows.
const DIGITS: usize = 11;

/// Name of the host's side: found again from what DEL and GC know.
pub fn device_name(container_id: &str, if_name: &str) -> String {
    let bytes = container_id.bytes().chain([0]).chain(if_name.bytes());
    // FNV-1a
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let digits = format!("{hash:016x}");
    format!("{PREFIX}{}", &digits[..DIGITS])
}

pub fn of(attachment: &Attachment) -> String {
    device_name(&attachment.container_id, &attachment.if_name)
}

/// True for names that `device_name` makes.
pub fn is_device_name(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.strip_prefix(PREFIX)
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(digit))
}

/// Sets the device up and routes the pod's addresses to it, so that the node itself reaches the pod.
pub fn configure(
    name: &str,
    index: u32,
    addresses: &[(IpAddr, u8)],
    mtu: u32,
) -> Result<(), Failure> {
    let ipv6 = addresses.iter().any(|(address, _)| address.is_ipv6());
    sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0")?;
    if ipv6 {
        for (key, value) in [
            ("disable_ipv6", "0"),
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("accept_dad", "0"),
        ] {
            sysctl(&format!("net/ipv6/conf/{name}/{key}"), value)?;
        }
    }
    let mut socket = Socket::open()?;
    socket.set_mtu(index, mtu)?;
    socket.set_up(index)?;
    for &(address, length) in addresses {
        let next_hop = NextHop {
            via: None,
            device: Some(index),
            onlink: false,
        };
        socket.replace_route(&Route {
            destination: address,
            length,
            next_hop,
            protocol: POD_ROUTE_PROTOCOL,
        })?;
        socket.replace_neighbour(index, address, POD_MAC)?;
    }
    Ok(())
}

/// Of the network namespace that the calling thread is in. `key` has slashes.
pub fn sysctl(key: &str, value: &str) -> Result<(), Failure> {
    let path = format!("/proc/sys/{key}");
    fs::write(&path, value)
        .map_err(|cause| Failure::new(Code::Io, format!("{path} can't be set to {value}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_fits_the_kernel_and_is_recognised() {
        let name = device_name(&"c".repeat(64), "eth0");
        assert_eq!(name.len(), 15);
        assert!(is_device_name(&name));
        assert_ne!(name, device_name(&"c".repeat(64), "eth1"));
        assert_ne!(device_name("ab", "c"), device_name("a", "bc"));
    }

    #[test]
    fn devices_of_others_are_not_taken_for_ours() {
        for name in [
            "weft",
            "weft0",
            "weft-br",
            "weftABCDEF01234",
            "veth0123456789a",
            "weft0123456789",
        ] {
            assert!(!is_device_name(name), "{name}");
        }
    }
}
