//! Ethernet frames: made, changed, and their checksums verified.

use std::net::IpAddr;

use crate::layout::{HOST_MAC, POD_MAC, TCP, UDP, parse_addr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

fn sum(bytes: &[u8], start: u32) -> u32 {
    let pairs = bytes
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)));
    pairs.fold(start, |total, word| total + word)
}

fn fold(mut s: u32) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    !u16::try_from(s).expect("folded")
}

fn octets(a: IpAddr) -> Vec<u8> {
    match a {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn put16(b: &mut [u8], at: usize, v: u16) {
    b[at..at + 2].copy_from_slice(&v.to_be_bytes());
}

/// Where a transport keeps its checksum.
fn check_at(proto: u8) -> Option<usize> {
    match proto {
        TCP => Some(16),
        UDP => Some(6),
        ICMP | ICMPV6 => Some(2),
        _ => None,
    }
}

pub fn ip(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> Frame {
    let mut f = Vec::new();
    f.extend(HOST_MAC);
    f.extend(POD_MAC);
    let len = u16::try_from(payload.len()).expect("short");
    if src.is_ipv4() {
        f.extend([8, 0, 0x45, 0, 0, 0, 0, 7, 0, 0, 64, proto, 0, 0]);
        put16(&mut f, 16, len + 20);
    } else {
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, proto, 64]);
        put16(&mut f, 18, len);
    }
    f.extend(octets(src));
    f.extend(octets(dst));
    f.extend(payload);
    Frame(f).with_checksums()
}

pub fn tcp(src: IpAddr, sport: u16, dst: IpAddr, dport: u16, flags: u8) -> Frame {
    let mut h = vec![0; 20];
    put16(&mut h, 0, sport);
    put16(&mut h, 2, dport);
    h[4..8].copy_from_slice(&1000_u32.to_be_bytes());
    h[8..12].copy_from_slice(&(if flags & ACK == 0 { 0 } else { 2000_u32 }).to_be_bytes());
    h[12] = 5 << 4;
    h[13] = flags;
    ip(src, dst, TCP, &h)
}

pub fn udp(src: IpAddr, sport: u16, dst: IpAddr, dport: u16) -> Frame {
    let mut h = vec![0; 12];
    put16(&mut h, 0, sport);
    put16(&mut h, 2, dport);
    put16(&mut h, 4, 12);
    ip(src, dst, UDP, &h)
}

pub fn icmp(src: IpAddr, dst: IpAddr, kind_v4: u8, kind_v6: u8, body: &[u8]) -> Frame {
    let v4 = src.is_ipv4();
    let mut h = vec![if v4 { kind_v4 } else { kind_v6 }, 0, 0, 0];
    h.extend(body);
    ip(src, dst, if v4 { ICMP } else { ICMPV6 }, &h)
}

pub fn ping(src: IpAddr, dst: IpAddr) -> Frame {
    icmp(src, dst, 8, 128, &[0, 42, 0, 1])
}

pub fn pong(src: IpAddr, dst: IpAddr) -> Frame {
    icmp(src, dst, 0, 129, &[0, 42, 0, 1])
}

/// "Port unreachable" about `about`.
pub fn unreachable(src: IpAddr, dst: IpAddr, about: &Frame) -> Frame {
    let mut body = vec![0; 4];
    body.extend(&about.0[14..]);
    icmp(src, dst, 3, 1, &body)
}

impl Frame {
    pub fn v4(&self) -> bool {
        self.0[12] == 8
    }
    pub fn l4(&self) -> usize {
        if self.v4() { 34 } else { 54 }
    }
    pub fn proto(&self) -> u8 {
        self.0[if self.v4() { 23 } else { 20 }]
    }
    fn ends(&self) -> (&[u8], &[u8]) {
        if self.v4() {
            (&self.0[26..30], &self.0[30..34])
        } else {
            (&self.0[22..38], &self.0[38..54])
        }
    }
    pub fn src(&self) -> IpAddr {
        decode(self.ends().0)
    }
    pub fn ttl(&self) -> u8 {
        self.0[if self.v4() { 22 } else { 21 }]
    }
    pub fn with_ttl(&self, ttl: u8) -> Frame {
        let mut frame = self.clone();
        frame.0[if self.v4() { 22 } else { 21 }] = ttl;
        frame.with_checksums()
    }
    /// As the programs make resets: no identification, don't fragment, no window.
    pub fn like_reset(&self) -> Frame {
        let mut frame = self.clone();
        if self.v4() {
            frame.0[18..22].copy_from_slice(&[0, 0, 0x40, 0]);
        }
        frame.with_checksums()
    }
    pub fn with_macs(&self, dst: [u8; 6], src: [u8; 6]) -> Frame {
        let mut frame = self.clone();
        frame.0[..6].copy_from_slice(&dst);
        frame.0[6..12].copy_from_slice(&src);
        frame
    }

    fn transport_sum(&self) -> u16 {
        let body = &self.0[self.l4()..];
        let pseudo = if self.proto() == ICMP {
            0
        } else {
            let (src, dst) = self.ends();
            let len = u32::try_from(body.len()).expect("short");
            sum(dst, sum(src, 0)) + len + u32::from(self.proto())
        };
        fold(sum(body, pseudo))
    }

    pub fn with_checksums(mut self) -> Frame {
        if self.v4() {
            put16(&mut self.0, 24, 0);
            let check = fold(sum(&self.0[14..34], 0));
            put16(&mut self.0, 24, check);
        }
        if let Some(at) = check_at(self.proto()) {
            let at = self.l4() + at;
            put16(&mut self.0, at, 0);
            let check = self.transport_sum();
            put16(&mut self.0, at, check);
        }
        self
    }

    /// Panics with the name if a checksum is wrong.
    pub fn verify(&self, name: &str) {
        if self.v4() {
            assert_eq!(
                fold(sum(&self.0[14..34], 0)),
                0,
                "{name}: IPv4 header checksum"
            );
        }
        if check_at(self.proto()).is_some() {
            assert_eq!(self.transport_sum(), 0, "{name}: transport checksum");
        }
    }

    /// Four bytes of IPv4 options: no operation.
    pub fn with_option(&self) -> Frame {
        let mut f = self.0.clone();
        if self.v4() {
            f.splice(34..34, [1; 4]);
            f[14] = 0x46;
            let len = u16::try_from(f.len() - 14).expect("short");
            put16(&mut f, 16, len);
            put16(&mut f, 24, 0);
            let check = fold(sum(&f[14..38], 0));
            put16(&mut f, 24, check);
        }
        Frame(f)
    }

    /// An empty IPv6 extension header of this kind before the transport.
    pub fn with_extension(&self, kind: u8) -> Frame {
        let mut f = self.0.clone();
        f.splice(54..54, [self.proto(), 0, 1, 4, 0, 0, 0, 0]);
        f[20] = kind;
        let len = u16::try_from(f.len() - 54).expect("short");
        put16(&mut f, 18, len);
        Frame(f)
    }

    /// The same packet as a fragment: offset in bytes, more to come.
    pub fn fragment(&self, offset: u16, more: bool) -> Frame {
        let mut f = self.0.clone();
        if self.v4() {
            put16(&mut f, 20, (offset / 8) | if more { 0x2000 } else { 0 });
            put16(&mut f, 24, 0);
            let check = fold(sum(&f[14..34], 0));
            put16(&mut f, 24, check);
            return Frame(f);
        }
        let header = [self.proto(), 0, 0, 0, 0, 0, 0, 7];
        f.splice(54..54, header);
        f[20] = 44;
        put16(&mut f, 56, offset | u16::from(more));
        let len = u16::try_from(f.len() - 54).expect("short");
        put16(&mut f, 18, len);
        Frame(f)
    }
}

fn decode(b: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(b) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => parse_addr(b),
    }
}
