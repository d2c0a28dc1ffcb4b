//! Layer 7: connections that the kernel hands to a proxy, here a small one that decides nothing and passes bytes on.

use std::net::{IpAddr, SocketAddr};

use crate::cluster::*;
use crate::frame::{ACK, Frame, SYN, tcp, udp};
use crate::layout::*;
use crate::programs::Service;
use crate::require_root;
use crate::run::{DROPPED, REDIRECT};
use crate::standin::{seen, serve, serve_proxy};
use crate::talk::*;
use crate::world::*;

const CLIENT: u64 = 21;
const SERVER: u64 = 22;
const SERVER_SET: u64 = 0x40 | 1;
const CLIENT_SET: u64 = 0x80 | 2;
const RULE: u16 = 5;
const SERVER_SIDE: u32 = 2;
const CLIENT_SIDE: u32 = 1;

/// The server's node has the rule; the proxy's listener is on 20001.
fn guard(node: &Node, class: u64) {
    node.programs
        .policy_proxy(SERVER_SET, class, INGRESS, 80, RULE, 20_001);
}

#[test]
fn a_client_on_the_same_node_reaches_the_server_through_the_proxy_with_its_own_address() {
    require_root!();
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    guard(&c.nodes[0], CLIENT);
    let count = serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    for (own, to) in [(client.v4, server.v4), (client.v6, server.v6)] {
        serve_tcp(&server.ns, to, 80);
        for _ in 0..20 {
            assert_eq!(ask_tcp(&client.ns, to, 80).expect("through the proxy"), own.to_string());
        }
        let refused = ask_tcp(&client.ns, to, 81);
        assert!(timed_out(refused), "another port is not allowed");
    }
    assert_eq!(seen(&count), 40);
    let events = c.nodes[0].programs.events();
    let fresh: Vec<_> = events.iter().filter(|e| e.kind == NEW).collect();
    assert_eq!(fresh.len(), 40, "one event a connection: {fresh:?}");
    assert!(fresh.iter().all(|e| u32::from(e.reason) == reason("PROXIED")
        && e.ingress_rule == RULE
        && e.dir == INGRESS));
}

#[test]
fn a_client_on_another_node_in_a_host_network_or_outside_gets_no_more_than_the_rules() {
    require_root!();
    let mut c = Cluster::new(2);
    let client = c.nodes[1].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    c.nodes[0].programs.address(&format!("{}/32", client.v4), CLIENT, POD);
    c.nodes[0].programs.address(&format!("{}/128", client.v6), CLIENT, POD);
    c.outside
        .sh("ip route add 10.244.1.0/24 via 10.0.0.1; ip route add fd00:1::/64 via fd00:a::1");
    // Pods, other nodes (class 3) and the world (class 2).
    for class in [CLIENT, 3, 2] {
        guard(&c.nodes[0], class);
    }
    let count = serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    let outside = [ip("10.0.0.9"), ip("fd00:a::9")];
    for (family, to) in [server.v4, server.v6].into_iter().enumerate() {
        serve_tcp(&server.ns, to, 80);
        let own = [client.v4, client.v6][family];
        let nodes = [[node_v4(1), node_v4(2)], [node_v6(1), node_v6(2)]][family];
        let before = seen(&count);
        assert_eq!(ask_tcp(&client.ns, to, 80).expect("a pod"), own.to_string());
        assert_eq!(
            ask_tcp(&c.nodes[1].ns, to, 80).expect("another node"),
            nodes[1].to_string()
        );
        assert_eq!(
            ask_tcp(&c.outside, to, 80).expect("outside"),
            outside[family].to_string()
        );
        assert_eq!(seen(&count), before + 3, "all of them through the proxy");
        assert_eq!(
            ask_tcp(&c.nodes[0].ns, to, 80).expect("the own node"),
            nodes[0].to_string()
        );
        assert_eq!(seen(&count), before + 3, "a node reaches its own pods directly");
    }
}

