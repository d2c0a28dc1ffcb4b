//! A network namespace that takes every packet for its own, whatever address it is to.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::POD_ROUTE_PROTOCOL;
use crate::socket::{Error, Socket};

const TABLE: u8 = 100;
const LOOPBACK: u32 = 1;

impl Socket {
    /// What comes in by the device is delivered to this namespace's sockets: `ip rule add iif DEVICE lookup 100`,
    /// `ip route add local default dev lo table 100`. What they send takes the usual routes. Present is no error.
    pub fn deliver_locally(&mut self, device: &str, ipv6: bool) -> Result<(), Error> {
        let family = if ipv6 {
            AddressFamily::Inet6
        } else {
            AddressFamily::Inet
        };
        let mut route = RouteMessage::default();
        route.header.address_family = family;
        route.header.table = TABLE;
        route.header.protocol = RouteProtocol::Other(POD_ROUTE_PROTOCOL);
        route.header.kind = RouteType::Local;
        route.header.scope = RouteScope::Host;
        route.attributes = vec![RouteAttribute::Oif(LOOPBACK)];
        self.change(
            RouteNetlinkMessage::NewRoute(route),
            NLM_F_CREATE | NLM_F_REPLACE,
            "adding the route that delivers all packets",
        )?;
        let mut rule = RuleMessage::default();
        rule.header.family = family;
        rule.header.table = TABLE;
        rule.header.action = RuleAction::ToTable;
        rule.attributes = vec![RuleAttribute::Iifname(device.to_owned())];
        let added = self.change(
            RouteNetlinkMessage::NewRule(rule),
            NLM_F_CREATE | NLM_F_EXCL,
            "adding the rule that delivers all packets",
        );
        match added {
            Err(error) if error.is_present() => Ok(()),
            result => result,
        }
    }
}
