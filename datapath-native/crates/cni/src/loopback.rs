//! The standard plugin `loopback`, which containerd runs beside every network: installed under that name where a node
//! has none. Spec: https://www.cni.dev/plugins/current/main/loopback/

use serde_json::json;
use weft_netlink::{Socket, in_namespace};

use crate::config::{Attachment, Command, Config};
use crate::error::Failure;
use crate::pod;

const LOOPBACK: u32 = 1;

/// True if the runtime called this binary by that name.
pub fn is_called() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|path| std::path::Path::new(&path).ends_with("loopback"))
}

/// What goes to stdout. The namespace's end takes the device along, so DEL has nothing to do.
pub fn run(config: &Config, command: &Command) -> Result<String, Failure> {
    match command {
        Command::Add(attachment) => add(config, attachment),
        Command::Check(attachment) => check(attachment).map(|()| String::new()),
        _ => Ok(String::new()),
    }
}

fn add(config: &Config, attachment: &Attachment) -> Result<String, Failure> {
    let netns = pod::open_netns(&attachment.netns)?;
    in_namespace(&netns, || Socket::open()?.set_up(LOOPBACK))?;
    let old = config.version.starts_with("0.");
    let address = |text: &str, version: &str| {
        let mut ip = json!({ "address": text, "interface": 0 });
        if old {
            ip["version"] = json!(version);
        }
        ip
    };
    let interface = json!({ "name": "lo", "mac": "00:00:00:00:00:00", "sandbox": attachment.netns });
    Ok(json!({
        "cniVersion": config.version,
        "interfaces": [interface],
        "ips": [address("127.0.0.1/8", "4"), address("::1/128", "6")],
        "dns": {}
    })
    .to_string())
}

fn check(attachment: &Attachment) -> Result<(), Failure> {
    let netns = pod::open_netns(&attachment.netns)?;
    let link = in_namespace(&netns, || Socket::open()?.link("lo"))?;
    match link {
        Some(link) if link.up => Ok(()),
        _ => Err(pod::unexpected("the pod's loopback device is down".to_owned())),
    }
}