#[test]
fn rules_of_both_sides_are_two_passes_and_nodes_may_choose_the_same_port() {
    require_root!();
    let mut c = Cluster::new(2);
    let local = c.nodes[0].pod(3, CLIENT_SET, CLIENT);
    let remote = c.nodes[1].pod(3, CLIENT_SET, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxies = [c.nodes[0].proxy_pod(5), c.nodes[1].proxy_pod(5)];
    // One port only, so that both nodes' proxies take the same.
    for proxy in &proxies {
        proxy.ns.sh("sysctl -qw net.ipv4.ip_local_port_range='61000 61001'");
    }
    c.nodes[0].programs.address(&format!("{}/32", remote.v4), CLIENT, POD);
    c.nodes[1].programs.address(&format!("{}/32", server.v4), SERVER, POD);
    for node in &c.nodes {
        node.programs
            .policy_proxy(CLIENT_SET, SERVER, EGRESS, 80, RULE, 20_002);
    }
    guard(&c.nodes[0], CLIENT);
    let authorizing = serve_proxy(&proxies[0].ns, 20_001, SERVER_SIDE);
    let leaving = [
        serve_proxy(&proxies[0].ns, 20_002, CLIENT_SIDE),
        serve_proxy(&proxies[1].ns, 20_002, CLIENT_SIDE),
    ];
    serve_tcp(&server.ns, server.v4, 80);
    for round in 1..=10 {
        assert_eq!(
            ask_tcp(&local.ns, server.v4, 80).expect("two passes here"),
            local.v4.to_string()
        );
        assert_eq!(
            ask_tcp(&remote.ns, server.v4, 80).expect("one pass there, one here"),
            remote.v4.to_string()
        );
        assert_eq!(
            [seen(&authorizing), seen(&leaving[0]), seen(&leaving[1])],
            [2 * round, round, round]
        );
    }
}

#[test]
fn without_a_proxy_or_its_listener_nothing_passes() {
    require_root!();
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    guard(&c.nodes[0], CLIENT);
    serve_tcp(&server.ns, server.v4, 80);
    assert!(timed_out(ask_tcp(&client.ns, server.v4, 80)), "no proxy");
    let refused = |node: &Node| {
        let events = node.programs.events();
        events
            .iter()
            .filter(|e| e.kind == DROP && u32::from(e.reason) == reason("NO_PROXY"))
            .count()
    };
    assert!(refused(&c.nodes[0]) > 0);
    let proxy = c.nodes[0].proxy_pod(5);
    assert!(timed_out(ask_tcp(&client.ns, server.v4, 80)), "no listener");
    assert!(refused(&c.nodes[0]) > 0);
    serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    ask_tcp(&client.ns, server.v4, 80).expect("the listener is there");
    c.nodes[0].programs.no_proxy();
    assert!(timed_out(ask_tcp(&client.ns, server.v4, 80)), "no proxy again");
}

#[test]
fn a_connection_that_a_rule_covers_from_now_on_or_no_more_is_cut() {
    require_root!();
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    serve_tcp(&server.ns, server.v4, 80);
    let allow = |c: &Cluster| {
        c.nodes[0]
            .programs
            .policy(SERVER_SET, CLIENT, INGRESS, TCP, 80, true, RULE);
        c.nodes[0].bump(4);
    };
    allow(&c);
    let mut held = connect(&client.ns, server.v4, 80).expect("direct");
    line(&mut held).expect("greeting");
    guard(&c.nodes[0], CLIENT);
    c.nodes[0].bump(4);
    assert!(exchange(&mut held, "now layer 7").is_err());
    let mut held = connect(&client.ns, server.v4, 80).expect("through the proxy");
    line(&mut held).expect("greeting");
    exchange(&mut held, "same rules").expect("it lives");
    c.nodes[0].bump(4);
    exchange(&mut held, "same rules, another epoch").expect("it lives");
    allow(&c);
    assert!(exchange(&mut held, "now layer 4").is_err());
}

#[test]
fn a_pod_can_neither_take_a_port_of_envoy_nor_reach_it_nor_speak_for_it() {
    require_root!();
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let free = c.nodes[0].pod(6, 0, SERVER);
    serve_tcp(&free.ns, free.v4, 80);
    client.ns.sh("sysctl -qw net.ipv4.ip_local_port_range='61000 65535'");
    ask_tcp(&client.ns, free.v4, 80).expect("no proxy, no reserved ports");
    let proxy = c.nodes[0].proxy_pod(5);
    guard(&c.nodes[0], CLIENT);
    serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    serve_tcp(&server.ns, server.v4, 80);
    assert!(timed_out(ask_tcp(&client.ns, free.v4, 80)));
    let events = c.nodes[0].programs.events();
    assert!(
        events
            .iter()
            .any(|e| u32::from(e.reason) == reason("PROXY_PORT"))
    );
    client.ns.sh("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'");
    ask_tcp(&client.ns, free.v4, 80).expect("another port");
    assert!(timed_out(ask_tcp(&client.ns, proxy.v4, 20_001)), "Envoy itself");
    serve_tcp(&proxy.ns, proxy.v4, 15_021);
    ask_tcp(&c.nodes[0].ns, proxy.v4, 15_021).expect("a probe of the node");
}

#[test]
fn connections_of_a_proxy_that_is_gone_are_reset() {
    require_root!();
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    guard(&c.nodes[0], CLIENT);
    serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    serve_tcp(&server.ns, server.v4, 80);
    let mut held = connect(&client.ns, server.v4, 80).expect("through the proxy");
    line(&mut held).expect("greeting");
    c.nodes[0].programs.pod(5, 0, 0, 2, &[]);
    assert!(exchange(&mut held, "anybody there?").is_err());
}

/// The Service 10.96.0.10:80 and fd00:96::10:80, of which Envoy chooses the backend, on 20003.
fn routed(node: &Node) -> [IpAddr; 2] {
    let frontends = [ip("10.96.0.10"), ip("fd00:96::10")];
    for frontend in frontends {
        let service = Service {
            proxy: 20_003,
            ..Service::new(frontend, 80, TCP, 0, 0)
        };
        node.programs.service(&service);
    }
    frontends
}

#[test]
fn a_service_with_routes_is_envoys_to_serve_and_policies_are_about_the_backend_it_chooses() {
    require_root!();
    let mut c = Cluster::new(2);
    let client = c.nodes[0].pod(3, CLIENT_SET, CLIENT);
    let near = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let far = c.nodes[1].pod(4, 0, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    c.nodes[0].programs.address(&format!("{}/128", far.v6), SERVER, POD);
    let frontends = routed(&c.nodes[0]);
    serve_tcp(&near.ns, near.v4, 8080);
    serve_tcp(&far.ns, far.v6, 8080);
    let to_near = serve(&proxy.ns, 20_003, CLIENT_SIDE, Some(SocketAddr::new(near.v4, 8080)));
    let authorizing = serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
    let ask = |frontend| ask_tcp(&client.ns, frontend, 80);
    assert!(ask(frontends[0]).is_err(), "the client may not");
    let egress = |port, allow| {
        let programs = &c.nodes[0].programs;
        programs.policy(CLIENT_SET, SERVER, EGRESS, TCP, port, allow, RULE);
    };
    egress(8080, true);
    assert!(ask(frontends[0]).is_err(), "the server does not allow it");
    let programs = &c.nodes[0].programs;
    programs.policy_proxy(SERVER_SET, CLIENT, INGRESS, 8080, RULE, 20_001);
    assert_eq!(ask(frontends[0]).expect("both do"), client.v4.to_string());
    assert_eq!([seen(&to_near), seen(&authorizing)], [3, 1]);
    let mut held = connect(&client.ns, frontends[0], 80).expect("held");
    line(&mut held).expect("greeting");
    exchange(&mut held, "both do").expect("it lives");
    programs.policy(SERVER_SET, CLIENT, INGRESS, TCP, 8080, true, RULE);
    c.nodes[0].bump(4);
    let cut = exchange(&mut held, "no more layer 7");
    assert!(cut.is_err() && !timed_out(cut), "Envoy hears of it");
    programs.policy_proxy(SERVER_SET, CLIENT, INGRESS, 8080, RULE, 20_001);
    let event = programs.events().into_iter().rfind(|e| e.kind == NEW && e.service.is_some());
    let event = event.expect("a new connection");
    assert_eq!((event.dst, event.service), (frontends[0], Some((frontends[0], 80))));

    let other = c.nodes[0].proxy_pod(6);
    serve(&other.ns, 20_003, CLIENT_SIDE, Some(SocketAddr::new(far.v6, 8080)));
    assert_eq!(ask(frontends[1]).expect("another node"), client.v6.to_string());
    let mut held = connect(&client.ns, frontends[1], 80).expect("held");
    line(&mut held).expect("greeting");
    c.nodes[0].bump(3);
    exchange(&mut held, "after a change of policies").expect("it lives");
}

#[test]
fn a_pod_that_is_its_own_backend_is_answered_and_sees_the_proxys_address() {
    require_root!();
    let mut c = Cluster::new(1);
    let pod = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let frontends = routed(&c.nodes[0]);
    let programs = &c.nodes[0].programs;
    programs.policy_proxy(SERVER_SET, SERVER, INGRESS, 8080, RULE, 20_001);
    for (slot, own, frontend) in [(5, pod.v4, frontends[0]), (6, pod.v6, frontends[1])] {
        let proxy = c.nodes[0].proxy_pod(slot);
        let seen_as = if own.is_ipv4() { proxy.v4 } else { proxy.v6 };
        serve_tcp(&pod.ns, own, 8080);
        let routing = serve(&proxy.ns, 20_003, CLIENT_SIDE, Some(SocketAddr::new(own, 8080)));
        let authorizing = serve_proxy(&proxy.ns, 20_001, SERVER_SIDE);
        for _ in 0..3 {
            assert_eq!(ask_tcp(&pod.ns, frontend, 80).expect("itself"), seen_as.to_string());
        }
        assert_eq!([seen(&routing), seen(&authorizing)], [3, 3], "its rules count for itself too");
    }
}

const MARK_PROXY: u32 = 0x7752_6670;

/// Pod C runs Envoy.
pub fn handed_over(w: &mut World) {
    let (a, b) = (w.at.a, w.at.b);
    let with_stage = |frame: Frame, stage: u8| {
        let mut from = POD_MAC;
        from[5] ^= stage;
        frame.with_macs(HOST_MAC, from)
    };
    for class in [CLASS_A, 4] {
        w.programs.policy_proxy(SET_B, class, INGRESS, 80, RULE_B, 20_001);
    }
    let syn = tcp(a, 4000, b, 80, SYN);
    let at_a = Hook::FromPod(A);
    let at_proxy = Hook::FromPod(C);
    w.expect("nobody decides", at_a, &syn, DROPPED, "NO_PROXY");
    w.programs.proxy(5, C);
    let out = w.expect("Envoy is to decide", at_a, &syn, REDIRECT, "PROXIED");
    assert_eq!(out.frame, syn.with_macs(POD_MAC, HOST_MAC), "no hop is counted");
    let e = w.last[0].clone();
    assert_eq!((e.kind, e.ingress_rule, e.dst_slot), (NEW, RULE_B, 4));
    let answer = tcp(b, 80, a, 4000, SYN | ACK);
    w.expect("it answers", at_proxy, &with_stage(answer.clone(), 0), REDIRECT, "ESTABLISHED");
    w.expect("the server must not", Hook::FromPod(B), &answer, DROPPED, "INVALID");

    let onward = tcp(a, 61_000, b, 80, SYN);
    w.expect("without a stage", at_proxy, &with_stage(onward.clone(), 0), DROPPED, "INVALID");
    w.expect("no such stage", at_proxy, &with_stage(onward.clone(), 3), DROPPED, "INVALID");
    w.expect("before the server's side", at_proxy, &with_stage(onward.clone(), 1), REDIRECT, "PROXIED");
    w.expect("after it", at_proxy, &with_stage(onward.clone(), 2), REDIRECT, "FROM_PROXY");
    assert!(w.last.is_empty(), "its client's connection has been told: {:?}", w.last);
    w.expect("the server answers", Hook::FromPod(B), &tcp(b, 80, a, 61_000, SYN | ACK), REDIRECT, "ESTABLISHED");
    w.expect("in the client's own name", at_a, &tcp(a, 61_000, b, 80, ACK), DROPPED, "INVALID");
    w.expect("a reserved port", at_a, &tcp(a, 61_001, b, 80, SYN), DROPPED, "PROXY_PORT");
    w.expect("not TCP", at_proxy, &udp(a, 61_000, b, 80), DROPPED, "SPOOFED");

    let (c, itself) = (w.at.c, tcp(b, 61_000, b, 80, SYN));
    let out = w.expect("to its own client", at_proxy, &with_stage(itself, 2), REDIRECT, "FROM_PROXY");
    assert_eq!(out.frame, tcp(c, 61_000, b, 80, SYN).with_ttl(63).with_macs(POD_MAC, HOST_MAC));
    let answer = tcp(b, 80, c, 61_000, SYN | ACK);
    let out = w.expect("which answers", Hook::FromPod(B), &answer, REDIRECT, "ESTABLISHED");
    assert_eq!(out.frame, tcp(b, 80, b, 61_000, SYN | ACK).with_macs(POD_MAC, HOST_MAC));
    w.expect("a port of no Envoy", Hook::FromPod(B), &tcp(b, 80, c, 60_000, ACK), DROPPED, "INVALID");

    let other_node = tcp(w.at.node2, 4000, b, 80, SYN);
    let out = w.expect("by the stack", Hook::ToPod(B, UNDERLAY), &other_node, REDIRECT, "PROXIED");
    assert_eq!(out.mark, MARK_PROXY);

    // All pods of this node are of tenant 1.
    let had = |w: &World, since: u64, count: u32| {
        let value = bytes().u64(since).u32(count).u32(0);
        w.programs.put("weft_tenants", bytes().u64(1), value);
    };
    let opens = |port| tcp(a, port, b, 80, SYN);
    had(w, crate::hostile::now_ns() - 100_000_000, SHARE - 1);
    w.expect("the last of this second", at_a, &opens(4001), REDIRECT, "PROXIED");
    w.expect("one too many", at_a, &opens(4002), DROPPED, "PROXY_LIMIT");
    had(w, 0, SHARE);
    w.expect("another second", at_a, &opens(4002), REDIRECT, "PROXIED");
}

/// Connections a second that a tenant may have handed to Envoy.
const SHARE: u32 = 4096;

#[test]
fn packets_meet_envoy_and_only_envoy() {
    require_root!();
    crate::packets::both(handed_over, &[]);
}
