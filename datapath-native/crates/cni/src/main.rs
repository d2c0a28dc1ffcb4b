//! `weft-cni`: gives a pod its device. It makes the veth pair, asks the agent on this node for addresses (the agent
//! answers once the pod's policy is in the kernel), and only then sets the device up: a pod has its policy before it
//! has a network. Spec: https://www.cni.dev/docs/spec/ up to 1.1.0.

mod add;
mod agent;
mod check;
mod config;
mod del;
mod error;
mod host;
mod loopback;
mod outcome;
mod pod;

use std::io::{Read, Write};

use config::{Command, Config};
use error::{Code, Failure};

/// A configuration is a few hundred bytes.
const MOST_INPUT: u64 = 1 << 20;

fn main() {
    let mut input = Vec::new();
    let read = std::io::stdin().take(MOST_INPUT).read_to_end(&mut input);
    let result = match read {
        Ok(_) => run(&input),
        Err(cause) => Err(Failure::new(
            Code::Io,
            format!("the configuration can't be read from stdin: {cause}"),
        )),
    };
    let (text, status) = match result {
        Ok(text) => (text, 0),
        Err(failure) => (
            outcome::failure(&config::version_or_default(&input), &failure),
            1,
        ),
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    std::process::exit(status);
}

/// What goes to stdout.
fn run(input: &[u8]) -> Result<String, Failure> {
    let command = Command::from_environment()?;
    if let Command::Version = command {
        return Ok(outcome::versions(&config::version_or_default(input)));
    }
    let config = Config::parse(input)?;
    if loopback::is_called() {
        return loopback::run(&config, &command);
    }
    match command {
        Command::Version => Ok(String::new()),
        Command::Add(attachment) => add::add(&config, &attachment),
        Command::Del(attachment) => del::del(&config, &attachment).map(|()| String::new()),
        Command::Check(attachment) => check::check(&config, &attachment).map(|()| String::new()),
        Command::Status => agent::status(&config).map(|()| String::new()),
        Command::Gc => del::collect_garbage(&config).map(|()| String::new()),
    }
}
