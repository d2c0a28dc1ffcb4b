//! The little of rtnetlink that Weft's addon and CNI binary need: links, addresses, routes, neighbours, and entering
//! a network namespace. All calls block; use them on a thread of your own.

mod address;
mod delivery;
mod link;
mod neighbour;
mod netns;
mod route;
mod socket;

pub use link::{Link, VethPair};
pub use netns::in_namespace;
pub use route::{NextHop, Route};
pub use socket::{Error, Socket};

/// rtnetlink's protocol number of the routes to other nodes' pods, which the agent makes (free in iproute2's
/// rt_protos).
pub const NODE_ROUTE_PROTOCOL: u8 = 77;
/// The same of the routes of single pods, which the CNI binary makes on both ends of a veth.
pub const POD_ROUTE_PROTOCOL: u8 = 78;

/// "02:77:65:66:74:01"
pub fn format_mac(mac: &[u8]) -> String {
    mac.iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

/// None if the text is not six hexadecimal bytes with colons between them.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(hex_byte).collect();
    bytes?.try_into().ok()
}

fn hex_byte(text: &str) -> Option<u8> {
    let hexadecimal = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal {
        u8::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{format_mac, parse_mac};

    #[test]
    fn a_mac_survives_the_way_to_text_and_back() {
        let mac = [0x02, 0x77, 0x65, 0x66, 0x74, 0xff];
        assert_eq!(parse_mac(&format_mac(&mac)), Some(mac));
    }

    #[test]
    fn text_that_is_no_mac_is_refused() {
        for text in [
            "",
            "02:77:65:66:74",
            "02:77:65:66:74:01:02",
            "2:77:65:66:74:01",
            "zz:77:65:66:74:01",
            "+2:77:65:66:74:01",
        ] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
