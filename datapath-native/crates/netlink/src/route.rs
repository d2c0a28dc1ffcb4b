//! Routes of the main table.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::socket::{Error, Socket};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub destination: IpAddr,
    /// Bits of the destination that count.
    pub length: u8,
    pub next_hop: NextHop,
    /// rtnetlink's protocol number: who made the route.
    pub protocol: u8,
}

/// Without via and device: packets to the destination are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    pub via: Option<IpAddr>,
    pub device: Option<u32>,
    /// The next hop is reachable on the device although no route says so.
    pub onlink: bool,
}

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn read_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

impl Route {
    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.destination);
        message.header.destination_prefix_length = self.length;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Other(self.protocol);
        let drops = self.next_hop.via.is_none() && self.next_hop.device.is_none();
        message.header.kind = if drops {
            RouteType::BlackHole
        } else {
            RouteType::Unicast
        };
        message.header.scope = if self.next_hop.device.is_some() && self.next_hop.via.is_none() {
            RouteScope::Link
        } else {
            RouteScope::Universe
        };
        if self.next_hop.onlink {
            message.header.flags = RouteFlags::Onlink;
        }
        if self.length > 0 {
            message
                .attributes
                .push(RouteAttribute::Destination(self.destination.into()));
        }
        if let Some(via) = self.next_hop.via {
            message.attributes.push(RouteAttribute::Gateway(via.into()));
        }
        if let Some(device) = self.next_hop.device {
            message.attributes.push(RouteAttribute::Oif(device));
        }
        message
    }

    fn read(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let unspecified: IpAddr = match header.address_family {
            AddressFamily::Inet => [0u8; 4].into(),
            AddressFamily::Inet6 => [0u8; 16].into(),
            _ => return None,
        };
        let mut route = Self {
            destination: unspecified,
            length: header.destination_prefix_length,
            next_hop: NextHop {
                onlink: header.flags.contains(RouteFlags::Onlink),
                ..NextHop::default()
            },
            protocol: header.protocol.into(),
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => route.destination = read_address(address)?,
                RouteAttribute::Gateway(address) => route.next_hop.via = read_address(address),
                RouteAttribute::Oif(device) => route.next_hop.device = Some(*device),
                _ => {}
            }
        }
        // IPv6 shows the loopback device there.
        if header.kind == RouteType::BlackHole {
            route.next_hop.device = None;
        }
        Some(route)
    }
}

impl Socket {
    /// The routes of the main table with this protocol number, sorted.
    pub fn routes(&mut self, protocol: u8) -> Result<Vec<Route>, Error> {
        let wanted = |header: &RouteHeader| {
            header.table == RouteHeader::RT_TABLE_MAIN
                && header.protocol == RouteProtocol::Other(protocol)
        };
        let objects = self.dump(
            RouteNetlinkMessage::GetRoute(RouteMessage::default()),
            "listing routes",
        )?;
        let mut routes: Vec<Route> = objects
            .iter()
            .filter_map(|object| match object {
                RouteNetlinkMessage::NewRoute(message) if wanted(&message.header) => {
                    Route::read(message)
                }
                _ => None,
            })
            .collect();
        routes.sort();
        Ok(routes)
    }

    pub fn replace_route(&mut self, route: &Route) -> Result<(), Error> {
        let action = format!("adding the route to {}/{}", route.destination, route.length);
        self.change(
            RouteNetlinkMessage::NewRoute(route.message()),
            NLM_F_CREATE | NLM_F_REPLACE,
            &action,
        )
    }

    /// Absent is no error.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), Error> {
        let action = format!(
            "deleting the route to {}/{}",
            route.destination, route.length
        );
        let mut message = route.message();
        message.header.scope = RouteScope::NoWhere;
        message.header.kind = RouteType::Unspec;
        match self.change(RouteNetlinkMessage::DelRoute(message), 0, &action) {
            Err(error) if error.is_absent() => Ok(()),
            result => result,
        }
    }
}
