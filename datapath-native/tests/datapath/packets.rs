//! Packet tables: what goes in, the verdict, what comes out, which counter moved, which event was sent.

use std::collections::BTreeSet;

use crate::frame::*;
use crate::layout::*;
use crate::require_root;
use crate::run::{DROPPED, PASS, REDIRECT};
use crate::world::*;

/// Runs a table for both families, each in a node of its own, and returns the reasons that it hit.
pub fn both(table: impl Fn(&mut World) + Sync, tiny: &[&'static str]) -> BTreeSet<u32> {
    let ns = node_namespace();
    ns.run(|| {
        let mut hit = None;
        for v6 in [false, true] {
            let mut w = World::new(v6, tiny.to_vec());
            table(&mut w);
            let own: BTreeSet<u32> = w.hit;
            hit = Some(hit.map_or(own.clone(), |other: BTreeSet<u32>| {
                other.intersection(&own).copied().collect()
            }));
        }
        hit.unwrap_or_default()
    })
}

fn from_pods(w: &mut World) {
    let (a, b, c) = (w.at.a, w.at.b, w.at.c);
    let syn = tcp(a, 4000, b, 80, SYN);
    let out = w.expect(
        "a rule allows",
        Hook::FromPod(A),
        &syn,
        REDIRECT,
        "POLICY_ALLOWED",
    );
    assert_eq!(out.frame.ttl(), 63);
    assert_eq!(out.frame, syn.with_ttl(63).with_macs(POD_MAC, HOST_MAC));
    let e = w.last[0].clone();
    assert_eq!(
        (
            e.kind,
            e.egress_rule,
            e.ingress_rule,
            e.src_slot,
            e.dst_slot
        ),
        (NEW, RULE_A, RULE_B, 3, 4)
    );
    assert_eq!(
        (e.egress_set, e.ingress_set, e.reply),
        (SET_A, SET_B, false)
    );

    let answer = tcp(b, 80, a, 4000, SYN | ACK);
    let out = w.expect(
        "the answer needs no rule",
        Hook::FromPod(B),
        &answer,
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(out.frame.ttl(), 63);
    w.expect(
        "more",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert!(w.last.is_empty(), "established packets send no events");

    w.expect(
        "a rule denies",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 81, SYN),
        DROPPED,
        "POLICY_DENIED",
    );
    assert_eq!((w.last[0].egress_rule, w.last[0].dir), (6, EGRESS));
    w.expect(
        "nothing allows at the source",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 82, SYN),
        DROPPED,
        "DEFAULT_DENY",
    );
    assert_eq!(
        (w.last[0].egress_rule, w.last[0].dir, w.last[0].egress_set),
        (NO_RULE, EGRESS, SET_A)
    );
    w.expect(
        "nothing allows at the destination",
        Hook::FromPod(C),
        &udp(c, 9, b, 53),
        DROPPED,
        "DEFAULT_DENY",
    );
    assert_eq!(
        (w.last[0].dir, w.last[0].ingress_set, w.last[0].dst_slot),
        (INGRESS, SET_B, 4)
    );
    w.expect(
        "no policy",
        Hook::FromPod(C),
        &ping(c, w.at.remote),
        REDIRECT,
        "NO_POLICY",
    );
    w.expect(
        "mid-stream",
        Hook::FromPod(A),
        &tcp(a, 4001, b, 80, ACK),
        DROPPED,
        "INVALID",
    );
    let old = tcp(c, 4001, w.at.remote, 80, ACK);
    w.expect(
        "mid-stream without policies",
        Hook::FromPod(C),
        &old,
        REDIRECT,
        "NO_POLICY",
    );
    w.expect(
        "pong of nobody's ping",
        Hook::FromPod(B),
        &pong(b, c),
        DROPPED,
        "INVALID",
    );

    w.expect(
        "another's address",
        Hook::FromPod(A),
        &tcp(b, 1, c, 2, SYN),
        DROPPED,
        "SPOOFED",
    );
    w.expect(
        "a device without a pod",
        Hook::FromPod(UNDERLAY),
        &syn,
        DROPPED,
        "UNKNOWN_POD",
    );
    let mut short = udp(c, 1, b, 2);
    short.0.truncate(short.l4() + 4);
    w.expect("cut short", Hook::FromPod(C), &short, DROPPED, "MALFORMED");
    w.expect(
        "GRE",
        Hook::FromPod(C),
        &ip(c, b, 47, &[0; 8]),
        DROPPED,
        "UNSUPPORTED",
    );
    w.expect(
        "hop limit",
        Hook::FromPod(C),
        &udp(c, 1, w.at.remote, 2).with_ttl(1),
        DROPPED,
        "TTL",
    );
    w.expect(
        "no route",
        Hook::FromPod(C),
        &udp(c, 1, w.at.nowhere, 2),
        DROPPED,
        "NO_ROUTE",
    );
    w.expect(
        "to the node",
        Hook::FromPod(C),
        &tcp(c, 5, w.at.node, 10250, SYN),
        PASS,
        "NO_POLICY",
    );
    let out = w.expect(
        "to the world",
        Hook::FromPod(C),
        &tcp(c, 5, w.at.world, 443, SYN),
        PASS,
        "NO_POLICY",
    );
    assert_eq!(out.mark, MASQUERADE_MARK);
    let out = w.expect(
        "more to the world",
        Hook::FromPod(C),
        &tcp(c, 5, w.at.world, 443, ACK),
        PASS,
        "ESTABLISHED",
    );
    assert_eq!(out.mark, MASQUERADE_MARK);
    w.expect(
        "to a remote node",
        Hook::FromPod(C),
        &tcp(c, 5, w.at.node2, 10250, SYN),
        REDIRECT,
        "NO_POLICY",
    );
}

fn to_pods(w: &mut World) {
    let (b, node) = (w.at.b, w.at.node);
    let probe = tcp(node, 5000, b, 8080, SYN);
    w.expect(
        "a probe by this node",
        Hook::ToPod(B, 0),
        &probe,
        PASS,
        "NODE_TO_OWN_POD",
    );
    w.expect(
        "its answer",
        Hook::FromPod(B),
        &tcp(b, 8080, node, 5000, SYN | ACK),
        PASS,
        "ESTABLISHED",
    );
    let out = w.expect(
        "more of it",
        Hook::ToPod(B, 0),
        &tcp(node, 5000, b, 8080, ACK),
        PASS,
        "ESTABLISHED",
    );
    assert_eq!(out.frame.ttl(), 64);
    w.expect(
        "forwarded, as the node",
        Hook::ToPod(B, 100),
        &tcp(node, 5001, b, 8080, SYN),
        DROPPED,
        "DEFAULT_DENY",
    );
    w.expect(
        "the world",
        Hook::ToPod(B, 100),
        &tcp(w.at.world, 5001, b, 8080, SYN),
        DROPPED,
        "DEFAULT_DENY",
    );
    w.expect(
        "no pod",
        Hook::ToPod(UNDERLAY, 0),
        &probe,
        DROPPED,
        "UNKNOWN_POD",
    );
    let reply = tcp(w.at.world, 443, w.at.c, 5, SYN | ACK);
    w.expect(
        "asked the world",
        Hook::FromPod(C),
        &tcp(w.at.c, 5, w.at.world, 443, SYN),
        PASS,
        "NO_POLICY",
    );
    w.expect(
        "the world answers",
        Hook::ToPod(C, 100),
        &reply,
        PASS,
        "ESTABLISHED",
    );
}

fn from_underlay(w: &mut World) {
    let (a, b, remote) = (w.at.a, w.at.b, w.at.remote);
    w.expect(
        "not for pods",
        Hook::FromUnderlay,
        &tcp(remote, 1, w.at.node, 22, SYN),
        PASS,
        "PASSED",
    );
    w.expect(
        "a remote pod",
        Hook::FromUnderlay,
        &tcp(remote, 1, a, 80, SYN),
        REDIRECT,
        "NO_POLICY",
    );
    w.expect(
        "denied",
        Hook::FromUnderlay,
        &tcp(remote, 1, b, 80, SYN),
        DROPPED,
        "DEFAULT_DENY",
    );
    w.expect(
        "a local pod from afar",
        Hook::FromUnderlay,
        &tcp(w.at.c, 1, a, 80, SYN),
        DROPPED,
        "SPOOFED",
    );
    w.expect(
        "this node from afar",
        Hook::FromUnderlay,
        &tcp(w.at.node, 1, a, 80, SYN),
        DROPPED,
        "SPOOFED",
    );
    let answer = tcp(a, 80, remote, 1, SYN | ACK);
    let out = w.expect(
        "the answer",
        Hook::FromPod(A),
        &answer,
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(out.frame, answer.with_ttl(63));

    let client = w.at.world;
    let router = [6, 6, 6, 6, 6, 6];
    let own = [2, 2, 2, 2, 2, 2];
    let syn = tcp(client, 7, a, 80, SYN).with_macs(own, router);
    w.expect("the world", Hook::FromUnderlay, &syn, REDIRECT, "NO_POLICY");
    let out = w.expect(
        "back by MAC",
        Hook::FromPod(A),
        &tcp(a, 80, client, 7, SYN | ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(
        out.frame,
        tcp(a, 80, client, 7, SYN | ACK)
            .with_ttl(63)
            .with_macs(router, own)
    );
}

fn errors(w: &mut World) {
    let (a, c, remote) = (w.at.a, w.at.c, w.at.remote);
    let asked = udp(c, 9, remote, 53);
    w.expect(
        "a question",
        Hook::FromPod(C),
        &asked,
        REDIRECT,
        "NO_POLICY",
    );
    let error = unreachable(remote, c, &asked);
    w.expect("its error", Hook::FromUnderlay, &error, REDIRECT, "RELATED");
    w.expect(
        "by a router",
        Hook::FromUnderlay,
        &unreachable(w.at.node2, c, &asked),
        REDIRECT,
        "RELATED",
    );
    let unasked = unreachable(remote, c, &udp(c, 9, remote, 54));
    w.expect(
        "of no connection",
        Hook::FromUnderlay,
        &unasked,
        DROPPED,
        "INVALID",
    );
    w.expect(
        "a third pod's lie",
        Hook::FromPod(A),
        &unreachable(a, c, &asked),
        DROPPED,
        "INVALID",
    );
}

fn fragments(w: &mut World) {
    let (c, remote) = (w.at.c, w.at.remote);
    let whole = udp(c, 9, remote, 53);
    let late = ip(c, remote, UDP, &[0; 16]).fragment(1480, false);
    w.expect(
        "before the first",
        Hook::FromPod(C),
        &late,
        DROPPED,
        "UNSUPPORTED",
    );
    let before = w.programs.connections();
    let first = w.programs_run_fragment(&whole.fragment(0, true));
    assert_eq!(first, REDIRECT);
    assert_eq!(
        w.programs_run_fragment(&late),
        REDIRECT,
        "the first one's ports hold for it"
    );
    assert_eq!(w.programs.connections(), before + 1);
}

impl World {
    /// Checksums of fragments cover the whole datagram, so they are not verified.
    fn programs_run_fragment(&self, frame: &Frame) -> u32 {
        crate::run::run(&self.programs, "weft_from_pod", frame, C, C, 1).verdict
    }
}

fn full(w: &mut World) {
    let c = w.at.c;
    w.expect(
        "one entry",
        Hook::FromPod(C),
        &udp(c, 1, w.at.remote, 2),
        REDIRECT,
        "NO_POLICY",
    );
    w.expect(
        "no room",
        Hook::FromPod(C),
        &udp(c, 2, w.at.remote, 2),
        DROPPED,
        "MAP_FULL",
    );
}

#[test]
fn packets_from_pods_meet_identity_policy_and_routes() {
    require_root!();
    both(from_pods, &[]);
}

#[test]
fn packets_to_pods_come_from_the_node_or_obey_policy() {
    require_root!();
    both(to_pods, &[]);
}

#[test]
fn packets_from_the_underlay_reach_pods_that_allow_them() {
    require_root!();
    both(from_underlay, &[]);
}

#[test]
fn icmp_errors_belong_to_connections() {
    require_root!();
    both(errors, &[]);
}

#[test]
fn fragments_follow_their_first() {
    require_root!();
    both(fragments, &[]);
}

#[test]
fn each_reason_is_hit_in_both_families() {
    require_root!();
    let mut hit = BTreeSet::new();
    for table in [from_pods, to_pods, from_underlay, errors, fragments] {
        hit.extend(both(table, &[]));
    }
    hit.extend(both(full, &["weft_conntrack"]));
    hit.extend(both(crate::hostile::flood, &[]));
    hit.extend(both(crate::proxy::handed_over, &[]));
    for table in crate::services::TABLES {
        hit.extend(both(table, &[]));
    }
    let missed: Vec<_> = reasons()
        .into_iter()
        .filter(|(number, _)| !hit.contains(number))
        .collect();
    assert!(missed.is_empty(), "never hit: {missed:?}");
}
