//! ADD: device, then addresses and policy from the agent, then up.

use std::fs::File;
use std::os::fd::AsFd;

use weft_netlink::{Socket, VethPair};

use crate::agent::{self, Grant};
use crate::config::{Attachment, Config};
use crate::error::{Code, Failure};
use crate::host::{self, HOST_MAC, POD_MAC};
use crate::{outcome, pod};

/// Until the agent says what it is to be.
const FIRST_MTU: u32 = 1500;

pub fn add(config: &Config, attachment: &Attachment) -> Result<String, Failure> {
    let name = host::of(attachment);
    let netns = pod::open_netns(&attachment.netns)?;
    let index = create(&name, attachment, &netns)?;
    let done = agent::add(config, attachment, &name, index)
        .and_then(|grant| configure(&name, index, attachment, &netns, &grant).map(|()| grant));
    match done {
        Ok(grant) => Ok(outcome::success(&config.version, attachment, &name, &grant)),
        Err(failure) => {
            let _ = Socket::open().and_then(|mut socket| socket.delete_link(&name));
            agent::tell_deleted(config, &attachment.container_id, &attachment.if_name);
            Err(failure)
        }
    }
}

/// What an ADD that was cut off left behind is replaced.
fn create(name: &str, attachment: &Attachment, netns: &File) -> Result<u32, Failure> {
    let mut socket = Socket::open()?;
    socket.delete_link(name)?;
    socket.create_veth(&VethPair {
        host_name: name,
        host_mac: HOST_MAC,
        peer_name: &attachment.if_name,
        peer_mac: POD_MAC,
        peer_netns: netns.as_fd(),
        mtu: FIRST_MTU,
    })?;
    let link = socket.link(name)?;
    link.map(|link| link.index).ok_or_else(|| {
        Failure::new(
            Code::Network,
            format!("the device {name} vanished while it was being set up"),
        )
    })
}

/// The host's side comes up last: until then nothing passes.
fn configure(
    name: &str,
    index: u32,
    attachment: &Attachment,
    netns: &File,
    grant: &Grant,
) -> Result<(), Failure> {
    pod::configure(netns, &attachment.if_name, grant)?;
    host::configure(name, index, &grant.addresses, grant.mtu)
}
