//! Rows between JavaScript and weft_datapath. One flat object stands for the union of index.d.ts; what does not fit
//! is the row's own error, never the call's.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use weft_datapath::layout::{Addr, DIRECTION_NAMES, KIND_NAMES, SCOPE_NAMES, VERDICT_NAMES};
use weft_datapath::row::{
    AddressRow, BackendSetRow, PodRow, PolicyRow, ProxyRow, Row, ServiceRow, Table,
};
use weft_datapath::{ParsedRow, Step, address};

#[napi(object)]
pub struct JsBackend {
    pub address: String,
    pub port: f64,
}

#[napi(object)]
#[derive(Default)]
pub struct JsRow {
    pub table: String,
    pub prefix: Option<String>,
    pub class: Option<BigInt>,
    pub kind: Option<String>,
    pub set: Option<BigInt>,
    pub direction: Option<String>,
    pub protocol: Option<f64>,
    pub port: Option<f64>,
    pub port_bits: Option<f64>,
    pub verdict: Option<String>,
    pub rule: Option<f64>,
    pub proxy_port: Option<f64>,
    pub proxy: Option<bool>,
    pub tenant: Option<BigInt>,
    pub slot: Option<f64>,
    pub ifindex: Option<f64>,
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    pub address: Option<String>,
    pub scope: Option<String>,
    pub family: Option<f64>,
    /// A Service's set id, or a set's members.
    pub backends: Option<napi::Either<BigInt, Vec<JsBackend>>>,
    pub service: Option<BigInt>,
    pub count: Option<f64>,
    pub node_port: Option<bool>,
    pub affinity_seconds: Option<f64>,
    pub maglev_size: Option<f64>,
}

#[napi(object)]
pub struct JsStep {
    pub op: String,
    pub rows: Option<Vec<JsRow>>,
    pub slots: Option<Vec<f64>>,
}

/// What a row is needed for: a deletion needs its key only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Upsert,
    Delete,
}

/// Errors: an unknown op.
pub fn parse_step(step: JsStep) -> Result<Step, String> {
    let rows = |rows: Option<Vec<JsRow>>, purpose| -> Vec<ParsedRow> {
        rows.unwrap_or_default()
            .iter()
            .map(|row| parse(row, purpose))
            .collect()
    };
    match step.op.as_str() {
        "upsert" => Ok(Step::Upsert(rows(step.rows, Use::Upsert))),
        "delete" => Ok(Step::Delete(rows(step.rows, Use::Delete))),
        "bump" => {
            let slots = step.slots.unwrap_or_default();
            let slots: Result<Vec<u32>, String> =
                slots.into_iter().map(|slot| whole("slot", slot)).collect();
            Ok(Step::Bump(slots?))
        }
        other => Err(format!(
            "there is no step \"{other}\"; there are upsert, delete, bump"
        )),
    }
}

fn parse(row: &JsRow, purpose: Use) -> ParsedRow {
    match Table::parse(&row.table)? {
        Table::Addresses => address_row(row, purpose).map(Row::Address),
        Table::Policy => policy_row(row, purpose).map(Row::Policy),
        Table::Pods => pod_row(row, purpose).map(Row::Pod),
        Table::Proxy => proxy_row(row, purpose).map(Row::Proxy),
        Table::Services => service_row(row, purpose).map(Row::Service),
        Table::Backends => backends_row(row, purpose).map(Row::Backends),
    }
}

fn address_row(row: &JsRow, purpose: Use) -> Result<AddressRow, String> {
    let (addr, length) = address::parse_prefix(required("prefix", row.prefix.as_deref())?)?;
    let value = purpose == Use::Upsert;
    Ok(AddressRow {
        addr,
        length,
        class: if value {
            id("class", row.class.as_ref())?
        } else {
            0
        },
        kind: if value {
            named("kind", row.kind.as_deref(), &KIND_NAMES)?
        } else {
            0
        },
    })
}

fn policy_row(row: &JsRow, purpose: Use) -> Result<PolicyRow, String> {
    let value = purpose == Use::Upsert;
    Ok(PolicyRow {
        set: id("set", row.set.as_ref())?,
        direction: named("direction", row.direction.as_deref(), &DIRECTION_NAMES)?,
        class: id("class", row.class.as_ref())?,
        protocol: number("protocol", row.protocol)?,
        port: number("port", row.port)?,
        port_bits: number("portBits", row.port_bits)?,
        verdict: if value {
            named("verdict", row.verdict.as_deref(), &VERDICT_NAMES)?
        } else {
            0
        },
        rule: if value { number("rule", row.rule)? } else { 0 },
        proxy_port: match row.proxy_port {
            Some(port) if value => whole("proxyPort", port)?,
            _ => 0,
        },
    })
}

