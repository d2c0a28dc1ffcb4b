//! The pod's side of its veth: a host address, a default route to a gateway that exists only as a neighbour entry.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weft_netlink::{Link, NextHop, POD_ROUTE_PROTOCOL, Route, Socket, in_namespace};

use crate::agent::Grant;
use crate::error::{Code, Failure};
use crate::host::{HOST_MAC, sysctl};

pub const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
pub const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
const LOOPBACK: u32 = 1;
/// Of Envoy's connections to servers; see bpf/layout.h.
const PROXY_PORTS: &str = "61000-65535";

pub fn open_netns(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|cause| {
        Failure::new(
            Code::Io,
            format!("the network namespace {path} can't be opened: {cause}"),
        )
    })
}

pub fn gateway(family_of: IpAddr) -> IpAddr {
    if family_of.is_ipv4() {
        GATEWAY_V4
    } else {
        GATEWAY_V6
    }
}

fn anywhere(family_of: IpAddr) -> IpAddr {
    if family_of.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

pub fn configure(netns: &File, if_name: &str, grant: &Grant) -> Result<(), Failure> {
    in_netns(netns, || {
        if grant.addresses.iter().any(|(address, _)| address.is_ipv6()) {
            enable_ipv6(if_name)?;
        }
        let mut socket = Socket::open()?;
        let index = own_link(&mut socket, if_name)?.index;
        socket.set_up(LOOPBACK)?;
        socket.set_mtu(index, grant.mtu)?;
        socket.set_up(index)?;
        for &(address, length) in &grant.addresses {
            socket.add_address(index, address, length)?;
            let via = gateway(address);
            socket.replace_neighbour(index, via, HOST_MAC)?;
            let next_hop = NextHop {
                via: Some(via),
                device: Some(index),
                onlink: true,
            };
            let default = Route {
                destination: anywhere(address),
                length: 0,
                next_hop,
                protocol: POD_ROUTE_PROTOCOL,
            };
            socket.replace_route(&default)?;
        }
        if grant.proxy {
            make_proxy(&mut socket, if_name, grant)
        } else {
            // Envoy takes these, with the addresses of its clients.
            sysctl("net/ipv4/ip_local_reserved_ports", PROXY_PORTS)
        }
    })
}

/// A namespace for Envoy: all that arrives is for its listeners, whatever address it is to.
fn make_proxy(socket: &mut Socket, if_name: &str, grant: &Grant) -> Result<(), Failure> {
    for (key, value) in [
        ("net/ipv4/ip_local_port_range", "61000 65535"),
        // A socket in TIME_WAIT would get the packet that opens its client's next connection.
        ("net/ipv4/tcp_max_tw_buckets", "0"),
        // The answer to a cookie would find no listener: cookies belong to no socket.
        ("net/ipv4/tcp_syncookies", "0"),
        ("net/ipv4/tcp_max_syn_backlog", "16384"),
        ("net/core/somaxconn", "16384"),
    ] {
        sysctl(key, value)?;
    }
    sysctl(&format!("net/ipv4/conf/{if_name}/rp_filter"), "0")?;
    sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    for ipv6 in [false, true] {
        if grant.addresses.iter().any(|(one, _)| one.is_ipv6() == ipv6) {
            socket.deliver_locally(if_name, ipv6)?;
        }
    }
    Ok(())
}

/// containerd starts namespaces with IPv6 off. Addresses and routes come from the agent alone, never from the link.
fn enable_ipv6(if_name: &str) -> Result<(), Failure> {
    sysctl("net/ipv6/conf/lo/disable_ipv6", "0")?;
    for (key, value) in [
        ("disable_ipv6", "0"),
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("accept_dad", "0"),
    ] {
        sysctl(&format!("net/ipv6/conf/{if_name}/{key}"), value)?;
    }
    Ok(())
}

/// Compares the namespace with what ADD made of it.
pub fn verify(netns: &File, if_name: &str, addresses: &[(IpAddr, u8)]) -> Result<(), Failure> {
    in_netns(netns, || {
        let mut socket = Socket::open()?;
        let link = own_link(&mut socket, if_name)?;
        if !link.up {
            return Err(unexpected(format!("the pod's device {if_name} is down")));
        }
        let routes = socket.routes(POD_ROUTE_PROTOCOL)?;
        for &(address, length) in addresses {
            if !link.addresses.contains(&format!("{address}/{length}")) {
                return Err(unexpected(format!(
                    "the pod's device {if_name} lost its address {address}/{length}"
                )));
            }
            let is_default = |route: &Route| {
                route.length == 0
                    && route.next_hop.device == Some(link.index)
                    && route.next_hop.via == Some(gateway(address))
            };
            if !routes.iter().any(is_default) {
                return Err(unexpected(format!(
                    "the pod lost its default route via {}",
                    gateway(address)
                )));
            }
        }
        Ok(())
    })
}

fn own_link(socket: &mut Socket, if_name: &str) -> Result<Link, Failure> {
    socket.link(if_name)?.ok_or_else(|| {
        unexpected(format!(
            "the pod's network namespace has no device {if_name}"
        ))
    })
}

pub fn unexpected(sentence: String) -> Failure {
    Failure::new(Code::NotAsExpected, sentence)
}

fn in_netns<T: Send>(
    netns: &File,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    in_namespace(netns, || Ok(work()))?
}
