//! Changes of the tables, in steps; dumps and lookups.

use crate::error::{Error, Result};
use crate::layout::{Addr, AddressKey, POLICY_ONE_PORT, PolicyKey};
use crate::maps::Maps;
use crate::row::{
    AddressRow, BackendSetRow, PodRow, PolicyRow, ProxyRow, Row, ServiceRow, Table,
};

/// A row that could not be parsed stays in its step as the sentence that says why.
pub type ParsedRow = std::result::Result<Row, String>;

pub enum Step {
    Upsert(Vec<ParsedRow>),
    Delete(Vec<ParsedRow>),
    Bump(Vec<u32>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct RowError {
    pub step: u32,
    pub row: u32,
    pub message: String,
}

/// Runs all steps in order, whatever fails.
pub fn apply(maps: &Maps, steps: &[Step]) -> Vec<RowError> {
    let mut errors = Vec::new();
    for (step, work) in (0..).zip(steps) {
        let mut note = |row: usize, result: Result<()>| {
            if let Err(error) = result {
                errors.push(RowError {
                    step,
                    row: row as u32,
                    message: error.to_string(),
                });
            }
        };
        match work {
            Step::Upsert(rows) => {
                rows.iter()
                    .enumerate()
                    .for_each(|(index, row)| note(index, with(row, |row| upsert(maps, row))));
            }
            Step::Delete(rows) => {
                rows.iter()
                    .enumerate()
                    .for_each(|(index, row)| note(index, with(row, |row| delete(maps, row))));
            }
            Step::Bump(slots) => {
                slots
                    .iter()
                    .enumerate()
                    .for_each(|(index, slot)| note(index, PodRow::bump(*slot, maps)));
            }
        }
    }
    errors
}

fn with(row: &ParsedRow, work: impl FnOnce(&Row) -> Result<()>) -> Result<()> {
    match row {
        Ok(row) => work(row),
        Err(sentence) => Err(Error::from(sentence.clone())),
    }
}

fn upsert(maps: &Maps, row: &Row) -> Result<()> {
    match row {
        Row::Address(row) => maps.addresses.put(&row.key(), &row.value()),
        Row::Policy(row) => maps.policy.put(&row.key()?, &row.value()),
        Row::Pod(row) => row.write(maps),
        Row::Proxy(row) => row.write(maps),
        Row::Service(row) => maps.services.put(&row.key()?, &row.value()),
        Row::Backends(row) => row.write(maps),
    }
}

fn delete(maps: &Maps, row: &Row) -> Result<()> {
    match row {
        Row::Address(row) => maps.addresses.remove(&row.key()),
        Row::Policy(row) => maps.policy.remove(&row.key()?),
        Row::Pod(row) => PodRow::delete(row.slot, maps),
        Row::Proxy(_) => ProxyRow::delete(maps),
        Row::Service(row) => maps.services.remove(&row.key()?),
        Row::Backends(row) => BackendSetRow::delete(row.set, maps),
    }
}

/// All rows, sorted.
pub fn dump(maps: &Maps, table: Table) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = match table {
        Table::Addresses => maps
            .addresses
            .rows()?
            .into_iter()
            .map(|(key, value)| Row::Address(AddressRow::read(key, value)))
            .collect(),
        Table::Policy => maps
            .policy
            .rows()?
            .into_iter()
            .map(|(key, value)| Row::Policy(PolicyRow::read(key, value)))
            .collect(),
        Table::Services => maps
            .services
            .rows()?
            .into_iter()
            .map(|(key, value)| Row::Service(ServiceRow::read(key, value)))
            .collect(),
        Table::Pods => PodRow::read_all(maps)?.into_iter().map(Row::Pod).collect(),
        Table::Proxy => ProxyRow::read_all(maps)?
            .into_iter()
            .map(Row::Proxy)
            .collect(),
        Table::Backends => BackendSetRow::read_all(maps)?
            .into_iter()
            .map(Row::Backends)
            .collect(),
    };
    rows.sort();
    Ok(rows)
}

/// The kernel's answer for the address. A trie does not tell which entry answered, so the prefix comes from its keys.
pub fn lookup_address(maps: &Maps, addr: Addr) -> Result<Option<AddressRow>> {
    let Some(value) = maps.addresses.get(&AddressKey {
        prefixlen: 128,
        addr,
    })?
    else {
        return Ok(None);
    };
    let key = maps
        .addresses
        .keys()
        .filter(|key| covers(key, &addr))
        .max_by_key(|key| key.prefixlen);
    Ok(key.map(|key| AddressRow::read(key, value)))
}

fn covers(key: &AddressKey, addr: &Addr) -> bool {
    let differing = u128::from_be_bytes(key.addr) ^ u128::from_be_bytes(*addr);
    differing.leading_zeros() >= key.prefixlen
}

/// The kernel's answer for a packet of `packet`'s set, class, direction, protocol and port.
pub fn lookup_policy(maps: &Maps, packet: &PolicyRow) -> Result<Option<PolicyRow>> {
    let mut asked = PolicyRow {
        protocol: 0,
        port: 0,
        port_bits: 0,
        ..packet.clone()
    }
    .key()?;
    asked.prefixlen = POLICY_ONE_PORT;
    asked.proto = packet.protocol;
    asked.port_be = packet.port.to_be();
    let Some(value) = maps.policy.get(&asked)? else {
        return Ok(None);
    };
    let key = maps
        .policy
        .keys()
        .filter(|key| decides(key, &asked))
        .max_by_key(|key| key.prefixlen);
    Ok(key.map(|key| PolicyRow::read(key, value)))
}

fn decides(entry: &PolicyKey, asked: &PolicyKey) -> bool {
    let peers = |key: &PolicyKey| (key.set, key.class, key.dir);
    let service =
        |key: &PolicyKey| u32::from(key.proto) << 16 | u32::from(u16::from_be(key.port_be));
    let free = POLICY_ONE_PORT.saturating_sub(entry.prefixlen);
    peers(entry) == peers(asked) && service(entry) >> free == service(asked) >> free
}
