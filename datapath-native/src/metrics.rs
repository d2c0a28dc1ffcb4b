//! Counters by reason, and how full the maps are.

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use crate::datapath::Datapath;
use crate::error::{Result, Step};
use crate::layout::{METRIC_EVENTS_LOST, Metric, Plain, REASON_NAMES};

pub struct Reason {
    pub name: &'static str,
    pub packets: u64,
    pub bytes: u64,
}

pub struct MapUse {
    pub name: String,
    pub entries: u32,
    pub budget: u32,
}

impl Datapath {
    /// Every reason that has a name, by number.
    pub fn metrics(&self) -> Result<Vec<Reason>> {
        (0..)
            .zip(REASON_NAMES)
            .filter(|(_, name)| !name.is_empty())
            .map(|(number, name)| {
                let Metric { packets, bytes } = self.metric(number)?;
                Ok(Reason {
                    name,
                    packets,
                    bytes,
                })
            })
            .collect()
    }

    /// Events that found the ring full since the maps were made.
    pub fn events_lost(&self) -> Result<u64> {
        Ok(self.metric(METRIC_EVENTS_LOST)?.packets)
    }

    fn metric(&self, number: u32) -> Result<Metric> {
        let shares = self
            .maps()
            .metrics
            .handle
            .lookup_percpu(&number.to_ne_bytes(), MapFlags::ANY)
            .step(|| "reading weft_metrics".to_owned())?;
        let zero = Metric {
            packets: 0,
            bytes: 0,
        };
        let add = |sum: Metric, share: Metric| Metric {
            packets: sum.packets + share.packets,
            bytes: sum.bytes + share.bytes,
        };
        Ok(shares
            .into_iter()
            .flatten()
            .filter_map(|share| Metric::from_bytes(&share))
            .fold(zero, add))
    }

    /// Of the maps that can get full, by name.
    pub fn map_use(&self) -> Result<Vec<MapUse>> {
        let mut found = Vec::new();
        for (name, path) in self.pinned_maps()? {
            let map = MapHandle::from_pinned_path(&path)
                .step(|| format!("opening {}", path.display()))?;
            let entries = match map.map_type() {
                MapType::Array if name == "weft_pods" => self
                    .maps()
                    .pods
                    .rows()?
                    .iter()
                    .filter(|(_, pod)| pod.ifindex != 0)
                    .count(),
                MapType::LruHash => count_lru(&map)?,
                MapType::Hash | MapType::HashOfMaps | MapType::LpmTrie => map.keys().count(),
                _ => continue,
            };
            found.push(MapUse {
                name,
                entries: entries as u32,
                budget: map.max_entries(),
            });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }
}

/// By buckets: going from key to key would start anew whenever the key at hand was evicted.
fn count_lru(map: &MapHandle) -> Result<usize> {
    const BATCH: u32 = 4096;
    let rows = map
        .lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY)
        .step(|| format!("counting {}", map.name().to_string_lossy()))?;
    Ok(rows.count())
}
