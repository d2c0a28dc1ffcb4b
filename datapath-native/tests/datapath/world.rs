//! One node for packet tables: its addresses, three pods, policies, a route to another node.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::frame::Frame;
use crate::layout::*;
use crate::netns::Netns;
use crate::programs::{Config, Programs};
use crate::run::{Outcome, run};

pub const UNDERLAY: u32 = 100;
pub const A: u32 = 103;
pub const B: u32 = 104;
pub const C: u32 = 105;
pub const SET_A: u64 = 0x10 | 2; // egress enforced
pub const SET_B: u64 = 0x20 | 1; // ingress enforced
pub const CLASS_B: u64 = 12;
pub const CLASS_A: u64 = 11;
pub const RULE_A: u16 = 5;
pub const RULE_B: u16 = 7;

pub struct Addresses {
    pub node: IpAddr,
    pub node2: IpAddr,
    pub a: IpAddr,
    pub b: IpAddr,
    pub c: IpAddr,
    pub remote: IpAddr,
    pub nowhere: IpAddr,
    pub world: IpAddr,
    pub vip: IpAddr,
}

pub fn addresses(v6: bool) -> Addresses {
    let pick = |v4: &str, six: &str| (if v6 { six } else { v4 }).parse().expect("address");
    Addresses {
        node: pick("10.0.0.1", "fd00:a::1"),
        node2: pick("10.0.0.2", "fd00:a::2"),
        a: pick("10.244.1.3", "fd00:1::3"),
        b: pick("10.244.1.4", "fd00:1::4"),
        c: pick("10.244.1.5", "fd00:1::5"),
        remote: pick("10.244.2.7", "fd00:2::7"),
        nowhere: pick("10.244.9.9", "fd00:9::9"),
        world: pick("192.0.2.9", "2001:db8::9"),
        vip: pick("10.96.0.10", "fd00:96::10"),
    }
}

pub struct World {
    pub at: Addresses,
    pub programs: Programs,
    pub hit: BTreeSet<u32>,
    pub last: Vec<Event>,
}

/// Devices and routes; the tables run inside.
pub fn node_namespace() -> Netns {
    let ns = Netns::new();
    ns.sh("
        ip link add under index 100 type veth peer name peer index 200
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip link set under up; ip link set peer up
        ip addr add 10.0.0.1/24 dev under; ip addr add fd00:a::1/64 dev under nodad
        ip route add 10.244.2.0/24 via 10.0.0.2; ip route add fd00:2::/64 via fd00:a::2
        for i in 3 4 5; do ip link add p$i index 10$i type veth peer name q$i; ip link set p$i up; ip link set q$i up; done
    ");
    ns
}

impl World {
    /// Call inside `node_namespace`.
    pub fn new(v6: bool, tiny: Vec<&'static str>) -> World {
        let (four, six) = (addresses(false), addresses(true));
        let config = Config {
            node_ipv4: four.node,
            node_ipv6: six.node,
            underlay_ifindex: UNDERLAY,
            tiny,
        };
        let p = Programs::load(&config);
        for (prefix, class, kind) in [
            ("0.0.0.0/0", 2, WORLD),
            ("::/0", 2, WORLD),
            ("10.244.0.0/16", 1, POD),
            ("fd00:1::/64", 1, POD),
            ("fd00:2::/64", 1, POD),
            ("fd00:9::/64", 1, POD),
            ("10.0.0.1/32", 3, HOST),
            ("fd00:a::1/128", 3, HOST),
            ("10.0.0.2/32", 4, REMOTE_NODE),
            ("fd00:a::2/128", 4, REMOTE_NODE),
        ] {
            p.address(prefix, class, kind);
        }
        for at in [&four, &six] {
            let bits = if at.a.is_ipv4() { 32 } else { 128 };
            p.address(&format!("{}/{bits}", at.a), CLASS_A, POD);
            p.address(&format!("{}/{bits}", at.b), CLASS_B, POD);
        }
        p.pod(3, A, SET_A, 1, &[four.a, six.a]);
        p.pod(4, B, SET_B, 1, &[four.b, six.b]);
        p.pod(5, C, 0, 1, &[four.c, six.c]);
        p.policy(SET_A, CLASS_B, EGRESS, TCP, 80, true, RULE_A);
        p.policy(SET_A, CLASS_B, EGRESS, TCP, 81, false, 6);
        p.policy(SET_B, CLASS_A, INGRESS, TCP, 80, true, RULE_B);
        World {
            at: addresses(v6),
            programs: p,
            hit: BTreeSet::new(),
            last: Vec::new(),
        }
    }

    fn counters(&self) -> Vec<u64> {
        (0..63).map(|r| self.programs.metric(r)).collect()
    }

    /// Runs one packet and holds it to verdict and reason: that counter and no other went up by one, and a drop or a
    /// new connection made an event.
    pub fn expect(
        &mut self,
        name: &str,
        hook: Hook,
        frame: &Frame,
        verdict: u32,
        wanted: &str,
    ) -> Outcome {
        let before = self.counters();
        let (program, device, ingress) = match hook {
            Hook::FromPod(device) => ("weft_from_pod", device, device),
            Hook::ToPod(device, ingress) => ("weft_to_pod", device, ingress),
            Hook::FromUnderlay => ("weft_from_underlay", UNDERLAY, UNDERLAY),
            Hook::ToUnderlay => ("weft_to_underlay", UNDERLAY, 0),
        };
        let out = run(&self.programs, program, frame, device, ingress, 1);
        let after = self.counters();
        let all = reasons();
        let named = |r: u32| all.iter().find(|(n, _)| *n == r).map_or("?", |(_, n)| n);
        let moved: Vec<&str> = (0..63)
            .filter(|r| after[*r as usize] != before[*r as usize])
            .map(named)
            .collect();
        self.last = self.programs.events();
        assert_eq!(
            moved,
            [wanted],
            "{name}: counters that moved; events {:?}",
            self.last
        );
        assert_eq!(
            out.verdict, verdict,
            "{name}: verdict; events {:?}",
            self.last
        );
        let wanted = reason(wanted);
        self.hit.insert(wanted);
        if wanted >= 16 {
            let found = self
                .last
                .iter()
                .any(|e| u32::from(e.reason) == wanted && [DROP, REVOKED].contains(&e.kind));
            assert!(found, "{name}: no event in {:?}", self.last);
        } else {
            out.frame.verify(name);
        }
        out
    }

    pub fn bump(&self, slot: u32) {
        let map = self.programs.map("weft_pods");
        use libbpf_rs::{MapCore, MapFlags};
        let mut value = map
            .lookup(&slot.to_ne_bytes(), MapFlags::ANY)
            .expect("lookup")
            .expect("array");
        let epoch = u32::from_ne_bytes(value[8..12].try_into().expect("4"));
        value[8..12].copy_from_slice(&(epoch + 1).to_ne_bytes());
        map.update(&slot.to_ne_bytes(), &value, MapFlags::ANY)
            .expect("update");
    }
}

#[derive(Clone, Copy)]
pub enum Hook {
    FromPod(u32),
    /// Device, and the device that the packet came in by (0: made here).
    ToPod(u32, u32),
    FromUnderlay,
    ToUnderlay,
}
