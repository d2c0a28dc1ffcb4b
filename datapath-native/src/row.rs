//! Rows of the tables as the agent sees them, between their text form and the bytes in the maps.

use crate::address;
use crate::layout::{
    Addr, AddressKey, AddressValue, BackendValue, POLICY_ANY_PORT, POLICY_ANY_PROTOCOL, PolicyKey,
    PolicyValue, SERVICE_MAGLEV, SERVICE_NODE_PORT, ServiceKey, ServiceValue, VERDICT_PROXY,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Addresses,
    Policy,
    Pods,
    Proxy,
    Services,
    Backends,
}

impl Table {
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "addresses" => Ok(Self::Addresses),
            "policy" => Ok(Self::Policy),
            "pods" => Ok(Self::Pods),
            "proxy" => Ok(Self::Proxy),
            "services" => Ok(Self::Services),
            "backends" => Ok(Self::Backends),
            other => Err(format!(
                "there is no table \"{other}\"; there are addresses, policy, pods, proxy, services, backends"
            )),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRow {
    pub addr: Addr,
    /// Bits of the 16 bytes that count.
    pub length: u32,
    pub class: u64,
    pub kind: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRow {
    pub set: u64,
    pub direction: u8,
    pub class: u64,
    /// 0 is any.
    pub protocol: u8,
    pub port: u16,
    /// Leading bits of port that count.
    pub port_bits: u8,
    pub verdict: u8,
    pub rule: u16,
    /// Not 0 exactly where the verdict is proxy.
    pub proxy_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRow {
    pub slot: u32,
    pub ifindex: u32,
    pub set: u64,
    pub ipv4: Option<Addr>,
    pub ipv6: Option<Addr>,
    pub proxy: bool,
    /// Of the namespace.
    pub tenant: u64,
}

/// The one row of weft_proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyRow {
    pub slot: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRow {
    /// All zero: any address of a node.
    pub addr: Addr,
    pub port: u16,
    pub protocol: u8,
    pub scope: u8,
    pub family: u8,
    pub backends: u64,
    pub service: u64,
    pub count: u32,
    pub node_port: bool,
    pub affinity_s: u32,
    pub maglev_size: u32,
    /// 0: none.
    pub proxy_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackendSetRow {
    pub set: u64,
    pub backends: Vec<(Addr, u16)>,
    pub maglev_size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    Address(AddressRow),
    Policy(PolicyRow),
    Pod(PodRow),
    Proxy(ProxyRow),
    Service(ServiceRow),
    Backends(BackendSetRow),
}

impl AddressRow {
    pub fn key(&self) -> AddressKey {
        AddressKey {
            prefixlen: self.length,
            addr: self.addr,
        }
    }

    pub fn value(&self) -> AddressValue {
        AddressValue {
            class: self.class,
            kind: self.kind,
            pad: [0; 7],
        }
    }

    pub fn read(key: AddressKey, value: AddressValue) -> Self {
        Self {
            addr: key.addr,
            length: key.prefixlen,
            class: value.class,
            kind: value.kind,
        }
    }

    pub fn prefix(&self) -> String {
        address::format_prefix(&self.addr, self.length)
    }
}

impl PolicyRow {
    /// Errors: bits behind the prefix, or a port for any protocol.
    pub fn key(&self) -> Result<PolicyKey, String> {
        let Self {
            protocol,
            port,
            port_bits,
            ..
        } = *self;
        if port_bits > 16 {
            return Err(format!("portBits is {port_bits}, but a port has 16 bits"));
        }
        if protocol == 0 && (port != 0 || port_bits != 0) {
            return Err("an entry for any protocol can't name a port".to_owned());
        }
        if u32::from(port) & (0xffff >> port_bits) != 0 {
            return Err(format!(
                "port {port} has bits set behind its first {port_bits}"
            ));
        }
        if (self.verdict == VERDICT_PROXY) != (self.proxy_port != 0) {
            return Err("an entry has a port of the proxy exactly if its verdict is proxy".to_owned());
        }
        let prefixlen = if protocol == 0 {
            POLICY_ANY_PROTOCOL
        } else {
            POLICY_ANY_PORT + u32::from(port_bits)
        };
        Ok(PolicyKey {
            prefixlen,
            set: self.set,
            class: self.class,
            dir: self.direction,
            proto: protocol,
            port_be: port.to_be(),
        })
    }

    pub fn value(&self) -> PolicyValue {
        PolicyValue {
            verdict: self.verdict,
            pad: 0,
            rule: self.rule,
            proxy_port_be: self.proxy_port.to_be(),
            pad2: [0; 2],
        }
    }

    pub fn read(key: PolicyKey, value: PolicyValue) -> Self {
        Self {
            set: key.set,
            direction: key.dir,
            class: key.class,
            protocol: key.proto,
            port: u16::from_be(key.port_be),
            port_bits: key.prefixlen.saturating_sub(POLICY_ANY_PORT).min(16) as u8,
            verdict: value.verdict,
            rule: value.rule,
            proxy_port: u16::from_be(value.proxy_port_be),
        }
    }
}

impl ServiceRow {
    /// Errors: an address of another family.
    pub fn key(&self) -> Result<ServiceKey, String> {
        let any = address::is_zero(&self.addr);
        if !any && address::is_ipv4(&self.addr) != (self.family == 4) {
            return Err(format!(
                "{} is not an address of family {}",
                address::format(&self.addr),
                self.family
            ));
        }
        Ok(ServiceKey {
            addr: self.addr,
            port_be: self.port.to_be(),
            proto: self.protocol,
            scope: self.scope,
            family: self.family,
            pad: [0; 3],
        })
    }

    pub fn value(&self) -> ServiceValue {
        let maglev = if self.maglev_size > 0 {
            SERVICE_MAGLEV
        } else {
            0
        };
        let node_port = if self.node_port { SERVICE_NODE_PORT } else { 0 };
        ServiceValue {
            backends: self.backends,
            service: self.service,
            count: self.count,
            flags: maglev | node_port,
            affinity_s: self.affinity_s,
            maglev_size: self.maglev_size,
            proxy_port_be: self.proxy_port.to_be(),
            pad: [0; 6],
        }
    }

    pub fn read(key: ServiceKey, value: ServiceValue) -> Self {
        Self {
            addr: key.addr,
            port: u16::from_be(key.port_be),
            protocol: key.proto,
            scope: key.scope,
            family: key.family,
            backends: value.backends,
            service: value.service,
            count: value.count,
            node_port: value.flags & SERVICE_NODE_PORT != 0,
            affinity_s: value.affinity_s,
            maglev_size: value.maglev_size,
            proxy_port: u16::from_be(value.proxy_port_be),
        }
    }
}

impl BackendSetRow {
    pub fn members(&self) -> Vec<BackendValue> {
        let member = |&(addr, port): &(Addr, u16)| BackendValue {
            addr,
            port_be: port.to_be(),
            pad: [0; 6],
        };
        self.backends.iter().map(member).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Plain;

    fn policy(protocol: u8, port: u16, port_bits: u8) -> PolicyRow {
        PolicyRow {
            set: 0x0102_0304_0506_0703,
            direction: 1,
            class: 9,
            protocol,
            port,
            port_bits,
            verdict: 1,
            rule: 7,
            proxy_port: 0,
        }
    }

    #[test]
    fn a_policy_row_survives_the_way_to_bytes_and_back() {
        for row in [
            policy(0, 0, 0),
            policy(6, 0, 0),
            policy(6, 80, 16),
            policy(17, 0x8000, 1),
            policy(6, 8080, 12),
        ] {
            let key = row.key().expect("a key");
            let key = PolicyKey::from_bytes(key.bytes()).expect("the same size");
            let value = PolicyValue::from_bytes(row.value().bytes()).expect("the same size");
            assert_eq!(PolicyRow::read(key, value), row);
        }
    }

    #[test]
    fn a_policy_key_has_the_port_in_network_order_at_its_end() {
        let key = policy(6, 0x1f90, 16).key().expect("a key");
        assert_eq!(key.bytes()[20..], [1, 6, 0x1f, 0x90]);
        assert_eq!(key.bytes()[..4], 160_u32.to_ne_bytes());
    }

    #[test]
    fn policy_rows_that_mean_nothing_are_refused() {
        for row in [
            policy(0, 80, 16),
            policy(0, 0, 1),
            policy(6, 81, 15),
            policy(6, 0, 17),
        ] {
            assert!(row.key().is_err(), "{row:?}");
        }
    }

    #[test]
    fn a_port_of_the_proxy_belongs_to_the_verdict_proxy() {
        let handed_over = PolicyRow {
            verdict: 2,
            proxy_port: 20_000,
            ..policy(6, 80, 16)
        };
        let key = handed_over.key().expect("a key");
        assert_eq!(PolicyRow::read(key, handed_over.value()), handed_over);
        for (verdict, proxy_port) in [(2, 0), (1, 20_000), (0, 20_000)] {
            let row = PolicyRow {
                verdict,
                proxy_port,
                ..policy(6, 80, 16)
            };
            assert!(row.key().is_err(), "{row:?}");
        }
    }

    #[test]
    fn a_service_row_survives_the_way_to_bytes_and_back() {
        let row = ServiceRow {
            addr: address::parse("10.96.0.1").expect("an address"),
            port: 443,
            protocol: 6,
            scope: 1,
            family: 4,
            backends: u64::MAX,
            service: 3,
            count: 2,
            node_port: true,
            affinity_s: 10800,
            maglev_size: 251,
            proxy_port: 20_001,
        };
        let key = ServiceKey::from_bytes(row.key().expect("a key").bytes()).expect("the same size");
        let value = ServiceValue::from_bytes(row.value().bytes()).expect("the same size");
        assert_eq!(ServiceRow::read(key, value), row);
        assert!(ServiceRow { family: 6, ..row }.key().is_err());
    }
}
