//! Bytes of the maps' keys and values, written from bpf/layout.h a second time so that the loader's encoders are no
//! judge of themselves.

use std::net::IpAddr;

pub const WORLD: u8 = 0;
pub const POD: u8 = 1;
pub const HOST: u8 = 2;
pub const REMOTE_NODE: u8 = 3;
pub const INGRESS: u8 = 0;
pub const EGRESS: u8 = 1;
pub const INTERNAL: u8 = 0;
pub const EXTERNAL: u8 = 1;
pub const MAGLEV: u32 = 1;
pub const NODE_PORT: u32 = 2;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const NO_RULE: u16 = 0xffff;
pub const POD_MAC: [u8; 6] = [2, 0x77, 0x65, 0x66, 0x74, 1];
pub const HOST_MAC: [u8; 6] = [2, 0x77, 0x65, 0x66, 0x74, 2];
pub const MASQUERADE_MARK: u32 = 0x0020_0000;

#[derive(Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }
    pub fn u16(mut self, v: u16) -> Self {
        self.0.extend(v.to_ne_bytes());
        self
    }
    pub fn be16(mut self, v: u16) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }
    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_ne_bytes());
        self
    }
    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_ne_bytes());
        self
    }
    pub fn addr(mut self, v: IpAddr) -> Self {
        self.0.extend(addr(v));
        self
    }
    pub fn raw(mut self, v: &[u8]) -> Self {
        self.0.extend(v);
        self
    }
}

pub fn bytes() -> Bytes {
    Bytes::default()
}

pub fn addr(a: IpAddr) -> [u8; 16] {
    match a {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

pub fn parse_addr(b: &[u8]) -> IpAddr {
    let octets: [u8; 16] = b.try_into().expect("16 bytes");
    std::net::Ipv6Addr::from(octets).to_canonical()
}

/// Reasons by number, read from the header as the loader does.
pub fn reasons() -> Vec<(u32, String)> {
    let text = include_str!("../../bpf/layout.h");
    let entries = text.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix("REASON_")?.split_once(" = ")?;
        let number = rest.split([',', ' ']).next()?.parse().ok()?;
        (!["UNKNOWN", "MAX"].contains(&name)).then(|| (number, name.to_owned()))
    });
    entries.collect()
}

pub fn reason(name: &str) -> u32 {
    let all = reasons();
    all.iter()
        .find(|(_, n)| n == name)
        .unwrap_or_else(|| panic!("no reason {name}"))
        .0
}

/// struct weft_event.
#[allow(dead_code, reason = "failed assertions print all of it")]
#[derive(Debug, Clone)]
pub struct Event {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub service: Option<(IpAddr, u16)>,
    pub sport: u16,
    pub dport: u16,
    pub proto: u8,
    pub kind: u8,
    pub reason: u8,
    pub dir: u8,
    pub reply: bool,
    pub egress_rule: u16,
    pub ingress_rule: u16,
    pub src_slot: u32,
    pub dst_slot: u32,
    pub egress_set: u64,
    pub ingress_set: u64,
    pub packets: u64,
}

pub const NEW: u8 = 1;
pub const DROP: u8 = 2;
pub const REVOKED: u8 = 3;
pub const CLOSED: u8 = 4;

impl Event {
    pub fn decode(b: &[u8]) -> Event {
        let be16 = |i: usize| u16::from_be_bytes([b[i], b[i + 1]]);
        let ne16 = |i: usize| u16::from_ne_bytes([b[i], b[i + 1]]);
        let ne32 = |i: usize| u32::from_ne_bytes(b[i..i + 4].try_into().expect("4"));
        let ne64 = |i: usize| u64::from_ne_bytes(b[i..i + 8].try_into().expect("8"));
        assert_eq!(b.len(), 112, "struct weft_event changed");
        Event {
            src: parse_addr(&b[8..24]),
            dst: parse_addr(&b[24..40]),
            service: (b[40..56] != [0; 16]).then(|| (parse_addr(&b[40..56]), be16(60))),
            sport: be16(56),
            dport: be16(58),
            proto: b[62],
            kind: b[63],
            reason: b[64],
            dir: b[65],
            reply: b[67] != 0,
            egress_rule: ne16(68),
            ingress_rule: ne16(70),
            src_slot: ne32(72),
            dst_slot: ne32(76),
            egress_set: ne64(80),
            ingress_set: ne64(88),
            packets: ne64(96),
        }
    }
}
