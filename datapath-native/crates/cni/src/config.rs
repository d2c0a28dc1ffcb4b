//! What the runtime says: the environment and the configuration on stdin, parsed at the edge.

use std::env;
use std::net::IpAddr;

use serde::Deserialize;

use crate::error::{Code, Failure};

pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const DEFAULT_SOCKET: &str = "/run/weft/cni.sock";
/// IFNAMSIZ without the final zero.
const MOST_IF_NAME: usize = 15;

#[derive(Deserialize)]
pub struct Config {
    #[serde(rename = "cniVersion")]
    pub version: String,
    #[serde(default = "default_socket")]
    pub socket: String,
    #[serde(rename = "prevResult")]
    previous: Option<Previous>,
    #[serde(rename = "cni.dev/valid-attachments")]
    pub valid_attachments: Option<Vec<ValidAttachment>>,
}

#[derive(Deserialize)]
struct Previous {
    #[serde(default)]
    ips: Vec<PreviousIp>,
}

#[derive(Deserialize)]
struct PreviousIp {
    address: String,
}

#[derive(Deserialize)]
pub struct ValidAttachment {
    #[serde(rename = "containerID")]
    pub container_id: String,
    #[serde(rename = "ifname")]
    pub if_name: String,
}

fn default_socket() -> String {
    DEFAULT_SOCKET.to_owned()
}

/// A device of a container.
pub struct Attachment {
    pub container_id: String,
    pub if_name: String,
    /// Path of the network namespace; empty when it is gone (DEL only).
    pub netns: String,
    pub pod: Pod,
}

/// From CNI_ARGS; empty outside Kubernetes.
#[derive(Default)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

pub enum Command {
    Add(Attachment),
    Del(Attachment),
    Check(Attachment),
    Status,
    Gc,
    Version,
}

impl Command {
    pub fn from_environment() -> Result<Self, Failure> {
        match variable("CNI_COMMAND")?.as_str() {
            "ADD" => Ok(Self::Add(Attachment::from_environment(true)?)),
            "DEL" => Ok(Self::Del(Attachment::from_environment(false)?)),
            "CHECK" => Ok(Self::Check(Attachment::from_environment(true)?)),
            "STATUS" => Ok(Self::Status),
            "GC" => Ok(Self::Gc),
            "VERSION" => Ok(Self::Version),
            other => Err(bad_environment(format!(
                "CNI_COMMAND is \"{other}\", which this plugin does not know"
            ))),
        }
    }
}

impl Attachment {
    fn from_environment(needs_netns: bool) -> Result<Self, Failure> {
        let container_id = variable("CNI_CONTAINERID")?;
        let if_name = variable("CNI_IFNAME")?;
        let netns = env::var("CNI_NETNS").unwrap_or_default();
        if !is_container_id(&container_id) {
            return Err(bad_environment(
                "CNI_CONTAINERID has characters that are not allowed".to_owned(),
            ));
        }
        if !is_if_name(&if_name) {
            return Err(bad_environment(format!(
                "CNI_IFNAME is \"{if_name}\", which can't be a device's name"
            )));
        }
        if needs_netns && netns.is_empty() {
            return Err(bad_environment("CNI_NETNS is not set".to_owned()));
        }
        Ok(Self {
            container_id,
            if_name,
            netns,
            pod: Pod::parse(&env::var("CNI_ARGS").unwrap_or_default()),
        })
    }
}

impl Pod {
    /// "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=frontend-1;…"
    fn parse(arguments: &str) -> Self {
        let mut pod = Self::default();
        for (key, value) in arguments
            .split(';')
            .filter_map(|argument| argument.split_once('='))
        {
            match key {
                "K8S_POD_NAMESPACE" => pod.namespace = value.to_owned(),
                "K8S_POD_NAME" => pod.name = value.to_owned(),
                "K8S_POD_UID" => pod.uid = value.to_owned(),
                _ => {}
            }
        }
        pod
    }
}

