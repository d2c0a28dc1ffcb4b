//! Services at the packet: pods whose sockets were not translated, and node ports asked from outside.

use crate::frame::*;
use crate::layout::*;
use crate::packets::both;
use crate::programs::Service;
use crate::require_root;
use crate::run::{DROPPED, PASS, REDIRECT};
use crate::world::*;

pub const TABLES: [fn(&mut World); 3] = [cluster_ip, node_port_here, node_port_beyond];

fn cluster_ip(w: &mut World) {
    let (b, c, vip) = (w.at.b, w.at.c, w.at.vip);
    w.programs.backends(900, &[(w.at.remote, 8080)]);
    w.programs.service(&Service::new(vip, 80, TCP, 900, 1));
    w.programs.service(&Service::new(vip, 81, TCP, 0, 0));
    let syn = tcp(c, 4000, vip, 80, SYN);
    let out = w.expect(
        "to a backend",
        Hook::FromPod(C),
        &syn,
        REDIRECT,
        "NO_POLICY",
    );
    assert_eq!(out.frame, tcp(c, 4000, w.at.remote, 8080, SYN).with_ttl(63));
    assert_eq!(w.last[0].service, Some((vip, 80)));
    let answer = tcp(w.at.remote, 8080, c, 4000, SYN | ACK);
    let out = w.expect(
        "as the Service",
        Hook::FromUnderlay,
        &answer,
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(
        out.frame,
        tcp(vip, 80, c, 4000, SYN | ACK)
            .with_ttl(63)
            .with_macs(POD_MAC, HOST_MAC)
    );
    w.expect(
        "more",
        Hook::FromPod(C),
        &tcp(c, 4000, vip, 80, ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    w.expect(
        "none behind",
        Hook::FromPod(C),
        &tcp(c, 1, vip, 81, SYN),
        DROPPED,
        "NO_BACKEND",
    );
    assert_eq!(w.last[0].service, Some((vip, 81)));
    let direct = tcp(c, 4000, w.at.remote, 8080, SYN);
    w.expect(
        "the same port, directly",
        Hook::FromPod(C),
        &direct,
        DROPPED,
        "NAT_COLLISION",
    );

    let sent = tcp(c, 4000, w.at.remote, 8080, ACK);
    let out = w.expect(
        "an error about it",
        Hook::FromUnderlay,
        &unreachable(w.at.remote, c, &sent),
        REDIRECT,
        "RELATED",
    );
    assert_eq!(out.frame.src(), vip);
    let inner = &out.frame.0[out.frame.l4() + 8..];
    let (at, ports) = if out.frame.v4() { (16, 20) } else { (24, 40) };
    let shown = &inner[at..ports];
    let wanted = addr(vip);
    assert_eq!(
        shown,
        if out.frame.v4() {
            &wanted[12..]
        } else {
            &wanted[..]
        }
    );
    assert_eq!(inner[ports + 2..ports + 4], [0, 80]);
    let _ = b;
}

fn node_port(w: &World, backend: std::net::IpAddr) -> Service {
    w.programs.backends(901, &[(backend, 8080)]);
    let mut s = Service::new(w.at.node, 30080, TCP, 901, 1);
    s.scope = EXTERNAL;
    s.flags = NODE_PORT;
    s
}

fn node_port_here(w: &mut World) {
    let (a, client, node) = (w.at.a, w.at.world, w.at.node);
    let (own, router) = ([2; 6], [6; 6]);
    w.programs.service(&node_port(w, a));
    let syn = tcp(client, 7, node, 30080, SYN).with_macs(own, router);
    let out = w.expect(
        "to the pod",
        Hook::FromUnderlay,
        &syn,
        REDIRECT,
        "NO_POLICY",
    );
    assert_eq!(
        out.frame,
        tcp(client, 7, a, 8080, SYN)
            .with_ttl(63)
            .with_macs(POD_MAC, HOST_MAC)
    );
    let out = w.expect(
        "and back",
        Hook::FromPod(A),
        &tcp(a, 8080, client, 7, SYN | ACK),
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(
        out.frame,
        tcp(node, 30080, client, 7, SYN | ACK)
            .with_ttl(63)
            .with_macs(router, own)
    );
    let stray = tcp(client, 8, node, 30080, ACK);
    w.expect(
        "a stray is the stack's",
        Hook::FromUnderlay,
        &stray,
        PASS,
        "PASSED",
    );
    let syn = tcp(client, 9, node, 30080, SYN).with_macs(own, router);
    w.programs.service(&node_port(w, w.at.b));
    w.expect(
        "policy knows the client",
        Hook::FromUnderlay,
        &syn,
        DROPPED,
        "DEFAULT_DENY",
    );
    w.programs.service(&node_port(w, node));
    let syn = tcp(client, 10, node, 30080, SYN).with_macs(own, router);
    let out = w.expect(
        "the host network",
        Hook::FromUnderlay,
        &syn,
        PASS,
        "NO_POLICY",
    );
    assert_eq!(
        out.frame,
        tcp(client, 10, node, 8080, SYN).with_macs(own, router)
    );
    let reply = tcp(node, 8080, client, 10, SYN | ACK);
    let out = w.expect(
        "as the node port",
        Hook::ToUnderlay,
        &reply,
        PASS,
        "ESTABLISHED",
    );
    assert_eq!(out.frame, tcp(node, 30080, client, 10, SYN | ACK));
}

fn node_port_beyond(w: &mut World) {
    let (remote, client, node) = (w.at.remote, w.at.world, w.at.node);
    let (own, router) = ([2; 6], [6; 6]);
    w.programs.service(&node_port(w, remote));
    let syn = tcp(client, 7, node, 30080, SYN).with_macs(own, router);
    let out = w.expect(
        "to the other node",
        Hook::FromUnderlay,
        &syn,
        REDIRECT,
        "NO_POLICY",
    );
    assert_eq!(
        out.frame,
        tcp(client, 7, remote, 8080, SYN)
            .with_ttl(63)
            .with_macs(own, router)
    );
    let answer = tcp(remote, 8080, client, 7, SYN | ACK);
    let out = w.expect(
        "through us",
        Hook::FromUnderlay,
        &answer,
        REDIRECT,
        "ESTABLISHED",
    );
    assert_eq!(
        out.frame,
        tcp(node, 30080, client, 7, SYN | ACK)
            .with_ttl(63)
            .with_macs(router, own)
    );
    w.expect(
        "others' traffic",
        Hook::FromUnderlay,
        &tcp(remote, 8080, client, 8, ACK),
        PASS,
        "PASSED",
    );
}

/// One socket of the client keeps its port while the Service's backends change.
fn udp_moves_on(w: &mut World) {
    let (a, c, vip, remote) = (w.at.a, w.at.c, w.at.vip, w.at.remote);
    let ask = udp(c, 4000, vip, 53);
    w.programs.backends(910, &[(remote, 8080)]);
    w.programs.service(&Service::new(vip, 53, UDP, 910, 1));
    let out = w.expect("asks", Hook::FromPod(C), &ask, REDIRECT, "NO_POLICY");
    assert_eq!(out.frame, udp(c, 4000, remote, 8080).with_ttl(63));
    w.programs.backends(911, &[(a, 8080)]);
    w.programs.service(&Service::new(vip, 53, UDP, 911, 1));
    let out = w.expect(
        "its backend is gone",
        Hook::FromPod(C),
        &ask,
        REDIRECT,
        "NO_POLICY",
    );
    let moved = udp(c, 4000, a, 8080).with_ttl(63);
    assert_eq!(out.frame, moved.with_macs(POD_MAC, HOST_MAC));
}

/// As with externalTrafficPolicy Local on a node without endpoints.
fn node_port_without_backends(w: &mut World) {
    let mut service = node_port(w, w.at.a);
    service.count = 0;
    w.programs.service(&service);
    w.expect(
        "no backend here",
        Hook::FromUnderlay,
        &tcp(w.at.world, 7, w.at.node, 30080, SYN),
        DROPPED,
        "NO_BACKEND",
    );
}

#[test]
fn a_udp_flow_leaves_a_backend_that_is_gone() {
    require_root!();
    both(udp_moves_on, &[]);
}

#[test]
fn a_node_port_without_backends_is_refused_and_told() {
    require_root!();
    both(node_port_without_backends, &[]);
}
