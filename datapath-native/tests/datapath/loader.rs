//! The library on this kernel: attach, take over, detach, uninstall; with links where there is tcx, else with filters.

use std::ffi::CString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;

use weft_datapath::{Budgets, Datapath, Options, uninstall};

use crate::cluster::{Cgroup, ip};
use crate::netns::Netns;
use crate::require_root;
use crate::talk::ping;

const POD: u32 = 103;

struct Scene {
    node: Netns,
    pod: Netns,
    cgroup: Cgroup,
    pins: PathBuf,
    host: IpAddr,
}

/// A node with one pod that no row knows, so that the programs drop what it sends.
fn scene(name: &str) -> Option<Scene> {
    let (node, pod) = (Netns::new(), Netns::new());
    node.sh(&format!(
        "ip link add under type veth peer name other
         ip link add host3 index {POD} type veth peer name eth0
         ip link set eth0 netns {}
         ip addr add 10.9.0.1/24 dev host3; ip link set under up; ip link set other up; ip link set host3 up",
        pod.path()
    ));
    pod.sh("ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
            sysctl -qw net.ipv4.ping_group_range='0 2147483647'");
    node.await_up("host3");
    pod.await_up("eth0");
    Some(Scene {
        node,
        pod,
        cgroup: Cgroup::new(name)?,
        pins: PathBuf::from("/mnt/weft"),
        host: ip("10.9.0.1"),
    })
}

impl Scene {
    /// As a process that has just started.
    fn open(&self, underlay: &str) -> Datapath {
        let options = Options {
            pin_dir: self.pins.clone(),
            cgroup: self.cgroup.path.clone(),
            underlay: underlay.to_owned(),
            node_ipv4: None,
            node_ipv6: None,
            budgets: Budgets::new(),
        };
        self.node.run(|| Datapath::open(&options)).expect("opened")
    }

    fn attach(&self, datapath: &Datapath) {
        let attached = self.node.run(|| datapath.attach_pods(&[POD]));
        attached.expect("attached");
    }

    fn detach(&self, datapath: &Datapath) {
        self.node
            .run(|| datapath.detach_pod(POD))
            .expect("detached");
    }

    fn passes(&self) -> bool {
        ping(&self.pod, self.host).is_ok()
    }

    /// The kernel takes a link away some time after its pin.
    fn passes_soon(&self) -> bool {
        (0..20).any(|_| self.passes())
    }
}

fn dropped(datapath: &Datapath) -> u64 {
    let metrics = datapath.metrics().expect("metrics");
    let found = metrics.iter().find(|metric| metric.name == "unknown-pod");
    found.expect("a reason").packets
}

/// On a thread with a bpffs of its own at /mnt, which ends with it.
fn with_bpffs(test: impl FnOnce() + Send + 'static) {
    let body = || {
        let path = |text: &str| CString::new(text).expect("no zero inside");
        let (root, bpf, place) = (path("/"), path("bpf"), path("/mnt"));
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        // SAFETY: system calls with C strings; they change this thread only.
        let results = unsafe {
            let none = std::ptr::null();
            [
                libc::unshare(libc::CLONE_NEWNS),
                libc::mount(bpf.as_ptr(), root.as_ptr(), none, flags, none.cast()),
                libc::mount(bpf.as_ptr(), place.as_ptr(), bpf.as_ptr(), 0, none.cast()),
            ]
        };
        assert_eq!(results, [0; 3], "{}", std::io::Error::last_os_error());
        test();
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn pins(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join("v2/links")).expect("links");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("pod-") || name == "next")
        .collect();
    names.sort();
    names
}

#[test]
fn programs_stay_when_their_process_ends_and_go_when_they_are_detached() {
    require_root!();
    with_bpffs(|| {
        let Some(s) = scene("takeover") else {
            crate::netns::skip("no cgroup2 is mounted");
            return;
        };
        assert!(s.passes(), "nothing is attached");
        let first = s.open("under");
        assert!(!first.adopted);
        s.attach(&first);
        s.attach(&first);
        assert!(!s.passes());
        let before = dropped(&first);
        assert!(before > 0);
        drop(first);
        assert!(!s.passes(), "without a process");

        let second = s.open("under");
        assert!(second.adopted);
        assert_eq!(second.attached_pods().expect("pins"), [POD]);
        assert!(!s.passes(), "taken over");
        assert!(dropped(&second) > before + 1, "with the same maps");
        let inside = PathBuf::from(s.pod.path());
        for _ in 0..2 {
            second
                .attach_proxy(POD, &inside, "eth0")
                .expect("inside the pod");
        }
        let ends = ["egress", "ingress", "into-proxy", "out-of-proxy"];
        assert_eq!(pins(&s.pins), ends.map(|end| format!("pod-{POD}-{end}")));
        s.detach(&second);
        s.detach(&second);
        assert_eq!(pins(&s.pins), [""; 0]);
        assert!(second.attached_pods().expect("pins").is_empty());
    });
}

#[test]
fn a_detached_pod_and_an_uninstalled_node_are_as_before() {
    require_root!();
    with_bpffs(|| {
        let Some(s) = scene("uninstall") else {
            crate::netns::skip("no cgroup2 is mounted");
            return;
        };
        let first = s.open("under");
        s.attach(&first);
        s.detach(&first);
        assert!(s.passes_soon(), "detached");
        s.attach(&first);
        drop(first);
        // Another underlay, and a pod whose device went while nobody looked.
        s.node.sh("ip link del host3");
        let second = s.open("other");
        assert!(second.attached_pods().expect("pins").is_empty());
        drop(second);
        s.node.sh(&format!(
            "ip link add host3 index {POD} type veth peer name eth0; ip link set eth0 netns {}
             ip addr add 10.9.0.1/24 dev host3; ip link set host3 up",
            s.pod.path()
        ));
        s.pod
            .sh("ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up");
        s.node.await_up("host3");
        let third = s.open("other");
        assert!(third.attached_pods().expect("pins").is_empty());
        s.attach(&third);
        assert!(!s.passes(), "the new pod with the old index");
        drop(third);
        s.node.run(|| uninstall(&s.pins)).expect("uninstalled");
        assert!(s.passes_soon(), "uninstalled");
        assert!(!s.pins.exists());
    });
}
