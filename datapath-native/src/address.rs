//! Addresses between text and the 16 bytes that the maps hold.

use std::net::{IpAddr, Ipv6Addr};

use crate::layout::Addr;

/// Bits in front of an IPv4 address in its 16-byte form.
const IPV4_BITS: u32 = 96;

pub fn parse(text: &str) -> Result<Addr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("\"{text}\" is not an IP address"))?;
    Ok(encode(address))
}

pub fn encode(address: IpAddr) -> Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub fn decode(addr: &Addr) -> IpAddr {
    Ipv6Addr::from(*addr).to_canonical()
}

pub fn format(addr: &Addr) -> String {
    decode(addr).to_string()
}

pub fn is_zero(addr: &Addr) -> bool {
    addr == &[0; 16]
}

pub fn is_ipv4(addr: &Addr) -> bool {
    decode(addr).is_ipv4()
}

/// "10.0.0.0/8" becomes (::ffff:10.0.0.0, 104). Bits behind the prefix must be zero.
pub fn parse_prefix(text: &str) -> Result<(Addr, u32), String> {
    let bad = || format!("\"{text}\" is not a prefix such as 10.0.0.0/8 or fd00::/64");
    let (address, length) = text.split_once('/').ok_or_else(bad)?;
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let length: u32 = length.parse().map_err(|_| bad())?;
    let (most, before) = if address.is_ipv4() {
        (32, IPV4_BITS)
    } else {
        (128, 0)
    };
    if length > most {
        return Err(bad());
    }
    let addr = encode(address);
    let length = length + before;
    let host_bits = if length == 128 {
        0
    } else {
        u128::MAX >> length
    };
    if u128::from_be_bytes(addr) & host_bits != 0 {
        return Err(format!("\"{text}\" has bits set behind its prefix"));
    }
    Ok((addr, length))
}

pub fn format_prefix(addr: &Addr, length: u32) -> String {
    match decode(addr) {
        IpAddr::V4(address) if length >= IPV4_BITS => format!("{address}/{}", length - IPV4_BITS),
        _ => format!("{}/{length}", Ipv6Addr::from(*addr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_survive_the_way_to_bytes_and_back() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "::/0",
            "fd00::/64",
            "fd00::7/128",
        ] {
            let (addr, length) = parse_prefix(text).expect(text);
            assert_eq!(format_prefix(&addr, length), text);
        }
    }

    #[test]
    fn an_ipv4_prefix_counts_bits_of_the_mapped_address() {
        assert_eq!(parse_prefix("0.0.0.0/0").map(|(_, length)| length), Ok(96));
        assert_eq!(
            parse_prefix("10.0.0.1/32").map(|(_, length)| length),
            Ok(128)
        );
    }

    #[test]
    fn text_that_is_no_prefix_is_refused_with_a_sentence() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.1/8",
            "x/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
        ] {
            let error = parse_prefix(text).expect_err(text);
            assert!(error.contains(text), "{error}");
        }
    }
}
