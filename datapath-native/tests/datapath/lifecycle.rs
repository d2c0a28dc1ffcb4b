//! Connections after their first packet: policy changes, ends, slots given to other pods.

use crate::frame::*;
use crate::layout::*;
use crate::packets::both;
use crate::require_root;
use crate::run::{DROPPED, REDIRECT};
use crate::world::*;

fn revoked_tcp(w: &mut World) {
    let (a, b) = (w.at.a, w.at.b);
    w.expect(
        "allowed",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, SYN),
        REDIRECT,
        "POLICY_ALLOWED",
    );
    w.bump(4);
    let ack = tcp(a, 4000, b, 80, ACK);
    w.expect(
        "still allowed",
        Hook::FromPod(A),
        &ack,
        REDIRECT,
        "ESTABLISHED",
    );
    w.programs.policy_delete(SET_B, CLASS_A, INGRESS, TCP, 80);
    w.expect(
        "not looked up before the bump",
        Hook::FromPod(A),
        &ack,
        REDIRECT,
        "ESTABLISHED",
    );
    w.bump(4);
    let out = w.expect("revoked", Hook::FromPod(A), &ack, REDIRECT, "DEFAULT_DENY");
    let e = w.last[0].clone();
    assert_eq!(
        (e.kind, e.dir, e.packets, e.egress_rule, e.ingress_rule),
        (REVOKED, INGRESS, 3, RULE_A, NO_RULE)
    );
    out.frame.verify("the reset onward");
    assert_eq!(
        out.frame,
        tcp(a, 4000, b, 80, RST | ACK)
            .like_reset()
            .with_ttl(63)
            .with_macs(POD_MAC, HOST_MAC)
    );
    w.expect(
        "who speaks next",
        Hook::FromPod(B),
        &tcp(b, 80, a, 4000, ACK),
        DROPPED,
        "INVALID",
    );
    w.expect(
        "no new one",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, SYN),
        DROPPED,
        "DEFAULT_DENY",
    );
}

fn revoked_udp(w: &mut World) {
    let (b, c) = (w.at.b, w.at.c);
    w.programs.policy(SET_B, 1, INGRESS, UDP, 53, true, 9);
    w.expect(
        "allowed",
        Hook::FromPod(C),
        &udp(c, 9, b, 53),
        REDIRECT,
        "POLICY_ALLOWED",
    );
    w.expect(
        "answer",
        Hook::FromPod(B),
        &udp(b, 53, c, 9),
        REDIRECT,
        "ESTABLISHED",
    );
    w.programs.policy_delete(SET_B, 1, INGRESS, UDP, 53);
    w.bump(4);
    w.expect(
        "revoked",
        Hook::FromPod(C),
        &udp(c, 9, b, 53),
        DROPPED,
        "DEFAULT_DENY",
    );
    assert_eq!(w.last[0].kind, REVOKED);
    w.programs.policy(SET_B, 1, INGRESS, UDP, 53, true, 9);
    w.expect(
        "allowed again",
        Hook::FromPod(C),
        &udp(c, 9, b, 53),
        REDIRECT,
        "POLICY_ALLOWED",
    );
}

fn closed(w: &mut World) {
    let (a, b) = (w.at.a, w.at.b);
    w.expect(
        "opened",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, SYN),
        REDIRECT,
        "POLICY_ALLOWED",
    );
    w.expect(
        "one says goodbye",
        Hook::FromPod(B),
        &tcp(b, 80, a, 4000, FIN | ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert!(w.last.is_empty(), "the other may still send");
    w.expect(
        "the other too",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, FIN | ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!((w.last[0].kind, w.last[0].packets), (CLOSED, 3));
    w.expect(
        "the last word",
        Hook::FromPod(B),
        &tcp(b, 80, a, 4000, ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    w.expect(
        "the port again",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, SYN),
        REDIRECT,
        "POLICY_ALLOWED",
    );
    w.expect(
        "refused",
        Hook::FromPod(B),
        &tcp(b, 80, a, 4000, RST | ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!((w.last[0].kind, w.last[0].packets), (CLOSED, 2));
}

fn another_pod(w: &mut World) {
    let (a, b) = (w.at.a, w.at.b);
    w.expect(
        "opened",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, SYN),
        REDIRECT,
        "POLICY_ALLOWED",
    );
    w.programs.pod(4, UNDERLAY, SET_B, 1, &[w.at.nowhere]);
    w.expect(
        "b's slot is another's",
        Hook::FromPod(A),
        &tcp(a, 4000, b, 80, ACK),
        DROPPED,
        "INVALID",
    );
}

#[test]
fn a_revoked_tcp_connection_is_reset_and_stays_so() {
    require_root!();
    both(revoked_tcp, &[]);
}

#[test]
fn a_revoked_udp_flow_stops_and_may_be_allowed_again() {
    require_root!();
    both(revoked_udp, &[]);
}

#[test]
fn connections_end_with_an_event_and_their_ports_can_be_used_again() {
    require_root!();
    both(closed, &[]);
}

#[test]
fn a_slot_given_to_another_pod_inherits_no_connection() {
    require_root!();
    both(another_pod, &[]);
}