impl Config {
    pub fn parse(input: &[u8]) -> Result<Self, Failure> {
        let config: Self = serde_json::from_slice(input).map_err(|error| {
            let code = if error.is_data() {
                Code::InvalidConfig
            } else {
                Code::Decode
            };
            Failure::new(
                code,
                format!("the configuration on stdin is not what the specification says: {error}"),
            )
        })?;
        if !VERSIONS.contains(&config.version.as_str()) {
            let known = VERSIONS.join(", ");
            return Err(Failure::new(
                Code::IncompatibleVersion,
                format!(
                    "cniVersion is \"{}\"; this plugin speaks {known}",
                    config.version
                ),
            ));
        }
        Ok(config)
    }

    /// Addresses with prefix lengths of an earlier ADD; an error without its result.
    pub fn previous_addresses(&self) -> Result<Vec<(IpAddr, u8)>, Failure> {
        let previous = self.previous.as_ref().ok_or_else(|| {
            Failure::new(
                Code::InvalidConfig,
                "CHECK needs prevResult, the result of ADD, in the configuration",
            )
        })?;
        let parse = |ip: &PreviousIp| {
            parse_prefix(&ip.address).ok_or_else(|| {
                Failure::new(
                    Code::InvalidConfig,
                    format!("prevResult has the address \"{}\"", ip.address),
                )
            })
        };
        previous.ips.iter().map(parse).collect()
    }
}

/// The version to answer in when the configuration may be broken.
pub fn version_or_default(input: &[u8]) -> String {
    #[derive(Deserialize)]
    struct OnlyVersion {
        #[serde(rename = "cniVersion")]
        version: String,
    }
    let known = serde_json::from_slice::<OnlyVersion>(input)
        .ok()
        .map(|parsed| parsed.version);
    known
        .filter(|version| VERSIONS.contains(&version.as_str()))
        .unwrap_or_else(|| "1.0.0".to_owned())
}

/// "10.244.1.7/32"
pub fn parse_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

fn variable(name: &str) -> Result<String, Failure> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(bad_environment(format!("{name} is not set"))),
    }
}

fn bad_environment(sentence: String) -> Failure {
    Failure::new(Code::InvalidEnvironment, sentence)
}

fn is_container_id(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
}

fn is_if_name(text: &str) -> bool {
    text.len() <= MOST_IF_NAME
        && text != "."
        && text != ".."
        && !text.contains(|character: char| {
            character == '/' || character == ':' || character.is_whitespace()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_configuration_is_a_decoding_error_and_a_wrong_one_an_invalid_one() {
        let code = |input: &[u8]| Config::parse(input).err().map(|failure| failure.code);
        for input in [&b""[..], b"{", b"{\"cniVersion\":\"1.0", b"\xff\xfe"] {
            assert_eq!(code(input), Some(Code::Decode as u32), "{input:?}");
        }
        for input in [
            &b"null"[..],
            b"[]",
            b"{}",
            b"{\"cniVersion\":1}",
            b"{\"cniVersion\":\"1.0.0\",\"socket\":[]}",
        ] {
            assert_eq!(code(input), Some(Code::InvalidConfig as u32), "{input:?}");
        }
        assert_eq!(
            code(b"{\"cniVersion\":\"9.9.9\"}"),
            Some(Code::IncompatibleVersion as u32)
        );
        assert_eq!(code(b"{\"cniVersion\":\"1.1.0\"}"), None);
    }

    #[test]
    fn names_that_lead_out_of_proc_are_no_devices() {
        for name in ["..", ".", "a/b", "a b", "a:b", "sixteencharacter"] {
            assert!(!is_if_name(name), "{name}");
        }
        assert!(is_if_name("eth0"));
        assert!(!is_container_id("../x"));
    }

    #[test]
    fn the_pod_comes_from_the_arguments() {
        let pod = Pod::parse(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=api-1;K8S_POD_UID=u;broken",
        );
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()),
            ("shop", "api-1", "u")
        );
    }
}
