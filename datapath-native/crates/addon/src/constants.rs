//! Constants of the layout that the agent needs.

use napi_derive::napi;
use weft_datapath::layout::{
    HOST_MAC, MASQUERADE_MARK, POD_MAC, PROXY_LISTENER_PORTS, PROXY_SOURCE_PORTS,
};
use weft_netlink::format_mac;

/// Slots of weft_pods, as bpf/maps.h has them.
const MAX_PODS: u32 = 1024;

#[napi(object)]
pub struct Constants {
    pub pod_mac: String,
    pub host_mac: String,
    pub masquerade_mark: u32,
    pub max_pods: u32,
    pub proxy_listener_ports: Vec<u32>,
    pub proxy_source_ports: Vec<u32>,
}

#[napi]
pub fn constants() -> Constants {
    Constants {
        pod_mac: format_mac(&POD_MAC),
        host_mac: format_mac(&HOST_MAC),
        masquerade_mark: MASQUERADE_MARK,
        max_pods: MAX_PODS,
        proxy_listener_ports: range(PROXY_LISTENER_PORTS),
        proxy_source_ports: range(PROXY_SOURCE_PORTS),
    }
}

fn range((first, last): (u16, u16)) -> Vec<u32> {
    vec![first.into(), last.into()]
}
