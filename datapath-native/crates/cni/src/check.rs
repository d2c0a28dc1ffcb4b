//! CHECK: is everything still as ADD left it?

use weft_netlink::Socket;

use crate::agent;
use crate::config::{Attachment, Config};
use crate::error::Failure;
use crate::{host, pod};

pub fn check(config: &Config, attachment: &Attachment) -> Result<(), Failure> {
    let addresses = config.previous_addresses()?;
    let name = host::of(attachment);
    match Socket::open()?.link(&name)? {
        None => return Err(pod::unexpected(format!("the host has no device {name}"))),
        Some(link) if !link.up => {
            return Err(pod::unexpected(format!("the host's device {name} is down")));
        }
        Some(_) => {}
    }
    pod::verify(
        &pod::open_netns(&attachment.netns)?,
        &attachment.if_name,
        &addresses,
    )?;
    let texts: Vec<String> = addresses
        .iter()
        .map(|(address, length)| format!("{address}/{length}"))
        .collect();
    agent::check(config, attachment, &texts)
}
