//! Typed access to the pinned maps. Every write is read back.

use std::marker::PhantomData;
use std::path::Path;

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::error::{Error, Result, Step};
use crate::layout::{
    Addr, AddressKey, AddressValue, BackendKey, BackendValue, Metric, Plain, Pod, PolicyKey,
    PolicyValue, Proxy, SIZES, ServiceKey, ServiceValue,
};

// SAFETY: plain bytes.
unsafe impl Plain for Addr {}
// SAFETY: plain bytes.
unsafe impl Plain for u32 {}
// SAFETY: plain bytes.
unsafe impl Plain for u64 {}

/// A map of keys K and values V. LPM tries answer `get` with the longest match.
pub struct TypedMap<K, V> {
    pub handle: MapHandle,
    name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Plain, V: Plain + PartialEq> TypedMap<K, V> {
    fn open(directory: &Path, name: &'static str) -> Result<Self> {
        Ok(Self {
            handle: open_pinned(directory, name)?,
            name,
            types: PhantomData,
        })
    }

    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let bytes = self
            .handle
            .lookup(key.bytes(), MapFlags::ANY)
            .step(|| format!("reading {}", self.name))?;
        Ok(bytes.and_then(|bytes| V::from_bytes(&bytes)))
    }

    /// Errors: the map is full, or the kernel holds something else afterwards.
    pub fn put(&self, key: &K, value: &V) -> Result<()> {
        self.handle
            .update(key.bytes(), value.bytes(), MapFlags::ANY)
            .map_err(|error| self.write_error(&error))?;
        match self.get(key)? {
            Some(found) if found == *value => Ok(()),
            _ => Err(Error::new(
                self.name,
                "the row did not read back as written",
            )),
        }
    }

    /// Absent is no error.
    pub fn remove(&self, key: &K) -> Result<()> {
        match self.handle.delete(key.bytes()) {
            Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => Err(Error::new(
                format_args!("deleting from {}", self.name),
                error,
            )),
            _ => Ok(()),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.handle.keys().filter_map(|key| K::from_bytes(&key))
    }

    pub fn rows(&self) -> Result<Vec<(K, V)>> {
        let mut rows = Vec::new();
        for key in self.keys() {
            if let Some(value) = self.get(&key)? {
                rows.push((key, value));
            }
        }
        Ok(rows)
    }

    pub fn capacity(&self) -> u32 {
        self.handle.max_entries()
    }

    fn write_error(&self, error: &libbpf_rs::Error) -> Error {
        let full = matches!(error.kind(), libbpf_rs::ErrorKind::Other)
            && error.to_string().contains("Argument list too long")
            || error.to_string().contains("No space left");
        if full {
            return Error::new(
                self.name,
                format_args!("the map is full ({} entries)", self.capacity()),
            );
        }
        Error::new(format_args!("writing {}", self.name), error)
    }
}

pub struct Maps {
    pub addresses: TypedMap<AddressKey, AddressValue>,
    pub policy: TypedMap<PolicyKey, PolicyValue>,
    pub pods: TypedMap<u32, Pod>,
    pub pod_by_addr: TypedMap<Addr, u32>,
    pub pod_by_dev: TypedMap<u32, u32>,
    pub proxy: TypedMap<u32, Proxy>,
    pub services: TypedMap<ServiceKey, ServiceValue>,
    pub backends: TypedMap<BackendKey, BackendValue>,
    /// Values are maps: see maglev tables in backends.rs.
    pub maglev: TypedMap<u64, u32>,
    pub metrics: TypedMap<u32, Metric>,
    pub events: MapHandle,
}

impl Maps {
    /// Opens what is pinned in the directory. Errors: a map is missing, or its keys or values have another size than
    /// layout.rs says.
    pub fn open(directory: &Path) -> Result<Self> {
        let maps = Self {
            addresses: TypedMap::open(directory, "weft_addresses")?,
            policy: TypedMap::open(directory, "weft_policy")?,
            pods: TypedMap::open(directory, "weft_pods")?,
            pod_by_addr: TypedMap::open(directory, "weft_pod_by_addr")?,
            pod_by_dev: TypedMap::open(directory, "weft_pod_by_dev")?,
            proxy: TypedMap::open(directory, "weft_proxy")?,
            services: TypedMap::open(directory, "weft_services")?,
            backends: TypedMap::open(directory, "weft_backends")?,
            maglev: TypedMap::open(directory, "weft_maglev")?,
            metrics: TypedMap::open(directory, "weft_metrics")?,
            events: open_pinned(directory, "weft_events")?,
        };
        let handles = [
            &maps.addresses.handle,
            &maps.policy.handle,
            &maps.pods.handle,
            &maps.pod_by_addr.handle,
            &maps.pod_by_dev.handle,
            &maps.proxy.handle,
            &maps.services.handle,
            &maps.backends.handle,
            &maps.maglev.handle,
            &maps.metrics.handle,
        ];
        for (handle, (name, key, value)) in handles.into_iter().zip(SIZES) {
            let found = (handle.key_size() as usize, handle.value_size() as usize);
            if found != (key, value) {
                let (key_found, value_found) = found;
                return Err(Error::new(
                    name,
                    format_args!(
                        "has keys of {key_found} and values of {value_found} bytes, not {key} and {value}"
                    ),
                ));
            }
        }
        Ok(maps)
    }
}

fn open_pinned(directory: &Path, name: &str) -> Result<MapHandle> {
    let path = directory.join(name);
    MapHandle::from_pinned_path(&path).step(|| format!("opening the map {}", path.display()))
}
