//! Nodes and pods as network namespaces around one bridge, with the programs attached: no agent, no Kubernetes.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use weft_datapath::links::{Target, attach_unpinned};

use crate::layout::*;
use crate::netns::Netns;
use crate::programs::{Config, Programs};

const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;
const UNDERLAY: u32 = 50;
const PROXY_CLASS: u64 = 90;

pub struct Pod {
    pub ns: Netns,
    pub v4: IpAddr,
    pub v6: IpAddr,
}

pub struct Node {
    pub ns: Netns,
    pub number: u8,
    pub programs: Programs,
    links: Vec<OwnedFd>,
}

pub struct Cluster {
    _switch: Netns,
    pub nodes: Vec<Node>,
    /// A machine on the underlay that is no node; it knows no pods.
    pub outside: Netns,
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

pub fn node_v4(number: u8) -> IpAddr {
    ip(&format!("10.0.0.{number}"))
}
pub fn node_v6(number: u8) -> IpAddr {
    ip(&format!("fd00:a::{number}"))
}
pub const OUTSIDE: u8 = 9;

fn plug(switch: &Netns, ns: &Netns, number: u8) {
    ns.sh(&format!(
        "ip link add under index {UNDERLAY} type veth peer name port{number}
         ip link set port{number} netns {}
         ip addr add 10.0.0.{number}/24 dev under; ip addr add fd00:a::{number}/64 dev under nodad
         ip link set under up
         sysctl -qw net.ipv4.ping_group_range='0 2147483647'",
        switch.path()
    ));
    switch.sh(&format!("ip link set port{number} master br0 up"));
    ns.await_up("under");
    switch.await_up(&format!("port{number}"));
}

impl Cluster {
    pub fn new(nodes: u8) -> Cluster {
        let switch = Netns::new();
        switch.sh("ip link add br0 type bridge mcast_snooping 0; ip link set br0 up");
        let outside = Netns::new();
        plug(&switch, &outside, OUTSIDE);
        let nodes = (1..=nodes)
            .map(|number| Node::new(&switch, number, nodes))
            .collect();
        Cluster {
            _switch: switch,
            nodes,
            outside,
        }
    }
}

impl Node {
    fn new(switch: &Netns, number: u8, nodes: u8) -> Node {
        let ns = Netns::new();
        ns.sh(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
        );
        plug(switch, &ns, number);
        let config = Config {
            node_ipv4: node_v4(number),
            node_ipv6: node_v6(number),
            underlay_ifindex: UNDERLAY,
            tiny: Vec::new(),
        };
        let programs = ns.run(|| Programs::load(&config));
        programs.address("0.0.0.0/0", 2, WORLD);
        programs.address("::/0", 2, WORLD);
        for other in 1..=nodes {
            let kind = if other == number { HOST } else { REMOTE_NODE };
            programs.address(&format!("{}/32", node_v4(other)), 3, kind);
            programs.address(&format!("{}/128", node_v6(other)), 3, kind);
            programs.address(&format!("10.244.{other}.0/24"), 1, POD);
            programs.address(&format!("fd00:{other}::/64"), 1, POD);
            if other != number {
                ns.sh(&format!(
                    "ip route add 10.244.{other}.0/24 via {}; ip route add fd00:{other}::/64 via {}",
                    node_v4(other),
                    node_v6(other)
                ));
            }
        }
        let mut node = Node {
            ns,
            number,
            programs,
            links: Vec::new(),
        };
        node.attach("weft_from_underlay", UNDERLAY, TCX_INGRESS);
        node.attach("weft_to_underlay", UNDERLAY, TCX_EGRESS);
        node
    }

    fn attach(&mut self, program: &str, ifindex: u32, attach_type: u32) {
        let link = self.ns.run(|| self.link(program, ifindex, attach_type));
        self.links.extend(link);
    }

