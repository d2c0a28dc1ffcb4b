//! The eBPF objects that ship inside the library: configured, given the pinned maps, loaded.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::{DataSec, Var};
use libbpf_rs::{AsRawLibbpf, MapCore, MapHandle, MapType, ObjectBuilder, OpenMapMut, OpenObject};

use crate::error::{Error, Result, Step};
use crate::layout::{Config, Plain};
use crate::links::{Program, duplicate};

/// Copied so that the ELF headers are aligned.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static TC: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tc.bpf.o")));
static SOCK: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/sock.bpf.o")));

/// docs/kernels.md
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// Room that a program uses within one packet: each object has its own.
const SCRATCH: &str = "weft_scratch";

pub struct Loaded {
    /// Packet programs, by name: see tc.bpf.c.
    pub tc: Vec<Program>,
    /// Socket programs; each is attached where its section says.
    pub sock: Vec<Program>,
    /// Maps that were pinned before and kept.
    pub reused: usize,
}

/// Entries of a map by its name without "weft_".
pub type Budgets = std::collections::HashMap<String, u32>;

/// Loads both objects. Maps that are pinned in the directory and fit are used as they are, others are made and pinned.
pub fn load(directory: &Path, config: &Config, budgets: &Budgets) -> Result<Loaded> {
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Warn, remember_message)));
    let mut known = Vec::new();
    let mut reused = 0;
    let tc = load_object(
        "tc",
        &TC.0,
        directory,
        config,
        budgets,
        &mut known,
        &mut reused,
    )?;
    let sock = load_object(
        "sock",
        &SOCK.0,
        directory,
        config,
        budgets,
        &mut known,
        &mut reused,
    )?;
    if let Some(unknown) = budgets
        .keys()
        .find(|name| !known.contains(&format!("weft_{name}")))
    {
        return Err(Error::new(
            format_args!("budget of \"{unknown}\""),
            "there is no such map",
        ));
    }
    Ok(Loaded { tc, sock, reused })
}

fn load_object(
    name: &str,
    bytes: &[u8],
    directory: &Path,
    config: &Config,
    budgets: &Budgets,
    known: &mut Vec<String>,
    reused: &mut usize,
) -> Result<Vec<Program>> {
    let mut builder = ObjectBuilder::default();
    builder.name(name).step(|| format!("naming {name}"))?;
    let mut object: OpenObject = builder
        .open_memory(bytes)
        .step(|| format!("reading the object {name}.bpf.o"))?;
    let offset = config_offset(&object)
        .ok_or_else(|| Error::new(name, "the object has no global named config"))?;
    for mut map in object.maps_mut() {
        let map_name = map.name().to_string_lossy().into_owned();
        if map_name.ends_with(".rodata") {
            configure(&mut map, offset, config).step(|| format!("configuring {name}"))?;
        } else if map_name.starts_with("weft_") && map_name != SCRATCH {
            prepare(
                &mut map,
                &map_name,
                directory,
                budgets,
                reused,
                known.contains(&map_name),
            )?;
            known.push(map_name);
        }
    }
    let loaded = object.load().map_err(|error| load_error(name, &error))?;
    loaded
        .progs_mut()
        .map(|program| {
            Ok(Program {
                name: program.name().to_string_lossy().into_owned(),
                fd: duplicate(program.as_fd())?,
                attach_type: program.attach_type() as u32,
            })
        })
        .collect()
}

/// Where the global `config` stands in .rodata; other constants may stand before it.
fn config_offset(object: &OpenObject) -> Option<usize> {
    // SAFETY: the object outlives this reference.
    let raw = unsafe { object.as_libbpf_object().as_ref() };
    let btf = Btf::from_bpf_object(raw).ok()??;
    let section: DataSec<'_> = btf.type_by_name(".rodata")?;
    let config: Var<'_> = btf.type_by_name("config")?;
    section
        .iter()
        .find(|variable| variable.ty == config.type_id())
        .map(|variable| variable.offset as usize)
}

fn configure(
    map: &mut OpenMapMut<'_>,
    offset: usize,
    config: &Config,
) -> std::result::Result<(), String> {
    let data = map.initial_value_mut().ok_or("the object has no .rodata")?;
    let bytes = config.bytes();
    let place = data
        .get_mut(offset..offset + bytes.len())
        .ok_or(".rodata is smaller than struct weft_config")?;
    place.copy_from_slice(bytes);
    Ok(())
}

fn prepare(
    map: &mut OpenMapMut<'_>,
    name: &str,
    directory: &Path,
    budgets: &Budgets,
    reused: &mut usize,
    shared: bool,
) -> Result<()> {
    let step = || format!("preparing the map {name}");
    if let Some(&entries) = name
        .strip_prefix("weft_")
        .and_then(|name| budgets.get(name))
    {
        map.set_max_entries(entries).step(step)?;
    }
    let path = directory.join(name);
    if let Ok(pinned) = MapHandle::from_pinned_path(&path) {
        if fits(map, &pinned) {
            *reused += usize::from(!shared);
        } else {
            fs::remove_file(&path).step(step)?;
        }
    }
    map.set_pin_path(&path).step(step)
}

fn fits(map: &OpenMapMut<'_>, pinned: &MapHandle) -> bool {
    let same = pinned.map_type() == map.map_type()
        && pinned.key_size() == map.key_size()
        && pinned.value_size() == map.value_size()
        && pinned
            .info()
            .is_ok_and(|info| info.info.map_flags & map.map_flags() == map.map_flags());
    // libbpf rounds a ring's size up to whole pages, to a power of two.
    let entries = if map.map_type() == MapType::RingBuf {
        map.max_entries().max(4096).next_power_of_two()
    } else {
        map.max_entries()
    };
    same && pinned.max_entries() == entries
}

thread_local! {
    static MESSAGES: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// libbpf's own words are kept for the error of this thread's load; nothing is printed.
fn remember_message(_: libbpf_rs::PrintLevel, message: String) {
    const ENOUGH: usize = 1 << 20;
    MESSAGES.with_borrow_mut(|messages| {
        if messages.len() > ENOUGH {
            messages.clear();
        }
        messages.push_str(&message);
    });
}

fn load_error(name: &str, error: &libbpf_rs::Error) -> Error {
    const MOST: usize = 2000;
    let messages = MESSAGES.take();
    let from = messages.len().saturating_sub(MOST);
    let tail = messages.get(from..).unwrap_or(&messages).trim();
    let hint = too_old(&release()).unwrap_or_default();
    Error::new(
        format_args!("loading the object {name}.bpf.o"),
        format_args!("{error}{hint}\n{tail}"),
    )
}

/// Of this kernel, as `uname -r` prints it.
fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// What to say of kernels that no test covers.
fn too_old(release: &str) -> Option<String> {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    let (major, minor) = OLDEST_KERNEL;
    let release = release.trim();
    (version < OLDEST_KERNEL)
        .then(|| format!("; Weft needs Linux {major}.{minor} or later, and this is {release}"))
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn only_kernels_before_the_oldest_that_is_tested_are_too_old() {
        for release in [
            "6.1.0-56-cloud-amd64\n",
            "6.12.117+deb12-cloud-amd64",
            "7.0.0-rc1",
            "odd",
            "",
        ] {
            assert_eq!(too_old(release), None, "{release}");
        }
        let said = too_old("5.15.0-91-generic\n").expect("a hint");
        assert!(said.contains("6.1 or later") && said.ends_with("this is 5.15.0-91-generic"));
    }
}
