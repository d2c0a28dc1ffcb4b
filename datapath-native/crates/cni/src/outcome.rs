//! What goes to stdout, in the shape of the version that was asked for.

use serde_json::{Value, json};
use weft_netlink::format_mac;

use crate::agent::Grant;
use crate::config::{Attachment, VERSIONS};
use crate::error::Failure;
use crate::host::{HOST_MAC, POD_MAC};
use crate::pod;

pub fn success(version: &str, attachment: &Attachment, host_name: &str, grant: &Grant) -> String {
    const POD_INTERFACE: usize = 1;
    let ips: Vec<Value> = grant
        .addresses
        .iter()
        .map(|&(address, length)| {
            let gateway = pod::gateway(address).to_string();
            let mut ip =
                json!({ "address": format!("{address}/{length}"), "gateway": gateway, "interface": POD_INTERFACE });
            // Dropped in 1.0.0.
            if version.starts_with("0.") {
                ip["version"] = json!(if address.is_ipv4() { "4" } else { "6" });
            }
            ip
        })
        .collect();
    let routes: Vec<Value> = grant
        .addresses
        .iter()
        .map(|&(address, _)| {
            let destination = if address.is_ipv4() {
                "0.0.0.0/0"
            } else {
                "::/0"
            };
            json!({ "dst": destination, "gw": pod::gateway(address).to_string() })
        })
        .collect();
    let mut interfaces = [
        json!({ "name": host_name, "mac": format_mac(&HOST_MAC) }),
        json!({ "name": attachment.if_name, "mac": format_mac(&POD_MAC), "sandbox": attachment.netns }),
    ];
    if version == "1.1.0" {
        interfaces
            .iter_mut()
            .for_each(|interface| interface["mtu"] = json!(grant.mtu));
    }
    json!({ "cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": routes, "dns": {} }).to_string()
}

pub fn failure(version: &str, failure: &Failure) -> String {
    json!({ "cniVersion": version, "code": failure.code, "msg": failure.sentence }).to_string()
}

pub fn versions(version: &str) -> String {
    json!({ "cniVersion": version, "supportedVersions": VERSIONS }).to_string()
}
