//! Real traffic between namespaces.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use crate::cluster::*;
use crate::frame::{SYN, tcp};
use crate::layout::*;
use crate::programs::Service;
use crate::require_root;
use crate::talk::*;

const CLASS: u64 = 20;
const CLIENT: u64 = 21;
const DENY_IN: u64 = 0x40 | 1;

fn all_protocols(from: &Pod, to: &Pod) {
    for (own, peer) in [(from.v4, to.v4), (from.v6, to.v6)] {
        serve_tcp(&to.ns, peer, 80);
        serve_udp(&to.ns, peer, 53);
        assert_eq!(ask_tcp(&from.ns, peer, 80).expect("TCP"), own.to_string());
        assert_eq!(ask_udp(&from.ns, peer, 53).expect("UDP"), own.to_string());
        ping(&from.ns, peer).expect("ping");
        let refused = connect(&from.ns, peer, 9).expect_err("nobody listens");
        assert_eq!(
            refused.kind(),
            ErrorKind::ConnectionRefused,
            "a pod's own reset arrives"
        );
        let refused = ask_udp(&from.ns, peer, 9).expect_err("nobody listens");
        assert_eq!(
            refused.kind(),
            ErrorKind::ConnectionRefused,
            "port unreachable arrives"
        );
    }
}

#[test]
fn pods_of_one_node_talk() {
    require_root!();
    let mut c = Cluster::new(1);
    let (a, b) = (c.nodes[0].pod(3, 0, CLASS), c.nodes[0].pod(4, 0, CLASS));
    all_protocols(&a, &b);
}

#[test]
fn pods_of_two_nodes_talk() {
    require_root!();
    let mut c = Cluster::new(2);
    let (a, b) = (c.nodes[0].pod(3, 0, CLASS), c.nodes[1].pod(4, 0, CLASS));
    all_protocols(&a, &b);
    let big = vec![b'x'; 300_000];
    let mut stream = connect(&a.ns, b.v6, 80).expect("connect");
    line(&mut stream).expect("greeting");
    let mut writer = stream.try_clone().expect("clone");
    std::thread::spawn(move || {
        let _ = writer.write_all(&big);
        let _ = writer.write_all(b"\n");
    });
    assert_eq!(line(&mut stream).expect("all of it").len(), 300_000);
}

#[test]
fn a_node_reaches_its_own_pods_under_default_deny_and_others_do_not() {
    require_root!();
    let mut c = Cluster::new(2);
    let a = c.nodes[0].pod(3, DENY_IN, CLASS);
    c.outside
        .sh("ip route add 10.244.1.0/24 via 10.0.0.1; ip route add fd00:1::/64 via fd00:a::1");
    for own in [a.v4, a.v6] {
        serve_tcp(&a.ns, own, 8080);
        let node = if own.is_ipv4() {
            node_v4(1)
        } else {
            node_v6(1)
        };
        assert_eq!(
            ask_tcp(&c.nodes[0].ns, own, 8080).expect("probe"),
            node.to_string()
        );
        ping(&c.nodes[0].ns, own).expect("ping by the node");
        assert!(
            timed_out(ask_tcp(&c.nodes[1].ns, own, 8080)),
            "another node"
        );
        assert!(timed_out(ask_tcp(&c.outside, own, 8080)), "the world");
        serve_tcp(&c.nodes[0].ns, node, 10250);
        assert_eq!(
            ask_tcp(&a.ns, node, 10250).expect("pod to its node"),
            own.to_string()
        );
    }
    assert!(c.nodes[0].programs.metric(reason("DEFAULT_DENY")) >= 4);
}

/// A client and a server that the test holds both ends of.
fn pair(from: &Pod, to: &Pod, address: IpAddr, port: u16) -> (TcpStream, TcpStream) {
    let listener = to
        .ns
        .run(|| TcpListener::bind((address, port)).expect("bind"));
    let client = connect(&from.ns, address, port).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    server
        .set_read_timeout(Some(patient(std::time::Duration::from_secs(2))))
        .expect("timeout");
    server.set_nodelay(true).expect("nodelay");
    (client, server)
}