fn pod_row(row: &JsRow, purpose: Use) -> Result<PodRow, String> {
    let slot = number("slot", row.slot)?;
    if purpose == Use::Delete {
        return Ok(PodRow {
            slot,
            ifindex: 0,
            set: 0,
            ipv4: None,
            ipv6: None,
            proxy: false,
            tenant: 0,
        });
    }
    Ok(PodRow {
        slot,
        ifindex: number("ifindex", row.ifindex)?,
        set: id("set", row.set.as_ref())?,
        ipv4: row.ipv4.as_deref().map(address::parse).transpose()?,
        ipv6: row.ipv6.as_deref().map(address::parse).transpose()?,
        proxy: row.proxy.unwrap_or(false),
        tenant: match &row.tenant {
            Some(tenant) => id("tenant", Some(tenant))?,
            None => 0,
        },
    })
}

fn proxy_row(row: &JsRow, purpose: Use) -> Result<ProxyRow, String> {
    let slot = match purpose {
        Use::Upsert => number("slot", row.slot)?,
        Use::Delete => 0,
    };
    Ok(ProxyRow { slot })
}

fn service_row(row: &JsRow, purpose: Use) -> Result<ServiceRow, String> {
    let text = required("address", row.address.as_deref())?;
    let family: u8 = number("family", row.family)?;
    if family != 4 && family != 6 {
        return Err(format!("family is {family}, not 4 or 6"));
    }
    let mut parsed = ServiceRow {
        addr: if text.is_empty() {
            Addr::default()
        } else {
            address::parse(text)?
        },
        port: number("port", row.port)?,
        protocol: number("protocol", row.protocol)?,
        scope: named("scope", row.scope.as_deref(), &SCOPE_NAMES)?,
        family,
        backends: 0,
        service: 0,
        count: 0,
        node_port: false,
        affinity_s: 0,
        maglev_size: 0,
        proxy_port: 0,
    };
    if purpose == Use::Upsert {
        parsed.backends = match &row.backends {
            Some(napi::Either::A(set)) => id("backends", Some(set))?,
            _ => return Err("backends of a Service is the id of a set".to_owned()),
        };
        parsed.service = id("service", row.service.as_ref())?;
        parsed.count = number("count", row.count)?;
        parsed.node_port = row.node_port.ok_or("nodePort is missing")?;
        parsed.affinity_s = number("affinitySeconds", row.affinity_seconds)?;
        parsed.maglev_size = number("maglevSize", row.maglev_size)?;
        if let Some(port) = row.proxy_port {
            parsed.proxy_port = whole("proxyPort", port)?;
        }
    }
    Ok(parsed)
}

fn backends_row(row: &JsRow, purpose: Use) -> Result<BackendSetRow, String> {
    let set = id("set", row.set.as_ref())?;
    if purpose == Use::Delete {
        return Ok(BackendSetRow {
            set,
            backends: Vec::new(),
            maglev_size: 0,
        });
    }
    let Some(napi::Either::B(members)) = &row.backends else {
        return Err("backends of a backend set is a list".to_owned());
    };
    let member = |member: &JsBackend| {
        Ok((
            address::parse(&member.address)?,
            whole("port", member.port)?,
        ))
    };
    Ok(BackendSetRow {
        set,
        backends: members.iter().map(member).collect::<Result<_, String>>()?,
        maglev_size: number("maglevSize", row.maglev_size)?,
    })
}

fn required<'a>(field: &str, text: Option<&'a str>) -> Result<&'a str, String> {
    text.ok_or_else(|| format!("{field} is missing"))
}

/// 64 bits without sign.
pub fn id(field: &str, value: Option<&BigInt>) -> Result<u64, String> {
    let value = value.ok_or_else(|| format!("{field} is missing"))?;
    let low = value.words.first().copied().unwrap_or(0);
    let fits = value.words.iter().skip(1).all(|word| *word == 0) && (low == 0 || !value.sign_bit);
    if fits {
        Ok(low)
    } else {
        Err(format!("{field} does not fit in 64 bits without sign"))
    }
}

fn number<T: TryFrom<u64>>(field: &str, value: Option<f64>) -> Result<T, String> {
    whole(field, value.ok_or_else(|| format!("{field} is missing"))?)
}

