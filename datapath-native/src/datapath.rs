//! The datapath of this node: maps, programs, and where they are attached.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clsact::Hook;
use crate::error::{Error, Result, Step as _};
use crate::grace::ShortGracePeriods;
use crate::layout::{Addr, Config, HOST_MAC, LAYOUT, MASQUERADE_MARK, POD_MAC};
use crate::links::{self, Program, Target};
use crate::maps::Maps;
use crate::objects::{self, Budgets};
use weft_netlink::in_namespace;

/// Devices from which on it is worth it to ask the kernel to hurry.
const MANY: usize = 8;
const SO_NETNS_COOKIE: libc::c_int = 71;
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
/// (program, end of the link's name), in the order of attaching. Towards the pod first: a packet that the pod sends is
/// let out only where its reply is checked.
const POD: [(&str, &str); 2] = [("weft_to_pod", "egress"), ("weft_from_pod", "ingress")];
/// (program, end of the link's name): inside a proxy pod's network namespace.
const PROXY: [(&str, &str); 2] = [
    ("weft_into_proxy", "into-proxy"),
    ("weft_out_of_proxy", "out-of-proxy"),
];
const UNDERLAY: [(&str, &str); 2] = [
    ("weft_from_underlay", "underlay-ingress"),
    ("weft_to_underlay", "underlay-egress"),
];

/// (path of the pin, where it is attached if that is in the node's network namespace)
type PodLink = (PathBuf, Option<Hook>);

pub struct Options {
    pub pin_dir: PathBuf,
    pub cgroup: PathBuf,
    pub underlay: String,
    pub node_ipv4: Option<Addr>,
    pub node_ipv6: Option<Addr>,
    pub budgets: Budgets,
}

pub struct Datapath {
    maps: Maps,
    links: PathBuf,
    /// Mark of [`ShortGracePeriods`].
    hurry: PathBuf,
    tc: Vec<Program>,
    /// Held while tables or links are written, so that each change sees what the one before left.
    writing: Mutex<()>,
    pub adopted: bool,
}

impl Datapath {
    pub fn open(options: &Options) -> Result<Self> {
        let directory = make_directories(&options.pin_dir)?;
        let links_directory = directory.join("links");
        let hurry = directory.join("hurry");
        ShortGracePeriods::end_forgotten(&hurry);
        let underlay = ifindex(&options.underlay)?;
        let cgroup = open_cgroup(&options.cgroup)?;
        let config = Config {
            node_ipv4: options.node_ipv4.unwrap_or_default(),
            node_ipv6: options.node_ipv6.unwrap_or_default(),
            underlay_ifindex: underlay,
            flags: 0,
            pod_mac: POD_MAC,
            host_mac: HOST_MAC,
            masquerade_mark: MASQUERADE_MARK,
            netns: netns_cookie()?,
        };
        let loaded = objects::load(&directory, &config, &options.budgets)?;
        let datapath = Self {
            maps: Maps::open(&directory)?,
            links: links_directory,
            hurry,
            tc: loaded.tc,
            writing: Mutex::new(()),
            adopted: loaded.reused > 0,
        };
        datapath.take_over_pods()?;
        links::remove_strays(&UNDERLAY.map(|(program, _)| program), underlay)?;
        for (program, link) in UNDERLAY {
            if let Ok(program) = datapath.program(program) {
                links::attach(
                    &datapath.links.join(link),
                    Target::Device(underlay),
                    program,
                )?;
            }
        }
        for program in &loaded.sock {
            links::attach(
                &datapath.links.join(format!("cgroup-{}", program.name)),
                Target::Cgroup(&cgroup),
                program,
            )?;
        }
        Ok(datapath)
    }

    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Whoever changes tables holds this.
    pub fn write_lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach_pod(&self, ifindex: u32) -> Result<()> {
        let _writing = self.write_lock();
        for (program, end) in POD {
            let path = links::pod_path(&self.links, ifindex, end);
            links::attach(&path, Target::Device(ifindex), self.program(program)?)?;
        }
        Ok(())
    }

    /// Errors: the first device that failed; those before it are attached.
    pub fn attach_pods(&self, ifindexes: &[u32]) -> Result<()> {
        let _hurry = (ifindexes.len() >= MANY).then(|| ShortGracePeriods::begin(&self.hurry));
        ifindexes
            .iter()
            .try_for_each(|&ifindex| self.attach_pod(ifindex))
    }

    pub fn detach_pod(&self, ifindex: u32) -> Result<()> {
        let _writing = self.write_lock();
        self.pod_links(ifindex)?
            .iter()
            .try_for_each(|(path, at)| links::detach(path, *at))
    }

    /// All that a pod may have.
    fn pod_links(&self, ifindex: u32) -> Result<Vec<PodLink>> {
        let path = |end: &str| links::pod_path(&self.links, ifindex, end);
        let own = POD.iter().map(|(program, end)| {
            let hook = Hook::new(ifindex, self.program(program)?.attach_type);
            Ok((path(end), Some(hook)))
        });
        let inside = PROXY.iter().map(|(_, end)| Ok((path(end), None)));
        own.chain(inside).collect()
    }