fn revocation(c: &mut Cluster, server_node: usize, client_speaks: bool) {
    const SET: u64 = 0x80 | 1;
    let a = c.nodes[0].pod(3, 0, CLIENT);
    let b = c.nodes[server_node].pod(4, SET, CLASS);
    let node = &c.nodes[server_node];
    for prefix in [format!("{}/32", a.v4), format!("{}/128", a.v6)] {
        node.programs.address(&prefix, CLIENT, POD);
    }
    for (address, port) in [(b.v4, 80), (b.v6, 90)] {
        node.programs
            .policy(SET, CLIENT, INGRESS, TCP, port, true, 0);
        node.programs
            .policy(SET, CLIENT, INGRESS, TCP, port + 1, true, 1);
        let (mut client, mut server) = pair(&a, &b, address, port);
        let (mut kept, mut kept_server) = pair(&a, &b, address, port + 1);
        client.write_all(b"x").expect("allowed");
        std::io::Read::read_exact(&mut server, &mut [0]).expect("allowed");
        node.programs.policy_delete(SET, CLIENT, INGRESS, TCP, port);
        node.bump(4);
        let speaker = if client_speaks {
            &mut client
        } else {
            &mut server
        };
        speaker.write_all(b"still there?").expect("not yet known");
        assert_eq!(
            end_of(&mut client),
            Some(ErrorKind::ConnectionReset),
            "client of {address}"
        );
        assert_eq!(
            end_of(&mut server),
            Some(ErrorKind::ConnectionReset),
            "server of {address}"
        );
        kept.write_all(b"y").expect("untouched");
        std::io::Read::read_exact(&mut kept_server, &mut [0]).expect("untouched");
        kept_server.write_all(b"z").expect("untouched");
        std::io::Read::read_exact(&mut kept, &mut [0]).expect("untouched");
        let revoked = node
            .programs
            .events()
            .into_iter()
            .filter(|e| e.kind == REVOKED)
            .count();
        assert_eq!(revoked, 1, "one event for one connection");
        assert!(timed_out(connect(&a.ns, address, port)), "and no new ones");
    }
}

#[test]
fn a_revoked_permission_resets_both_ends_on_one_node() {
    require_root!();
    revocation(&mut Cluster::new(1), 0, true);
}

#[test]
fn a_revoked_permission_resets_both_ends_on_one_node_when_the_server_speaks() {
    require_root!();
    revocation(&mut Cluster::new(1), 0, false);
}

#[test]
fn a_revoked_permission_resets_both_ends_across_nodes() {
    require_root!();
    revocation(&mut Cluster::new(2), 1, true);
}

#[test]
fn a_revoked_permission_resets_both_ends_across_nodes_when_the_server_speaks() {
    require_root!();
    revocation(&mut Cluster::new(2), 1, false);
}

fn node_port(c: &Cluster, node: usize, backend: IpAddr, proto: u8) {
    let n = &c.nodes[node];
    let set = 500 + u64::from(proto) + if backend.is_ipv4() { 0 } else { 100 };
    n.programs.backends(set, &[(backend, 8080)]);
    let family = if backend.is_ipv4() {
        node_v4(1)
    } else {
        node_v6(1)
    };
    let mut service = Service::new(family, 30080, proto, set, 1);
    service.scope = EXTERNAL;
    service.flags = NODE_PORT;
    n.programs.service(&service);
}

#[test]
fn node_ports_keep_the_clients_address_wherever_the_backend_is() {
    require_root!();
    let mut c = Cluster::new(2);
    let b = c.nodes[1].pod(4, 0, CLASS);
    for (address, client) in [(b.v4, node_v4(OUTSIDE)), (b.v6, node_v6(OUTSIDE))] {
        serve_tcp(&b.ns, address, 8080);
        serve_udp(&b.ns, address, 8080);
        for node in [0, 1] {
            node_port(&c, node, address, TCP);
            node_port(&c, node, address, UDP);
            let number = c.nodes[node].number;
            let at = if address.is_ipv4() {
                node_v4(number)
            } else {
                node_v6(number)
            };
            assert_eq!(
                ask_tcp(&c.outside, at, 30080).expect("TCP"),
                client.to_string(),
                "by node {number}"
            );
            assert_eq!(
                ask_udp(&c.outside, at, 30080).expect("UDP"),
                client.to_string(),
                "by node {number}"
            );
        }
    }
}

