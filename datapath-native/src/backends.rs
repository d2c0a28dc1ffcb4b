//! Backend sets: the members in weft_backends, and their Maglev table in weft_maglev.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use crate::error::{Error, Result, Step};
use crate::layout::{BackendKey, BackendValue};
use crate::maglev;
use crate::maps::Maps;
use crate::row::BackendSetRow;

impl BackendSetRow {
    /// Members first, then the table, so that a table never points at nothing. What an earlier set of the same id
    /// had beyond these is removed.
    pub fn write(&self, maps: &Maps) -> Result<()> {
        if self.backends.is_empty() {
            return Err(
                "an empty backend set is not stored; give the Service count 0"
                    .to_owned()
                    .into(),
            );
        }
        let members = self.members();
        let table = match self.maglev_size {
            0 => None,
            size => Some(maglev::table(&members, size)?),
        };
        for (index, member) in (0..).zip(&members) {
            maps.backends.put(
                &BackendKey {
                    set: self.set,
                    index,
                    pad: 0,
                },
                member,
            )?;
        }
        match table {
            Some(table) => write_table(maps, self.set, &table)?,
            None => remove_table(maps, self.set)?,
        }
        remove_members(maps, self.set, members.len() as u32)
    }

    pub fn delete(set: u64, maps: &Maps) -> Result<()> {
        remove_table(maps, set)?;
        remove_members(maps, set, 0)
    }

    /// All sets, sorted.
    pub fn read_all(maps: &Maps) -> Result<Vec<Self>> {
        let mut sets: BTreeMap<u64, BTreeMap<u32, BackendValue>> = BTreeMap::new();
        for (key, member) in maps.backends.rows()? {
            sets.entry(key.set).or_default().insert(key.index, member);
        }
        // A table without members is shown as a set without backends, so that it gets cleaned up.
        for set in maps.maglev.keys() {
            sets.entry(set).or_default();
        }
        sets.into_iter()
            .map(|(set, members)| {
                Ok(Self {
                    set,
                    backends: members
                        .values()
                        .map(|member| (member.addr, u16::from_be(member.port_be)))
                        .collect(),
                    maglev_size: open_table(maps, set)?.map_or(0, |table| table.max_entries()),
                })
            })
            .collect()
    }
}

/// Removing from a map of maps waits for a grace period, whether there was something or not.
fn remove_table(maps: &Maps, set: u64) -> Result<()> {
    match maps.maglev.get(&set)? {
        Some(_) => maps.maglev.remove(&set),
        None => Ok(()),
    }
}

fn remove_members(maps: &Maps, set: u64, from: u32) -> Result<()> {
    let mut key = BackendKey {
        set,
        index: from,
        pad: 0,
    };
    while maps.backends.get(&key)?.is_some() {
        maps.backends.remove(&key)?;
        key.index += 1;
    }
    Ok(())
}

fn write_table(maps: &Maps, set: u64, table: &[u32]) -> Result<()> {
    let size = table.len() as u32;
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: libbpf_sys::BPF_F_INNER_MAP,
        ..Default::default()
    };
    let inner = MapHandle::create(
        MapType::Array,
        Some("weft_maglev_set"),
        4,
        4,
        size,
        &options,
    )
    .step(|| format!("making a Maglev table of {size} entries"))?;
    let keys: Vec<u8> = (0..size).flat_map(u32::to_ne_bytes).collect();
    let values: Vec<u8> = table.iter().copied().flat_map(u32::to_ne_bytes).collect();
    inner
        .update_batch(&keys, &values, size, MapFlags::ANY, MapFlags::ANY)
        .step(|| "filling a Maglev table".to_owned())?;
    let fd = inner.as_fd().as_raw_fd();
    maps.maglev
        .handle
        .update(&set.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
        .step(|| "writing weft_maglev".to_owned())?;
    let found = open_table(maps, set)?
        .map(|inner| read_table(&inner))
        .transpose()?;
    if found.as_deref() != Some(values.as_slice()) {
        return Err(Error::new(
            "weft_maglev",
            "the table did not read back as written",
        ));
    }
    Ok(())
}

fn open_table(maps: &Maps, set: u64) -> Result<Option<MapHandle>> {
    match maps.maglev.get(&set)? {
        Some(id) => MapHandle::from_map_id(id)
            .step(|| "opening a Maglev table".to_owned())
            .map(Some),
        None => Ok(None),
    }
}

fn read_table(table: &MapHandle) -> Result<Vec<u8>> {
    let size = table.max_entries();
    let rows = table
        .lookup_batch(size, MapFlags::ANY, MapFlags::ANY)
        .step(|| "reading a Maglev table".to_owned())?;
    Ok(rows.flat_map(|(_, value)| value).collect())
}
