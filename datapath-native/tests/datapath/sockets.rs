//! Services at the socket: children in a cgroup of their own, with the socket programs attached.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::cluster::*;
use crate::layout::*;
use crate::programs::Service;
use crate::require_root;
use crate::talk::*;

const QUESTION: &str = "WBPF_QUESTION";

/// What a child does: `tcp ADDRESS:PORT TIMES` or `udp …`; one line a time with the peer and the answer.
#[test]
fn child() {
    let Ok(question) = std::env::var(QUESTION) else {
        return;
    };
    let words: Vec<&str> = question.split(' ').collect();
    let to: SocketAddr = words[1].parse().expect("address");
    for _ in 0..words[2].parse().expect("count") {
        let answer = if words[0] == "tcp" {
            ask_stream(to)
        } else {
            ask_datagram(to)
        };
        println!(
            "ANSWER {}",
            answer.unwrap_or_else(|e| format!("error {:?}", e.kind()))
        );
    }
}

fn ask_stream(to: SocketAddr) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(patient(Duration::from_secs(5))))?;
    let seen = line(&mut stream)?;
    Ok(format!("{} {seen}", stream.peer_addr()?))
}

/// Not connected: the answer must come from where the question went.
fn ask_datagram(to: SocketAddr) -> Result<String, std::io::Error> {
    let any: IpAddr = if to.is_ipv4() { "0.0.0.0" } else { "::" }
        .parse()
        .expect("address");
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(patient(Duration::from_secs(5))))?;
    socket.send_to(b"?", to)?;
    let mut buffer = [0; 64];
    let (n, from) = socket.recv_from(&mut buffer)?;
    Ok(format!("{from} {}", String::from_utf8_lossy(&buffer[..n])))
}

struct Scene {
    cluster: Cluster,
    pods: Vec<Pod>,
    cgroup: Cgroup,
}

/// Two clients and two backends on one node; None where no cgroup2 is mounted.
fn scene(name: &str) -> Option<Scene> {
    let mut cluster = Cluster::new(1);
    let pods: Vec<Pod> = (3..=6)
        .map(|slot| cluster.nodes[0].pod(slot, 0, 20))
        .collect();
    let mut cgroup = Cgroup::new(name)?;
    cgroup.attach(&cluster.nodes[0].programs);
    for pod in &pods[2..] {
        for own in [pod.v4, pod.v6] {
            serve_tcp(&pod.ns, own, 8080);
            serve_udp(&pod.ns, own, 8080);
        }
    }
    Some(Scene {
        cluster,
        pods,
        cgroup,
    })
}

impl Scene {
    fn ask(&self, client: usize, question: &str) -> Vec<String> {
        let exe = std::env::current_exe().expect("this binary");
        let join = format!(
            "echo $$ > {}/cgroup.procs; exec {} --exact sockets::child --nocapture",
            self.cgroup.path.display(),
            exe.display()
        );
        let output = self.pods[client]
            .ns
            .command("sh")
            .args(["-c", &join])
            .env(QUESTION, question)
            .output();
        let text = String::from_utf8_lossy(&output.expect("child").stdout).into_owned();
        text.lines()
            .filter_map(|l| Some(l.split_once("ANSWER ")?.1.to_owned()))
            .collect()
    }

    fn service(&self, frontend: IpAddr, proto: u8, set: u64, change: impl FnOnce(&mut Service)) {
        let backends: Vec<_> = self.pods[2..]
            .iter()
            .map(|p| (if frontend.is_ipv4() { p.v4 } else { p.v6 }, 8080))
            .collect();
        let p = &self.cluster.nodes[0].programs;
        p.backends(set, &backends);
        let mut s = Service::new(frontend, 80, proto, set, 2);
        change(&mut s);
        p.service(&s);
    }
}

macro_rules! scene {
    ($name:literal) => {{
        require_root!();
        let Some(scene) = scene($name) else {
            crate::netns::skip("no cgroup2 is mounted");
            return;
        };
        scene
    }};
}