#[test]
fn a_forwarded_client_does_not_pass_for_a_node() {
    require_root!();
    let mut c = Cluster::new(2);
    let b = c.nodes[1].pod(4, DENY_IN, CLASS);
    c.nodes[1]
        .programs
        .policy(DENY_IN, 3, INGRESS, 0, 0, true, 0); // nodes may
    serve_tcp(&b.ns, b.v4, 8080);
    node_port(&c, 0, b.v4, TCP);
    assert!(timed_out(ask_tcp(&c.outside, node_v4(1), 30080)));
    assert_eq!(
        ask_tcp(&c.nodes[0].ns, b.v4, 8080).expect("the node itself"),
        node_v4(1).to_string()
    );
}

#[test]
fn pods_reach_the_world_by_the_nodes_masquerade() {
    require_root!();
    let mut c = Cluster::new(1);
    let a = c.nodes[0].pod(3, 0, CLASS);
    if c.nodes[0]
        .ns
        .command("nft")
        .arg("--version")
        .output()
        .is_err()
    {
        crate::netns::skip("needs nft");
        return;
    }
    c.nodes[0].ns.sh(&format!(
        "nft 'table inet weft {{ chain post {{ type nat hook postrouting priority srcnat; meta mark & {MASQUERADE_MARK} != 0 masquerade; }}; }}'"
    ));
    for (to, node) in [
        (node_v4(OUTSIDE), node_v4(1)),
        (node_v6(OUTSIDE), node_v6(1)),
    ] {
        serve_tcp(&c.outside, to, 443);
        assert_eq!(ask_tcp(&a.ns, to, 443).expect("TCP"), node.to_string());
        ping(&a.ns, to).expect("ping");
    }
}

/// The programs let their own resets pass by a mark; what a pod sets must not.
#[test]
fn a_mark_set_in_a_pod_opens_nothing() {
    require_root!();
    let mut c = Cluster::new(1);
    let (a, b) = (
        c.nodes[0].pod(3, 0, CLASS),
        c.nodes[0].pod(4, DENY_IN, CLASS),
    );
    serve_udp(&b.ns, b.v4, 53);
    a.ns.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
        let mark: u32 = 0x7752_6573;
        let size = libc::socklen_t::try_from(size_of_val(&mark)).expect("small");
        // SAFETY: the option's value is a u32 that outlives the call.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MARK,
                (&raw const mark).cast(),
                size,
            )
        };
        assert_eq!(set, 0, "SO_MARK");
        socket.send_to(b"?", (b.v4, 53)).expect("send");
    });
    let seen = c.nodes[0].programs.events();
    assert!(
        seen.iter().any(|e| e.kind == DROP && e.dst == b.v4),
        "{seen:?}"
    );
    assert_eq!(c.nodes[0].programs.metric(reason("DEFAULT_DENY")), 1);
}

#[test]
fn a_vlan_tag_leads_a_pod_nowhere() {
    require_root!();
    let mut c = Cluster::new(1);
    let (a, b) = (c.nodes[0].pod(3, 0, CLASS), c.nodes[0].pod(4, 0, CLASS));
    serve_tcp(&b.ns, b.v4, 80);
    connect(&a.ns, b.v4, 80).expect("untagged");
    let unsupported = || c.nodes[0].programs.metric(reason("UNSUPPORTED"));
    let before = unsupported();
    let mut tagged = tcp(a.v4, 4000, b.v4, 80, SYN).with_macs(HOST_MAC, POD_MAC);
    tagged.0.splice(12..12, [0x81, 0, 0, 5]);
    a.ns.run(|| send_frame("eth0", &tagged.0));
    assert!(unsupported() > before, "dropped by name");
}