    /// Inside the network namespace at the path `netns`, on its device `name`; `ifindex` is the host side's.
    pub fn attach_proxy(&self, ifindex: u32, netns: &Path, name: &str) -> Result<()> {
        let _writing = self.write_lock();
        let opened = fs::File::open(netns)
            .step(|| format!("opening the network namespace {}", netns.display()))?;
        let entered: std::result::Result<Result<()>, String> = in_namespace(&opened, || {
            Ok(self::ifindex(name).and_then(|inside| {
                PROXY.iter().try_for_each(|(program, end)| {
                    let path = links::pod_path(&self.links, ifindex, end);
                    links::attach(&path, Target::Device(inside), self.program(program)?)
                })
            }))
        })
        .map_err(|error: weft_netlink::Error| error.to_string());
        entered.step(|| format!("entering the network namespace {}", netns.display()))?
    }

    /// ifindexes, ascending.
    pub fn attached_pods(&self) -> Result<Vec<u32>> {
        let names = links::pinned(&self.links)?;
        let mut found: Vec<u32> = names
            .iter()
            .filter_map(|name| links::pod_ifindex(name))
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Gives the pods' links these programs; links of devices that are gone are removed.
    fn take_over_pods(&self) -> Result<()> {
        for ifindex in self.attached_pods()? {
            if self
                .pod_links(ifindex)?
                .iter()
                .any(|(path, at)| path.exists() && !links::is_alive(path, *at))
            {
                self.detach_pod(ifindex)?;
            } else {
                self.attach_pod(ifindex)?;
                for (program, end) in PROXY {
                    let path = links::pod_path(&self.links, ifindex, end);
                    links::refresh(&path, self.program(program)?)?;
                }
            }
        }
        Ok(())
    }

    /// (name, path) of every map that is pinned.
    pub(crate) fn pinned_maps(&self) -> Result<Vec<(String, PathBuf)>> {
        let directory = self.links.parent().unwrap_or(&self.links);
        let named = |name: String| {
            let path = directory.join(&name);
            name.starts_with("weft_").then_some((name, path))
        };
        Ok(links::pinned(directory)?
            .into_iter()
            .filter_map(named)
            .collect())
    }

    fn program(&self, name: &str) -> Result<&Program> {
        let found = self.tc.iter().find(|program| program.name == name);
        found.ok_or_else(|| Error::new(name, "the object tc.bpf.o has no such program"))
    }
}

fn make_directories(pin_dir: &Path) -> Result<PathBuf> {
    let directory = pin_dir.join(format!("v{LAYOUT}"));
    let links = directory.join("links");
    let step = || format!("making {}", links.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&links)
        .step(step)?;
    fs::set_permissions(pin_dir, fs::Permissions::from_mode(0o700)).step(step)?;
    if file_system(pin_dir).step(step)? != BPF_FS_MAGIC {
        let path = pin_dir.display();
        return Err(Error::new(
            path,
            "not on a bpffs; mount one with: mount -t bpf bpf /sys/fs/bpf",
        ));
    }
    Ok(directory)
}

fn file_system(path: &Path) -> std::io::Result<i64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statfs is plain data that the call fills in.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string and `found` is ours.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut found) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(found.f_type)
}

fn ifindex(name: &str) -> Result<u32> {
    let c_name = std::ffi::CString::new(name).step(|| format!("device \"{name}\""))?;
    // SAFETY: the name is a C string.
    match unsafe { libc::if_nametoindex(c_name.as_ptr()) } {
        0 => Err(Error::new(
            format_args!("device \"{name}\""),
            "there is no such device in this network namespace",
        )),
        index => Ok(index),
    }
}

/// Of the network namespace that the calling thread is in.
fn netns_cookie() -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).step(|| "opening a socket".to_owned())?;
    let mut cookie = 0_u64;
    let mut length = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the value is as long as the call is told.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(cookie),
        _ => Err(Error::new(
            "asking for the network namespace's cookie",
            std::io::Error::last_os_error(),
        )),
    }
}

fn open_cgroup(path: &Path) -> Result<fs::File> {
    const CGROUP2_MAGIC: i64 = 0x6367_7270;
    let step = || format!("opening the cgroup {}", path.display());
    let directory = fs::File::open(path).step(step)?;
    if file_system(path).step(step)? != CGROUP2_MAGIC {
        return Err(Error::new(path.display(), "not a directory of cgroup2"));
    }
    Ok(directory)
}

/// Removes what `open` made below the directory, of every layout, and so detaches all programs.
pub fn uninstall(pin_dir: &Path) -> Result<()> {
    let versions = match fs::read_dir(pin_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.step(|| format!("reading {}", pin_dir.display()))?,
    };
    links::remove_filters()?;
    for version in versions.flatten() {
        let is_layout = |name: &str| {
            name.strip_prefix('v')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        if !version.file_name().to_str().is_some_and(is_layout) {
            continue;
        }
        ShortGracePeriods::end_forgotten(&version.path().join("hurry"));
        for directory in [version.path().join("links"), version.path()] {
            remove_pins(&directory)?;
        }
    }
    // Fails if something of others is in it, which then stays.
    fs::remove_dir(pin_dir).or(Ok(()))
}

fn remove_pins(directory: &Path) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.step(|| format!("reading {}", directory.display()))?,
    };
    for entry in entries.flatten() {
        fs::remove_file(entry.path()).step(|| format!("removing {}", entry.path().display()))?;
    }
    fs::remove_dir(directory).step(|| format!("removing {}", directory.display()))
}
