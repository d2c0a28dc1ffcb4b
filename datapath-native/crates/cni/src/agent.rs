//! The agent's socket: one request and one answer, each one line of JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Attachment, Config, ValidAttachment, parse_prefix};
use crate::error::{Code, Failure};

/// ADD waits for the pod's policy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the agent's answer changes little.
const BRIEF: Duration = Duration::from_secs(2);
const MOST_ANSWER: u64 = 1 << 16;

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    code: Option<u32>,
    message: Option<String>,
    #[serde(default)]
    addresses: Vec<String>,
    mtu: Option<u32>,
    #[serde(default)]
    proxy: bool,
}

/// What a pod's device gets.
pub struct Grant {
    pub addresses: Vec<(IpAddr, u8)>,
    pub mtu: u32,
    /// It runs Envoy for its node.
    pub proxy: bool,
}

pub fn add(
    config: &Config,
    attachment: &Attachment,
    host_name: &str,
    host_index: u32,
) -> Result<Grant, Failure> {
    let pod = &attachment.pod;
    let request = json!({
        "command": "ADD",
        "containerId": attachment.container_id,
        "ifName": attachment.if_name,
        "netns": attachment.netns,
        "hostIfIndex": host_index,
        "hostIfName": host_name,
        "pod": { "namespace": pod.namespace, "name": pod.name, "uid": pod.uid },
    });
    let answer = ask(config, &request, PATIENCE)?;
    let parse = |text: &String| {
        parse_prefix(text).ok_or_else(|| {
            Failure::new(
                Code::Decode,
                format!("the agent answered with the address \"{text}\", which is none"),
            )
        })
    };
    let addresses: Vec<_> = answer
        .addresses
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()?;
    match answer.mtu {
        Some(mtu) if !addresses.is_empty() => Ok(Grant {
            addresses,
            mtu,
            proxy: answer.proxy,
        }),
        _ => Err(Failure::new(
            Code::Decode,
            "the agent answered without addresses or MTU",
        )),
    }
}

/// Best effort: an agent that is down learns of it from its own comparison when it is back.
pub fn tell_deleted(config: &Config, container_id: &str, if_name: &str) {
    let request = json!({ "command": "DEL", "containerId": container_id, "ifName": if_name });
    let _ = ask(config, &request, BRIEF);
}

pub fn check(
    config: &Config,
    attachment: &Attachment,
    addresses: &[String],
) -> Result<(), Failure> {
    let request = json!({
        "command": "CHECK",
        "containerId": attachment.container_id,
        "ifName": attachment.if_name,
        "addresses": addresses,
    });
    ask(config, &request, PATIENCE).map(|_| ())
}

pub fn status(config: &Config) -> Result<(), Failure> {
    ask(config, &json!({ "command": "STATUS" }), BRIEF)
        .map(|_| ())
        .map_err(|failure| Failure {
            // Whatever is wrong with the agent, the runtime is to hear that ADD would fail.
            code: if failure.code == Code::TryAgainLater as u32 {
                Code::NotAvailable as u32
            } else {
                failure.code
            },
            sentence: failure.sentence,
        })
}

pub fn collect_garbage(config: &Config, valid: &[ValidAttachment]) -> Result<(), Failure> {
    let valid: Vec<Value> = valid
        .iter()
        .map(|one| json!({ "containerId": one.container_id, "ifName": one.if_name }))
        .collect();
    ask(
        config,
        &json!({ "command": "GC", "valid": valid }),
        PATIENCE,
    )
    .map(|_| ())
}

fn ask(config: &Config, request: &Value, patience: Duration) -> Result<Answer, Failure> {
    let line = exchange(&config.socket, request, patience).map_err(|cause| {
        Failure::new(
            Code::TryAgainLater,
            format!(
                "the agent of this node does not answer at {}: {cause}",
                config.socket
            ),
        )
    })?;
    let answer: Answer = serde_json::from_slice(&line).map_err(|error| {
        Failure::new(
            Code::Decode,
            format!("the agent's answer can't be read: {error}"),
        )
    })?;
    if answer.ok {
        return Ok(answer);
    }
    let sentence = answer
        .message
        .unwrap_or_else(|| "the agent refused without a reason".to_owned());
    Err(Failure {
        code: answer.code.unwrap_or(Code::TryAgainLater as u32),
        sentence,
    })
}

fn exchange(socket: &str, request: &Value, patience: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MOST_ANSWER)).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(std::io::Error::other(
            "it closed the connection before its answer was complete",
        ));
    }
    Ok(line)
}
