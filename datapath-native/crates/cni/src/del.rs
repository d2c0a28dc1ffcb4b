//! DEL and GC. DEL never fails because the agent is down or the device is gone.

use std::collections::HashSet;

use weft_netlink::Socket;

use crate::agent;
use crate::config::{Attachment, Config};
use crate::error::{Code, Failure};
use crate::host;

pub fn del(config: &Config, attachment: &Attachment) -> Result<(), Failure> {
    Socket::open()?.delete_link(&host::of(attachment))?;
    agent::tell_deleted(config, &attachment.container_id, &attachment.if_name);
    Ok(())
}

/// Removes every veth of ours that belongs to none of the attachments that the runtime knows.
pub fn collect_garbage(config: &Config) -> Result<(), Failure> {
    let valid = config.valid_attachments.as_deref().ok_or_else(|| {
        Failure::new(
            Code::InvalidConfig,
            "GC needs the list cni.dev/valid-attachments in the configuration",
        )
    })?;
    let keep: HashSet<String> = valid
        .iter()
        .map(|one| host::device_name(&one.container_id, &one.if_name))
        .collect();
    let mut socket = Socket::open()?;
    for link in socket.links()? {
        let ours = host::is_device_name(&link.name) && link.mac == host::HOST_MAC;
        if ours && !keep.contains(&link.name) {
            socket.delete_link(&link.name)?;
        }
    }
    agent::collect_garbage(config, valid)
}
