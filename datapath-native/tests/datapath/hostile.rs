//! Packets that a pod has no business to send, and floods.

use crate::frame::*;
use crate::layout::*;
use crate::packets::both;
use crate::require_root;
use crate::run::{DROPPED, PASS, REDIRECT};
use crate::world::*;

/// As OPENING_MOST in conntrack.h.
const HALF_OPEN_MOST: u32 = 16384;

fn neighbour_solicitation(src: &str, dst: std::net::IpAddr) -> Frame {
    icmp(src.parse().expect("address"), dst, 0, 135, &[0; 20])
}

fn neighbours(w: &mut World) {
    let (c, link) = (w.at.c, "fe80::5".parse().expect("address"));
    if c.is_ipv4() {
        return;
    }
    let all_nodes = "ff02::1:ff00:1".parse().expect("address");
    for (name, src, dst) in [
        ("who has the gateway", "fe80::5", all_nodes),
        ("is this address mine", "::", all_nodes),
        ("is the gateway there", "fe80::5", link),
        ("is the node there", "fd00:1::5", w.at.node),
    ] {
        let frame = neighbour_solicitation(src, dst);
        w.expect(name, Hook::FromPod(C), &frame, PASS, "PASSED");
    }
    for (name, src, dst) in [
        ("a link-local address to afar", "fe80::5", w.at.world),
        ("no address to afar", "::", w.at.remote),
    ] {
        let frame = neighbour_solicitation(src, dst);
        w.expect(name, Hook::FromPod(C), &frame, DROPPED, "SPOOFED");
    }
    let out = tcp(link, 1, w.at.node, 22, SYN);
    w.expect(
        "TCP from a link-local address",
        Hook::FromPod(C),
        &out,
        DROPPED,
        "SPOOFED",
    );
    let news = neighbour_solicitation("fd00:1::3", w.at.world);
    w.expect(
        "policy holds for what looks like neighbour discovery",
        Hook::FromPod(A),
        &news,
        DROPPED,
        "INVALID",
    );
    let news = icmp(w.at.world, w.at.b, 0, 136, &[0; 20]);
    w.expect(
        "the other way too",
        Hook::ToPod(B, UNDERLAY),
        &news,
        DROPPED,
        "INVALID",
    );
    w.expect(
        "but the node asks",
        Hook::ToPod(B, 0),
        &news,
        PASS,
        "PASSED",
    );
}

fn headers(w: &mut World) {
    let (c, remote) = (w.at.c, w.at.remote);
    let plain = udp(c, 9, remote, 53);
    let odd = plain.with_option();
    if c.is_ipv4() {
        w.expect("IP options", Hook::FromPod(C), &odd, DROPPED, "UNSUPPORTED");
        let others = udp(remote, 9, w.at.node, 53).with_option();
        let out = w.programs_run("weft_from_underlay", &others, UNDERLAY);
        assert_eq!(out, PASS, "IP options of others");
    } else {
        w.expect(
            "a routing header",
            Hook::FromPod(C),
            &plain.with_extension(43),
            DROPPED,
            "UNSUPPORTED",
        );
        let out = w.programs_run("weft_from_pod", &plain.with_extension(60), C);
        assert_eq!(out, REDIRECT, "destination options");
    }
    let mut cut = tcp(c, 9, remote, 80, SYN);
    cut.0.truncate(cut.l4() + 10);
    w.expect("a cut header", Hook::FromPod(C), &cut, DROPPED, "MALFORMED");
    let mut tagged = plain.clone();
    tagged.0.splice(12..12, [0x81, 0, 0, 5]);
    w.expect(
        "a VLAN tag",
        Hook::FromPod(C),
        &tagged,
        DROPPED,
        "UNSUPPORTED",
    );
    let mut arp = plain.clone();
    arp.0[12..14].copy_from_slice(&[8, 6]);
    let out = w.programs_run("weft_from_pod", &arp, C);
    assert_eq!(out, PASS, "ARP is the stack's");
}

impl World {
    /// For frames whose checksums the helpers of frame.rs can't find.
    fn programs_run(&self, program: &str, frame: &Frame, device: u32) -> u32 {
        crate::run::run(&self.programs, program, frame, device, device, 1).verdict
    }
}

