//! The compiled objects with maps of their own: load, fill, run, attach.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{
    MapCore, MapFlags, MapHandle, MapType, Object, ObjectBuilder, OpenObject, RingBufferBuilder,
};

use crate::layout::*;

#[derive(Clone)]
pub struct Config {
    pub node_ipv4: IpAddr,
    pub node_ipv6: IpAddr,
    pub underlay_ifindex: u32,
    /// Maps that are plain hashes of one entry, so that they can be full.
    pub tiny: Vec<&'static str>,
}

pub struct Programs {
    pub tc: Object,
    pub sock: Object,
}

const TC: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tc.bpf.o"));
const SOCK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sock.bpf.o"));

/// Of the calling thread's network namespace.
fn netns_cookie() -> u64 {
    use std::os::fd::AsRawFd;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    let (mut cookie, mut length) = (0_u64, 8_u32);
    // SAFETY: the value is as long as the call is told; 71 is SO_NETNS_COOKIE.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            71,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0);
    cookie
}

fn prepare(object: &mut OpenObject, config: &Config) {
    for mut map in object.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata") {
            let data = map.initial_value_mut().expect("rodata");
            let image = bytes()
                .addr(config.node_ipv4)
                .addr(config.node_ipv6)
                .u32(config.underlay_ifindex)
                .u32(0)
                .raw(&POD_MAC)
                .raw(&HOST_MAC)
                .u32(MASQUERADE_MARK)
                .u64(netns_cookie())
                .0;
            data[..image.len()].copy_from_slice(&image);
            continue;
        }
        if map.map_type() == MapType::LruHash {
            map.set_max_entries(1024).expect("before load");
        }
        if config.tiny.contains(&name.as_str()) {
            map.set_type(MapType::Hash).expect("before load");
            map.set_max_entries(1).expect("before load");
        }
    }
}

impl Programs {
    pub fn load(config: &Config) -> Programs {
        let mut tc = ObjectBuilder::default()
            .open_memory(TC)
            .expect("tc.bpf.o opens");
        prepare(&mut tc, config);
        let tc = tc.load().expect("tc.bpf.o loads");
        let mut sock = ObjectBuilder::default()
            .open_memory(SOCK)
            .expect("sock.bpf.o opens");
        prepare(&mut sock, config);
        for mut map in sock.maps_mut() {
            if let Some(shared) = tc
                .maps()
                .find(|other| other.name() == map.name() && map.name() != OsStr::new(".rodata"))
                && !map.name().to_string_lossy().contains("rodata")
            {
                map.reuse_fd(shared.as_fd()).expect("same definition");
            }
        }
        let sock = sock.load().expect("sock.bpf.o loads");
        Programs { tc, sock }
    }