    /// In the network namespace of the calling thread.
    fn link(&self, program: &str, ifindex: u32, attach_type: u32) -> Option<OwnedFd> {
        let prog = self
            .programs
            .tc
            .progs()
            .find(|p| p.name() == program)
            .expect("program");
        attach_unpinned(Target::Device(ifindex), prog.as_fd(), attach_type)
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// A pod as the CNI binary makes it, address 10.244.<node>.<slot> and fd00:<node>::<slot>.
    pub fn pod(&mut self, slot: u32, set: u64, class: u64) -> Pod {
        let (n, ns) = (self.number, Netns::new());
        let (v4, v6) = (
            ip(&format!("10.244.{n}.{slot}")),
            ip(&format!("fd00:{n}::{slot}")),
        );
        let ifindex = 100 + slot;
        self.ns.sh(&format!(
            "ip link add host{slot} index {ifindex} address 02:77:65:66:74:02 type veth peer name eth0 address 02:77:65:66:74:01
             ip link set eth0 netns {}
             sysctl -qw net.ipv6.conf.host{slot}.accept_ra=0 net.ipv6.conf.host{slot}.accept_dad=0",
            ns.path()
        ));
        self.programs.pod(slot, ifindex, set, 1, &[v4, v6]);
        for prefix in [format!("{v4}/32"), format!("{v6}/128")] {
            self.programs.address(&prefix, class, POD);
        }
        self.attach("weft_from_pod", ifindex, TCX_INGRESS);
        self.attach("weft_to_pod", ifindex, TCX_EGRESS);
        ns.sh(&format!(
            "ip addr add {v4}/32 dev eth0; ip addr add {v6}/128 dev eth0 nodad; ip link set eth0 up
             ip route add default via 169.254.1.1 dev eth0 onlink; ip -6 route add default via fe80::1 dev eth0 onlink
             ip neigh add 169.254.1.1 lladdr 02:77:65:66:74:02 dev eth0 nud permanent
             ip neigh add fe80::1 lladdr 02:77:65:66:74:02 dev eth0 nud permanent
             sysctl -qw net.ipv4.ping_group_range='0 2147483647'"
        ));
        self.ns.sh(&format!(
            "ip link set host{slot} up
             ip route add {v4}/32 dev host{slot}; ip -6 route add {v6}/128 dev host{slot}
             ip neigh add {v4} lladdr 02:77:65:66:74:01 dev host{slot} nud permanent
             ip neigh add {v6} lladdr 02:77:65:66:74:01 dev host{slot} nud permanent"
        ));
        ns.await_up("eth0");
        self.ns.await_up(&format!("host{slot}"));
        Pod { ns, v4, v6 }
    }

    /// A pod that runs Envoy, as the CNI binary and the agent make it; new connections go to it.
    pub fn proxy_pod(&mut self, slot: u32) -> Pod {
        let pod = self.pod(slot, 3, PROXY_CLASS);
        self.programs.proxy(slot, 100 + slot);
        pod.ns.sh(
            "sysctl -qw net.ipv4.ip_local_port_range='61000 65535' net.ipv4.tcp_max_tw_buckets=0
             ip rule add iif eth0 lookup 100; ip route add local default dev lo table 100
             ip -6 rule add iif eth0 lookup 100; ip -6 route add local default dev lo table 100",
        );
        let eth0 = pod.ns.run(|| {
            let name = c"eth0";
            // SAFETY: a C string.
            unsafe { libc::if_nametoindex(name.as_ptr()) }
        });
        for (program, attach_type) in [
            ("weft_into_proxy", TCX_INGRESS),
            ("weft_out_of_proxy", TCX_EGRESS),
        ] {
            let link = pod.ns.run(|| self.link(program, eth0, attach_type));
            self.links.extend(link);
        }
        pod
    }

    /// Makes every packet's verdict be looked up again.
    pub fn bump(&self, slot: u32) {
        use libbpf_rs::{MapCore, MapFlags};
        let map = self.programs.map("weft_pods");
        let key = slot.to_ne_bytes();
        let mut value = map
            .lookup(&key, MapFlags::ANY)
            .expect("lookup")
            .expect("an array");
        let epoch = u32::from_ne_bytes(value[8..12].try_into().expect("4"));
        value[8..12].copy_from_slice(&(epoch + 1).to_ne_bytes());
        map.update(&key, &value, MapFlags::ANY).expect("update");
    }
}

/// A cgroup2 directory that is removed with its handle.
pub struct Cgroup {
    pub path: std::path::PathBuf,
    links: Vec<OwnedFd>,
}

impl Cgroup {
    /// None where no cgroup2 is mounted.
    pub fn new(name: &str) -> Option<Cgroup> {
        let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
        let mut root = mounts.lines().filter_map(|l| {
            let mut words = l.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| at.to_owned())
        });
        let path = std::path::Path::new(&root.next_back()?)
            .join(format!("wbpf-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Cgroup {
            path,
            links: Vec::new(),
        })
    }

    pub fn attach(&mut self, programs: &Programs) {
        let directory = File::open(&self.path).expect("cgroup");
        for prog in programs.sock.progs() {
            let link = attach_unpinned(
                Target::Cgroup(&directory),
                prog.as_fd(),
                prog.attach_type() as u32,
            )
            .unwrap_or_else(|error| panic!("{:?}: {error}", prog.name()));
            self.links.extend(link);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.links.clear();
        let _ = std::fs::remove_dir(&self.path);
    }
}
