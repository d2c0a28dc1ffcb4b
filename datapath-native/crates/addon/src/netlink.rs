//! rtnetlink and credentials of unix sockets.

use std::net::IpAddr;

use napi::Result;
use napi_derive::napi;
use weft_netlink::{Link, NODE_ROUTE_PROTOCOL, NextHop, Route, Socket, format_mac, parse_mac};

use crate::task::{Promise, blocking, rejected};

#[napi(object)]
pub struct JsLink {
    pub index: u32,
    pub name: String,
    pub mac: String,
    pub mtu: u32,
    pub up: bool,
    pub addresses: Vec<String>,
}

#[napi(object)]
pub struct JsRoute {
    pub destination: String,
    pub via: Option<String>,
    pub device: Option<String>,
}

#[napi(object)]
pub struct JsNeighbour {
    pub device: String,
    pub address: String,
    pub mac: String,
}

#[napi(object)]
pub struct JsCredentials {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

#[napi]
pub fn links() -> Promise<Vec<JsLink>> {
    blocking(|| Ok(all_links()?.into_iter().map(JsLink::from).collect()))
}

#[napi]
pub fn routes() -> Promise<Vec<JsRoute>> {
    blocking(|| {
        let links = all_links()?;
        let routes = Socket::open()
            .and_then(|mut socket| socket.routes(NODE_ROUTE_PROTOCOL))
            .map_err(rejected)?;
        Ok(routes
            .into_iter()
            .map(|route| format_route(&route, &links))
            .collect())
    })
}

#[napi]
pub fn replace_route(route: JsRoute) -> Promise<()> {
    blocking(move || {
        let route = parse_route(&route)?;
        Socket::open()
            .and_then(|mut socket| socket.replace_route(&route))
            .map_err(rejected)
    })
}

#[napi]
pub fn delete_route(route: JsRoute) -> Promise<()> {
    blocking(move || {
        // A device that is gone took its routes along.
        let gone = match &route.device {
            Some(name) => !all_links()?.iter().any(|link| link.name == *name),
            None => false,
        };
        if gone {
            return Ok(());
        }
        let route = parse_route(&route)?;
        Socket::open()
            .and_then(|mut socket| socket.delete_route(&route))
            .map_err(rejected)
    })
}

#[napi]
pub fn replace_neighbour(entry: JsNeighbour) -> Promise<()> {
    blocking(move || {
        let index = device(&entry.device)?;
        let address = parse_address(&entry.address)?;
        let mac = parse_mac(&entry.mac)
            .ok_or_else(|| rejected(format_args!("\"{}\" is not a MAC", entry.mac)))?;
        Socket::open()
            .and_then(|mut socket| socket.replace_neighbour(index, address, mac))
            .map_err(rejected)
    })
}

#[napi]
pub fn peer_credentials(fd: i32) -> Result<JsCredentials> {
    let mut found = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `found`.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        let cause = std::io::Error::last_os_error();
        return Err(rejected(format_args!(
            "reading the credentials of descriptor {fd}'s peer: {cause}"
        )));
    }
    // The pid of a process in another pid namespace is 0 as well; what nobody connected to has no owner.
    if found.uid == u32::MAX {
        return Err(rejected(format_args!(
            "descriptor {fd} is not a connected unix socket"
        )));
    }
    Ok(JsCredentials {
        pid: found.pid,
        uid: found.uid,
        gid: found.gid,
    })
}

fn all_links() -> Result<Vec<Link>> {
    Socket::open()
        .and_then(|mut socket| socket.links())
        .map_err(rejected)
}

fn device(name: &str) -> Result<u32> {
    let found = all_links()?.into_iter().find(|link| link.name == name);
    found
        .map(|link| link.index)
        .ok_or_else(|| rejected(format_args!("there is no device {name}")))
}

fn parse_address(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| rejected(format_args!("\"{text}\" is not an IP address")))
}

fn parse_route(route: &JsRoute) -> Result<Route> {
    let text = &route.destination;
    let bad = || {
        rejected(format_args!(
            "\"{text}\" is not a prefix such as 10.244.1.0/24"
        ))
    };
    let (address, length) = text.split_once('/').ok_or_else(bad)?;
    let destination: IpAddr = address.parse().map_err(|_| bad())?;
    let length: u8 = length.parse().map_err(|_| bad())?;
    if length > if destination.is_ipv4() { 32 } else { 128 } {
        return Err(bad());
    }
    let via = route.via.as_deref().map(parse_address).transpose()?;
    let device = route.device.as_deref().map(device).transpose()?;
    Ok(Route {
        destination,
        length,
        next_hop: NextHop {
            via,
            device,
            onlink: false,
        },
        protocol: NODE_ROUTE_PROTOCOL,
    })
}

fn format_route(route: &Route, links: &[Link]) -> JsRoute {
    let name = |index: u32| {
        links
            .iter()
            .find(|link| link.index == index)
            .map(|link| link.name.clone())
    };
    JsRoute {
        destination: format!("{}/{}", route.destination, route.length),
        via: route.next_hop.via.map(|via| via.to_string()),
        device: route.next_hop.device.and_then(name),
    }
}

impl From<Link> for JsLink {
    fn from(link: Link) -> Self {
        Self {
            index: link.index,
            name: link.name,
            mac: format_mac(&link.mac),
            mtu: link.mtu,
            up: link.up,
            addresses: link.addresses,
        }
    }
}