fn backends_of(answers: &[String]) -> BTreeSet<String> {
    answers
        .iter()
        .map(|a| a.rsplit(' ').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn sockets_reach_backends_and_see_the_service() {
    let s = scene!("plain");
    for (n, vip, own) in [
        (0, ip("10.96.0.10"), s.pods[0].v4),
        (1, ip("fd00:96::10"), s.pods[0].v6),
    ] {
        let to = SocketAddr::new(vip, 80);
        s.service(vip, TCP, 600 + n, |_| {});
        s.service(vip, UDP, 610 + n, |_| {});
        let answers = s.ask(0, &format!("tcp {to} 30"));
        assert_eq!(answers.len(), 30);
        let wanted = format!("{to} {own} ");
        assert!(
            answers.iter().all(|a| a.starts_with(&wanted)),
            "{answers:?}"
        );
        assert_eq!(backends_of(&answers).len(), 2, "30 random choices of 2");
        let named = s.cluster.nodes[0]
            .programs
            .events()
            .iter()
            .any(|e| e.service == Some((vip, 80)));
        assert!(named, "flows know which Service was meant");
        let answers = s.ask(0, &format!("udp {to} 3"));
        assert_eq!(answers, vec![format!("{to} {own}"); 3]);
    }
    let mapped: SocketAddr = "[::ffff:10.96.0.10]:80".parse().expect("address");
    let answers = s.ask(0, &format!("tcp {mapped} 1"));
    assert!(
        answers[0].starts_with(&format!("{mapped} {}", s.pods[0].v4)),
        "{answers:?}"
    );
}

#[test]
fn a_service_without_endpoints_refuses() {
    let s = scene!("none");
    let vip = ip("10.96.0.11");
    let refused = format!("error {:?}", ErrorKind::ConnectionRefused);
    for (proto, question) in [(TCP, "tcp 10.96.0.11:80 1"), (UDP, "udp 10.96.0.11:80 1")] {
        s.service(vip, proto, 620, |s| s.count = 0);
        let answers = s.ask(0, question);
        assert!(answers.len() == 1 && answers[0] == refused, "{answers:?}");
    }
}

#[test]
fn node_ports_answer_at_node_addresses_only() {
    let s = scene!("nodeport");
    s.cluster
        .outside
        .sh("ip route add 10.244.1.0/24 via 10.0.0.1");
    s.service(node_v4(1), TCP, 630, |s| s.flags = NODE_PORT);
    let answers = s.ask(0, "tcp 10.0.0.1:80 1");
    assert!(
        answers[0].starts_with(&format!("10.0.0.1:80 {}", s.pods[0].v4)),
        "{answers:?}"
    );
    let answers = s.ask(0, "tcp 10.0.0.9:80 1");
    assert_eq!(
        answers,
        [format!("error {:?}", ErrorKind::ConnectionRefused)],
        "another machine's port 80"
    );
}

#[test]
fn clients_with_affinity_stay_random_or_by_maglev() {
    let s = scene!("affinity");
    s.service(ip("10.96.0.12"), TCP, 640, |s| s.affinity = 60);
    let table: Vec<u32> = (0..251).map(|i| i % 2).collect();
    s.cluster.nodes[0].programs.maglev(641, &table);
    for (vip, affinity) in [("10.96.0.13", 60), ("10.96.0.14", 0)] {
        s.service(ip(vip), TCP, 641, |s| {
            s.flags = MAGLEV;
            s.maglev = 251;
            s.affinity = affinity;
        });
    }
    for client in [0, 1] {
        for vip in ["10.96.0.12", "10.96.0.13"] {
            let answers = s.ask(client, &format!("tcp {vip}:80 20"));
            assert_eq!(
                (answers.len(), backends_of(&answers).len()),
                (20, 1),
                "{vip}: {answers:?}"
            );
        }
    }
    let answers = s.ask(0, "tcp 10.96.0.14:80 30");
    assert_eq!(
        backends_of(&answers).len(),
        2,
        "Maglev without affinity spreads"
    );
    let map = s.cluster.nodes[0].programs.map("weft_affinity");
    use libbpf_rs::MapCore;
    assert!(
        map.keys().count() >= 2,
        "random affinity is remembered a client"
    );
}

#[test]
fn a_pods_socket_leaves_a_service_with_routes_to_envoy_and_a_nodes_does_not() {
    require_root!();
    let Some(scene) = scene("routed") else {
        return;
    };
    let frontend = ip("10.96.0.30");
    scene.service(frontend, TCP, 31, |service| service.proxy = 20_003);
    let node = &scene.cluster.nodes[0];
    let proxy = |pods: &Scene| {
        let mark = reason("NO_PROXY");
        let events = pods.cluster.nodes[0].programs.events();
        events.iter().filter(|e| u32::from(e.reason) == mark).count()
    };
    let join = format!(
        "echo $$ > {}/cgroup.procs; exec timeout 1 bash -c ': < /dev/tcp/{frontend}/80'",
        scene.cgroup.path.display()
    );
    let run = |ns: &crate::netns::Netns| {
        let status = ns.command("sh").args(["-c", &join]).status();
        status.expect("sh").success()
    };
    assert!(!run(&scene.pods[0].ns), "no Envoy");
    assert!(proxy(&scene) > 0);
    assert!(run(&node.ns), "the node's own socket is translated");
}