/// As if pod c had opened so many connections just now, none of which came to anything.
/// CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call fills in what it is given.
    assert_eq!(
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) },
        0
    );
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn opened(w: &World, count: u32) {
    use libbpf_rs::{MapCore, MapFlags};
    let since = now_ns() / 1_000_000_000 * 1_000_000_000;
    let value = bytes().u64(since).u32(count).u32(C).0;
    let map = w.programs.map("weft_opening");
    map.update(&5_u32.to_ne_bytes(), &value, MapFlags::ANY)
        .expect("update");
}

pub fn flood(w: &mut World) {
    let (a, b, c, remote) = (w.at.a, w.at.b, w.at.c, w.at.remote);
    opened(w, HALF_OPEN_MOST - 4);
    for port in 1..=4 {
        let syn = tcp(c, port, remote, 80, SYN);
        w.expect("half open", Hook::FromPod(C), &syn, REDIRECT, "NO_POLICY");
    }
    w.expect(
        "one too many",
        Hook::FromPod(C),
        &tcp(c, 5, remote, 2000, SYN),
        DROPPED,
        "HALF_OPEN",
    );
    assert_eq!(w.last[0].src_slot, 5);
    let syn = tcp(a, 4000, b, 80, SYN);
    w.expect(
        "another pod has its own budget",
        Hook::FromPod(A),
        &syn,
        REDIRECT,
        "POLICY_ALLOWED",
    );
    opened(w, 0);
    w.expect(
        "a new period",
        Hook::FromPod(C),
        &tcp(c, 5, remote, 2000, SYN),
        REDIRECT,
        "NO_POLICY",
    );
}

fn answered(w: &mut World) {
    let (c, remote) = (w.at.c, w.at.remote);
    let step = |w: &mut World, frame: &Frame, inward: bool| {
        let (program, device) = if inward {
            ("weft_from_underlay", UNDERLAY)
        } else {
            ("weft_from_pod", C)
        };
        assert_eq!(w.programs_run(program, frame, device), REDIRECT);
    };
    opened(w, HALF_OPEN_MOST - 1);
    for i in 1..9 {
        let port = 4000 + i;
        step(w, &tcp(c, port, remote, 80, SYN), false);
        if i % 2 == 0 {
            step(w, &tcp(remote, 80, c, port, RST | ACK), true);
        } else {
            step(w, &tcp(remote, 80, c, port, SYN | ACK), true);
            step(w, &tcp(c, port, remote, 80, ACK), false);
        }
    }
}

fn gone(w: &mut World) {
    let (a, b, c, remote) = (w.at.a, w.at.b, w.at.c, w.at.remote);
    let before = w.programs.connections();
    let mut say = |from: u32, frame: Frame, wanted: &str| {
        w.expect("a word", Hook::FromPod(from), &frame, REDIRECT, wanted);
    };
    say(A, tcp(a, 4000, b, 80, SYN), "POLICY_ALLOWED");
    say(B, tcp(b, 80, a, 4000, SYN | ACK), "ESTABLISHED");
    say(A, tcp(a, 4000, b, 80, ACK), "ESTABLISHED");
    say(A, tcp(a, 4000, b, 80, FIN | ACK), "ESTABLISHED");
    say(B, tcp(b, 80, a, 4000, ACK), "ESTABLISHED");
    say(B, tcp(b, 80, a, 4000, FIN | ACK), "ESTABLISHED");
    say(B, tcp(b, 80, a, 4000, FIN | ACK), "ESTABLISHED");
    say(A, tcp(a, 4000, b, 80, ACK), "ESTABLISHED");
    assert_eq!(w.programs.connections(), before, "closed");
    let syn = tcp(c, 7, remote, 80, SYN);
    w.expect("asks", Hook::FromPod(C), &syn, REDIRECT, "NO_POLICY");
    let no = tcp(remote, 80, c, 7, RST | ACK);
    w.expect("refused", Hook::FromUnderlay, &no, REDIRECT, "ESTABLISHED");
    assert_eq!(w.last[0].kind, CLOSED);
    assert_eq!(w.programs.connections(), before, "refused");
}

#[test]
fn neighbour_discovery_ends_at_the_node() {
    require_root!();
    both(neighbours, &[]);
}

#[test]
fn odd_headers_are_dropped_by_name() {
    require_root!();
    both(headers, &[]);
}

#[test]
fn a_flood_of_half_open_connections_stops_its_own_pod_only() {
    require_root!();
    both(flood, &[]);
}

#[test]
fn connections_that_are_answered_or_refused_cost_no_budget() {
    require_root!();
    both(answered, &[]);
}

#[test]
fn a_connection_that_is_over_leaves_no_entry() {
    require_root!();
    both(gone, &[]);
}
