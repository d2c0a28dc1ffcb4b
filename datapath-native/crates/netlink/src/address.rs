//! Addresses of devices.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};

use crate::route::family;
use crate::socket::{Error, Socket};

impl Socket {
    /// (device, "10.0.0.1/24") of every address.
    pub(crate) fn addresses(&mut self) -> Result<Vec<(u32, String)>, Error> {
        let objects = self.dump(
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            "listing addresses",
        )?;
        let found = objects.into_iter().filter_map(|object| {
            let RouteNetlinkMessage::NewAddress(message) = object else {
                return None;
            };
            // On a point-to-point device ADDRESS is the peer's and LOCAL the own one.
            let own = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Local(address) => Some(*address),
                    _ => None,
                });
            let address = own.or_else(|| {
                message
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        AddressAttribute::Address(address) => Some(*address),
                        _ => None,
                    })
            })?;
            Some((
                message.header.index,
                format!("{address}/{}", message.header.prefix_len),
            ))
        });
        Ok(found.collect())
    }

    /// IPv6 addresses are usable at once (no duplicate address detection).
    pub fn add_address(&mut self, index: u32, address: IpAddr, length: u8) -> Result<(), Error> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.index = index;
        message.header.prefix_len = length;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(
                AddressFlags::Nodad | AddressFlags::Noprefixroute,
            ));
        }
        let action = format!("adding address {address}/{length}");
        self.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_REPLACE,
            &action,
        )
    }
}
