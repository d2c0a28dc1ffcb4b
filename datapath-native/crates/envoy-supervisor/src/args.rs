//! The command line.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub node_id: String,
    pub bootstrap: PathBuf,
    pub envoy: PathBuf,
    /// Where the agent's sockets are.
    pub dir: PathBuf,
    /// Where Envoy makes its admin socket.
    pub run_dir: PathBuf,
    pub concurrency: u32,
    pub drain_seconds: u32,
    pub ready_port: u16,
    /// Of Envoy, and of this program once it runs. Only root can become another user; others stay who they are.
    pub uid: u32,
    pub gid: u32,
}

pub enum Command {
    Supervise(Options),
    /// Asks the admin interface of the Envoy that runs here.
    Admin {
        method: String,
        path: String,
        run_dir: PathBuf,
    },
    Help,
    Version,
}

pub const HELP: &str = "usage: weft-envoy --node-id=UID [flags]
       weft-envoy admin [--run-dir=DIRECTORY] [POST] PATH

First process of Envoy's pod. Starts Envoy while the agent of the node says so, restarts it at once when it dies, drains
it on SIGTERM and forwards its access records to the agent. `admin` prints what Envoy's admin interface answers, for
example: weft-envoy admin /config_dump

  --node-id=UID             uid of the pod; Envoy's node id (required)
  --bootstrap=FILE          Envoy's bootstrap (/etc/weft-envoy/bootstrap.json)
  --envoy=FILE              Envoy's program (/usr/local/bin/envoy)
  --dir=DIRECTORY           the agent's sockets supervisor.sock and records.sock (/run/weft/envoy)
  --run-dir=DIRECTORY       Envoy's admin socket admin.sock (/run/envoy)
  --concurrency=N           Envoy's worker threads, 1 to 256 (2)
  --drain-seconds=N         the longest that connections are waited for, 0 to 3600 (50)
  --ready-port=PORT         TCP port that is open exactly while this pod does what the agent last said (15021)
  --uid=N, --gid=N          whom Envoy runs as (1337)
  --help, --version
";

/// @param args without the program's name
pub fn parse(args: &[String]) -> Result<Command, String> {
    if args.first().is_some_and(|first| first == "admin") {
        return admin(&args[1..]);
    }
    let mut options = Options {
        node_id: String::new(),
        bootstrap: "/etc/weft-envoy/bootstrap.json".into(),
        envoy: "/usr/local/bin/envoy".into(),
        dir: "/run/weft/envoy".into(),
        run_dir: "/run/envoy".into(),
        concurrency: 2,
        drain_seconds: 50,
        ready_port: 15021,
        uid: 1337,
        gid: 1337,
    };
    for arg in args {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" => return Ok(Command::Version),
            _ => {}
        }
        let Some((flag, value)) = arg.split_once('=') else {
            return Err(format!(
                "{arg} is no flag of the form --flag=value; see --help"
            ));
        };
        match flag {
            "--node-id" => options.node_id = node_id(value)?,
            "--bootstrap" => options.bootstrap = path(flag, value)?,
            "--envoy" => options.envoy = path(flag, value)?,
            "--dir" => options.dir = path(flag, value)?,
            "--run-dir" => options.run_dir = path(flag, value)?,
            "--concurrency" => options.concurrency = number(flag, value, 1, 256)?,
            "--drain-seconds" => options.drain_seconds = number(flag, value, 0, 3600)?,
            "--ready-port" => options.ready_port = number(flag, value, 1, 65535)? as u16,
            "--uid" => options.uid = number(flag, value, 1, u32::MAX - 1)?,
            "--gid" => options.gid = number(flag, value, 1, u32::MAX - 1)?,
            _ => return Err(format!("{flag} is unknown; see --help")),
        }
    }
    if options.node_id.is_empty() {
        return Err("--node-id is missing: the agent knows this pod by it; see --help".to_owned());
    }
    Ok(Command::Supervise(options))
}

fn admin(args: &[String]) -> Result<Command, String> {
    let mut method = "GET";
    let mut run_dir = PathBuf::from("/run/envoy");
    let mut target = None;
    for arg in args {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "GET" => method = "GET",
            "POST" => method = "POST",
            _ => match arg.strip_prefix("--run-dir=") {
                Some(value) => run_dir = path("--run-dir", value)?,
                None if arg.starts_with('/') && arg.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    target = Some(arg.clone());
                }
                None => {
                    return Err(format!(
                        "{arg:?} is no path of Envoy's admin interface, as /stats"
                    ));
                }
            },
        }
    }
    let path = target.ok_or("admin needs a path, as /stats; see --help")?;
    Ok(Command::Admin {
        method: method.to_owned(),
        path,
        run_dir,
    })
}

/// It becomes a word on Envoy's command line and a string in JSON.
fn node_id(value: &str) -> Result<String, String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=128).contains(&value.len()) && value.bytes().all(fine) {
        return Ok(value.to_owned());
    }
    Err(format!(
        "--node-id: {value:?} is no uid of a pod: up to 128 letters, digits, - _ and ."
    ))
}

fn path(flag: &str, value: &str) -> Result<PathBuf, String> {
    if value.starts_with('/') && !value.contains('\0') {
        return Ok(value.into());
    }
    Err(format!("{flag}: {value:?} is no absolute path"))
}

fn number(flag: &str, value: &str, least: u32, most: u32) -> Result<u32, String> {
    match value.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!(
            "{flag}: {value:?} is no number from {least} to {most}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    fn sentence(args: &[&str]) -> String {
        match parsed(args) {
            Err(sentence) => sentence,
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn all_but_the_node_id_has_a_default() {
        let Ok(Command::Supervise(options)) = parsed(&["--node-id=a-1", "--drain-seconds=7"])
        else {
            panic!("not taken");
        };
        assert_eq!(
            (options.node_id.as_str(), options.drain_seconds, options.uid),
            ("a-1", 7, 1337)
        );
        assert!(sentence(&[]).contains("--node-id is missing"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arg, expected) in [
            ("--node-id=a b", "is no uid"),
            ("--node-id", "is no flag of the form"),
            ("--envoy=envoy", "is no absolute path"),
            ("--concurrency=0", "is no number from 1 to 256"),
            ("--ready-port=65536", "is no number"),
            ("--uid=0", "is no number from 1"),
            ("--verbose=1", "--verbose is unknown"),
        ] {
            assert!(
                sentence(&["--node-id=a", arg]).contains(expected),
                "{arg}: {}",
                sentence(&[arg])
            );
        }
    }

    #[test]
    fn admin_takes_a_path_only() {
        assert!(
            matches!(parsed(&["admin", "POST", "/logging?level=debug"]), Ok(Command::Admin { method, .. }) if method == "POST")
        );
        assert!(sentence(&["admin", "/a b\r\nx"]).contains("is no path"));
        assert!(sentence(&["admin"]).contains("needs a path"));
    }
}