pub fn whole<T: TryFrom<u64>>(field: &str, value: f64) -> Result<T, String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = value.fract() == 0.0 && (0.0..EXACT).contains(&value);
    let parsed = if whole {
        T::try_from(value as u64).ok()
    } else {
        None
    };
    parsed.ok_or_else(|| format!("{field} is {value}, which is out of range"))
}

pub fn named(field: &str, value: Option<&str>, names: &[&str]) -> Result<u8, String> {
    let value = required(field, value)?;
    let found = names.iter().position(|name| *name == value);
    found
        .map(|index| index as u8)
        .ok_or_else(|| format!("{field} is \"{value}\", not one of {}", names.join(", ")))
}

fn name(number: u8, names: &[&str]) -> String {
    names
        .get(usize::from(number))
        .copied()
        .unwrap_or("")
        .to_owned()
}

impl From<Row> for JsRow {
    fn from(row: Row) -> Self {
        match row {
            Row::Address(row) => row.into(),
            Row::Policy(row) => row.into(),
            Row::Pod(row) => row.into(),
            Row::Proxy(row) => row.into(),
            Row::Service(row) => row.into(),
            Row::Backends(row) => row.into(),
        }
    }
}

impl From<AddressRow> for JsRow {
    fn from(row: AddressRow) -> Self {
        Self {
            table: "addresses".to_owned(),
            prefix: Some(row.prefix()),
            class: Some(row.class.into()),
            kind: Some(name(row.kind, &KIND_NAMES)),
            ..Self::default()
        }
    }
}

impl From<PolicyRow> for JsRow {
    fn from(row: PolicyRow) -> Self {
        Self {
            table: "policy".to_owned(),
            set: Some(row.set.into()),
            class: Some(row.class.into()),
            direction: Some(name(row.direction, &DIRECTION_NAMES)),
            protocol: Some(row.protocol.into()),
            port: Some(row.port.into()),
            port_bits: Some(row.port_bits.into()),
            verdict: Some(name(row.verdict, &VERDICT_NAMES)),
            rule: Some(row.rule.into()),
            proxy_port: (row.proxy_port != 0).then(|| row.proxy_port.into()),
            ..Self::default()
        }
    }
}

impl From<PodRow> for JsRow {
    fn from(row: PodRow) -> Self {
        Self {
            table: "pods".to_owned(),
            slot: Some(row.slot.into()),
            ifindex: Some(row.ifindex.into()),
            set: Some(row.set.into()),
            ipv4: row.ipv4.as_ref().map(address::format),
            ipv6: row.ipv6.as_ref().map(address::format),
            proxy: row.proxy.then_some(true),
            tenant: (row.tenant != 0).then(|| row.tenant.into()),
            ..Self::default()
        }
    }
}

impl From<ProxyRow> for JsRow {
    fn from(row: ProxyRow) -> Self {
        Self {
            table: "proxy".to_owned(),
            slot: Some(row.slot.into()),
            ..Self::default()
        }
    }
}

impl From<ServiceRow> for JsRow {
    fn from(row: ServiceRow) -> Self {
        let any = address::is_zero(&row.addr);
        Self {
            table: "services".to_owned(),
            address: Some(if any {
                String::new()
            } else {
                address::format(&row.addr)
            }),
            port: Some(row.port.into()),
            protocol: Some(row.protocol.into()),
            scope: Some(name(row.scope, &SCOPE_NAMES)),
            family: Some(row.family.into()),
            backends: Some(napi::Either::A(row.backends.into())),
            service: Some(row.service.into()),
            count: Some(row.count.into()),
            node_port: Some(row.node_port),
            affinity_seconds: Some(row.affinity_s.into()),
            maglev_size: Some(row.maglev_size.into()),
            proxy_port: (row.proxy_port != 0).then(|| row.proxy_port.into()),
            ..Self::default()
        }
    }
}

impl From<BackendSetRow> for JsRow {
    fn from(row: BackendSetRow) -> Self {
        let member = |(addr, port): &(Addr, u16)| JsBackend {
            address: address::format(addr),
            port: (*port).into(),
        };
        Self {
            table: "backends".to_owned(),
            set: Some(row.set.into()),
            backends: Some(napi::Either::B(row.backends.iter().map(member).collect())),
            maglev_size: Some(row.maglev_size.into()),
            ..Self::default()
        }
    }
}