    pub fn map(&self, name: &str) -> libbpf_rs::Map<'_> {
        self.tc
            .maps()
            .find(|m| m.name() == name)
            .unwrap_or_else(|| panic!("no map {name}"))
    }

    pub fn put(&self, map: &str, key: Bytes, value: Bytes) {
        self.map(map)
            .update(&key.0, &value.0, MapFlags::ANY)
            .unwrap_or_else(|e| panic!("{map}: {e}"));
    }

    pub fn address(&self, prefix: &str, class: u64, kind: u8) {
        let (a, length) = prefix.split_once('/').expect("prefix");
        let a: IpAddr = a.parse().expect("address");
        let length: u32 = length.parse().expect("length");
        let bits = if a.is_ipv4() { 96 + length } else { length };
        self.put(
            "weft_addresses",
            bytes().u32(bits).addr(a),
            bytes().u64(class).u8(kind).raw(&[0; 7]),
        );
    }

    fn policy_key(set: u64, class: u64, dir: u8, proto: u8, port: u16) -> Bytes {
        let bits = if proto == 0 {
            136
        } else if port == 0 {
            144
        } else {
            160
        };
        bytes()
            .u32(bits)
            .u64(set)
            .u64(class)
            .u8(dir)
            .u8(proto)
            .be16(port)
    }

    /// proto 0: any; port 0: any.
    #[allow(clippy::too_many_arguments, reason = "a row of a table")]
    pub fn policy(
        &self,
        set: u64,
        class: u64,
        dir: u8,
        proto: u8,
        port: u16,
        allow: bool,
        rule: u16,
    ) {
        let value = bytes().u8(u8::from(allow)).u8(0).u16(rule).u32(0);
        self.put(
            "weft_policy",
            Self::policy_key(set, class, dir, proto, port),
            value,
        );
    }

    /// Envoy decides, behind its listener on `listener`.
    pub fn policy_proxy(&self, set: u64, class: u64, dir: u8, port: u16, rule: u16, listener: u16) {
        let value = bytes().u8(2).u8(0).u16(rule).be16(listener).u16(0);
        let key = Self::policy_key(set, class, dir, TCP, port);
        self.put("weft_policy", key, value);
    }

    pub fn policy_delete(&self, set: u64, class: u64, dir: u8, proto: u8, port: u16) {
        self.map("weft_policy")
            .delete(&Self::policy_key(set, class, dir, proto, port).0)
            .expect("present");
    }

    pub fn pod(&self, slot: u32, ifindex: u32, set: u64, epoch: u32, addrs: &[IpAddr]) {
        let find = |v4: bool| addrs.iter().find(|a| a.is_ipv4() == v4);
        let or_zero = |a: Option<&IpAddr>| a.map_or([0; 16], |a| addr(*a));
        let value = bytes()
            .u64(set)
            .u32(epoch)
            .u32(ifindex)
            .raw(&or_zero(find(true)))
            .raw(&or_zero(find(false)))
            .u64(0)
            .u64(1);
        self.put("weft_pods", bytes().u32(slot), value);
        self.put("weft_pod_by_dev", bytes().u32(ifindex), bytes().u32(slot));
        for a in addrs {
            self.put("weft_pod_by_addr", bytes().addr(*a), bytes().u32(slot));
        }
    }

    /// Makes the pod of a slot one that runs Envoy, and the one that new connections go to.
    pub fn proxy(&self, slot: u32, ifindex: u32) {
        let map = self.map("weft_pods");
        let mut value = map
            .lookup(&slot.to_ne_bytes(), MapFlags::ANY)
            .expect("lookup")
            .expect("an array");
        value[48] = 1;
        map.update(&slot.to_ne_bytes(), &value, MapFlags::ANY)
            .expect("update");
        let value = bytes().u32(slot).u32(ifindex);
        self.put("weft_proxy", bytes().u32(0), value);
    }

    pub fn no_proxy(&self) {
        self.put("weft_proxy", bytes().u32(0), bytes().u64(0));
    }

    pub fn backends(&self, set: u64, members: &[(IpAddr, u16)]) {
        for (i, (a, port)) in members.iter().enumerate() {
            let index = u32::try_from(i).expect("few");
            let key = bytes().u64(set).u32(index).u32(0);
            self.put(
                "weft_backends",
                key,
                bytes().addr(*a).be16(*port).raw(&[0; 6]),
            );
        }
    }

    pub fn service(&self, s: &Service) {
        let key = bytes()
            .addr(s.addr)
            .be16(s.port)
            .u8(s.proto)
            .u8(s.scope)
            .u8(s.family())
            .raw(&[0; 3]);
        let mut key = key;
        if s.flags & NODE_PORT != 0 {
            key.0[..16].fill(0);
        }
        let value = bytes()
            .u64(s.set)
            .u64(77)
            .u32(s.count)
            .u32(s.flags)
            .u32(s.affinity)
            .u32(s.maglev)
            .be16(s.proxy)
            .raw(&[0; 6]);
        self.put("weft_services", key, value);
    }

    /// A Maglev table; indexes as given.
    pub fn maglev(&self, set: u64, table: &[u32]) {
        let opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            map_flags: libbpf_sys::BPF_F_INNER_MAP,
            ..Default::default()
        };
        let size = u32::try_from(table.len()).expect("few");
        let inner =
            MapHandle::create(MapType::Array, Some("table"), 4, 4, size, &opts).expect("inner map");
        for (i, index) in table.iter().enumerate() {
            let key = u32::try_from(i).expect("few").to_ne_bytes();
            inner
                .update(&key, &index.to_ne_bytes(), MapFlags::ANY)
                .expect("inner entry");
        }
        let fd = u32::try_from(inner.as_fd().as_raw_fd()).expect("a descriptor");
        self.put("weft_maglev", bytes().u64(set), bytes().u32(fd));
    }

    pub fn events(&self) -> Vec<Event> {
        let seen = std::cell::RefCell::new(Vec::new());
        let map = self.map("weft_events");
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&map, |data| {
                seen.borrow_mut().push(Event::decode(data));
                0
            })
            .expect("ring");
        builder.build().expect("ring").consume().expect("consume");
        seen.into_inner()
    }

    pub fn metric(&self, reason: u32) -> u64 {
        let per_cpu = self
            .map("weft_metrics")
            .lookup_percpu(&reason.to_ne_bytes(), MapFlags::ANY)
            .expect("lookup");
        let packets = |v: Vec<u8>| u64::from_ne_bytes(v[..8].try_into().expect("8"));
        per_cpu.expect("an array").into_iter().map(packets).sum()
    }

    pub fn connections(&self) -> usize {
        self.map("weft_conntrack").keys().count()
    }
}

pub struct Service {
    pub addr: IpAddr,
    pub port: u16,
    pub proto: u8,
    pub scope: u8,
    pub set: u64,
    pub count: u32,
    pub flags: u32,
    pub affinity: u32,
    pub maglev: u32,
    /// Port of Envoy's listener, 0: none.
    pub proxy: u16,
}

impl Service {
    pub fn new(addr: IpAddr, port: u16, proto: u8, set: u64, count: u32) -> Service {
        Service {
            addr,
            port,
            proto,
            scope: INTERNAL,
            set,
            count,
            flags: 0,
            affinity: 0,
            maglev: 0,
            proxy: 0,
        }
    }
    fn family(&self) -> u8 {
        if self.addr.is_ipv4() { 4 } else { 6 }
    }
}
