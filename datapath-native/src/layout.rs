//! Keys and values of the maps as bpf/layout.h has them. Whoever changes one changes both; the loader compares the
//! sizes with what the objects declare and refuses to start if they differ.

use std::mem::size_of;

/// Raised together with WEFT_LAYOUT; part of the pins' path.
pub const LAYOUT: u32 = parse_layout(include_str!("../bpf/layout.h"));

pub const POD_MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x01];
pub const HOST_MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x02];
/// One bit, away from those of kubelet (0x4000, 0x8000) and Cilium (0xf00).
pub const MASQUERADE_MARK: u32 = 0x0020_0000;

pub const KIND_NAMES: [&str; 4] = ["world", "pod", "host", "remote-node"];
pub const DIRECTION_NAMES: [&str; 2] = ["ingress", "egress"];
pub const VERDICT_NAMES: [&str; 3] = ["deny", "allow", "proxy"];
pub const VERDICT_PROXY: u8 = 2;
pub const SCOPE_NAMES: [&str; 2] = ["internal", "external"];
pub const EVENT_NAMES: [&str; 5] = ["", "new", "drop", "revoked", "closed"];
pub const RULE_NONE: u16 = 0xffff;
pub const SERVICE_MAGLEV: u32 = 1;
pub const SERVICE_NODE_PORT: u32 = 2;
pub const POD_PROXY: u32 = 1;
/// Ports in a proxy's network namespace, both ends included: of Envoy's listeners, and of its connections to servers.
pub const PROXY_LISTENER_PORTS: (u16, u16) = (20_000, 59_999);
pub const PROXY_SOURCE_PORTS: (u16, u16) = (61_000, 65_535);
/// A slot that is no pod's, in events.
pub const NO_SLOT: u32 = u32::MAX;

/// Bits of a policy key in front of the protocol: set, class, direction.
pub const POLICY_ANY_PROTOCOL: u32 = 136;
pub const POLICY_ANY_PORT: u32 = 144;
pub const POLICY_ONE_PORT: u32 = 160;
/// Index of weft_metrics that counts events which found the ring full.
pub const METRIC_EVENTS_LOST: u32 = 63;

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));

/// Types whose every byte pattern is valid and that have no implicit padding.
///
/// # Safety
/// The implementor must be `repr(C)`, made of integers and arrays of them, without implicit padding.
pub unsafe trait Plain: Copy {
    fn bytes(&self) -> &[u8] {
        // SAFETY: no implicit padding, so each byte is initialised.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// None if the length differs.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: the length was checked; every pattern is valid; the read needs no alignment.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}

macro_rules! plain {
    ($($name:ident = $size:literal),* $(,)?) => {
        $(
            const _: () = assert!(size_of::<$name>() == $size);
            // SAFETY: repr(C) of integers; the size above is the sum of the fields.
            unsafe impl Plain for $name {}
        )*
    };
}

/// IPv4 is ::ffff:a.b.c.d.
pub type Addr = [u8; 16];

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressKey {
    pub prefixlen: u32,
    pub addr: Addr,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressValue {
    pub class: u64,
    pub kind: u8,
    pub pad: [u8; 7],
}

#[repr(C, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyKey {
    pub prefixlen: u32,
    pub set: u64,
    pub class: u64,
    pub dir: u8,
    pub proto: u8,
    pub port_be: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyValue {
    pub verdict: u8,
    pub pad: u8,
    pub rule: u16,
    pub proxy_port_be: u16,
    pub pad2: [u8; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub set: u64,
    pub epoch: u32,
    pub ifindex: u32,
    pub ipv4: Addr,
    pub ipv6: Addr,
    pub flags: u32,
    pub pad: u32,
    pub tenant: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    pub slot: u32,
    pub ifindex: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceKey {
    pub addr: Addr,
    pub port_be: u16,
    pub proto: u8,
    pub scope: u8,
    pub family: u8,
    pub pad: [u8; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceValue {
    pub backends: u64,
    pub service: u64,
    pub count: u32,
    pub flags: u32,
    pub affinity_s: u32,
    pub maglev_size: u32,
    pub proxy_port_be: u16,
    pub pad: [u8; 6],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendKey {
    pub set: u64,
    pub index: u32,
    pub pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendValue {
    pub addr: Addr,
    pub port_be: u16,
    pub pad: [u8; 6],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub packets: u64,
    pub bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub time_ns: u64,
    pub src: Addr,
    pub dst: Addr,
    pub service: Addr,
    pub sport_be: u16,
    pub dport_be: u16,
    pub service_port_be: u16,
    pub proto: u8,
    pub kind: u8,
    pub reason: u8,
    pub dir: u8,
    pub tcp_flags: u8,
    pub reply: u8,
    pub egress_rule: u16,
    pub ingress_rule: u16,
    pub src_slot: u32,
    pub dst_slot: u32,
    pub egress_set: u64,
    pub ingress_set: u64,
    pub packets: u64,
    pub bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub node_ipv4: Addr,
    pub node_ipv6: Addr,
    pub underlay_ifindex: u32,
    pub flags: u32,
    pub pod_mac: [u8; 6],
    pub host_mac: [u8; 6],
    pub masquerade_mark: u32,
    pub netns: u64,
}

plain! {
    AddressKey = 20, AddressValue = 16, PolicyKey = 24, PolicyValue = 8, Pod = 64, Proxy = 8, ServiceKey = 24,
    ServiceValue = 40, BackendKey = 16, BackendValue = 24, Metric = 16, Event = 112, Config = 64,
}

/// (map, bytes of a key, bytes of a value) of every map that the loader reads or writes.
pub const SIZES: [(&str, usize, usize); 10] = [
    (
        "weft_addresses",
        size_of::<AddressKey>(),
        size_of::<AddressValue>(),
    ),
    (
        "weft_policy",
        size_of::<PolicyKey>(),
        size_of::<PolicyValue>(),
    ),
    ("weft_pods", 4, size_of::<Pod>()),
    ("weft_pod_by_addr", size_of::<Addr>(), 4),
    ("weft_pod_by_dev", 4, 4),
    ("weft_proxy", 4, size_of::<Proxy>()),
    (
        "weft_services",
        size_of::<ServiceKey>(),
        size_of::<ServiceValue>(),
    ),
    (
        "weft_backends",
        size_of::<BackendKey>(),
        size_of::<BackendValue>(),
    ),
    ("weft_maglev", 8, 4),
    ("weft_metrics", 4, size_of::<Metric>()),
];

const fn parse_layout(header: &str) -> u32 {
    const MARK: &[u8] = b"#define WEFT_LAYOUT ";
    let text = header.as_bytes();
    let mut at = 0;
    while at + MARK.len() < text.len() {
        let mut same = 0;
        while same < MARK.len() && text[at + same] == MARK[same] {
            same += 1;
        }
        if same == MARK.len() {
            let mut number = 0;
            let mut digit = at + same;
            while digit < text.len() && text[digit].is_ascii_digit() {
                number = number * 10 + (text[digit] - b'0') as u32;
                digit += 1;
            }
            assert!(number > 0);
            return number;
        }
        at += 1;
    }
    panic!("bpf/layout.h has no WEFT_LAYOUT")
}
