//! Envoy's process.

use std::ffi::OsString;
use std::fs::File;
use std::io::Result;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use crate::args::Options;
use crate::unix::{check, pipe};

pub struct Child {
    pub pid: u32,
    /// Access records. None once Envoy has closed it.
    pub stdout: Option<File>,
    /// Its log; likewise.
    pub stderr: Option<File>,
}

/// Without the program's name.
pub fn command_line(options: &Options) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--config-path".into(), options.bootstrap.clone().into()];
    for word in [
        "--service-node",
        &options.node_id,
        "--service-cluster",
        "weft-envoy",
        "--concurrency",
        &options.concurrency.to_string(),
        // Two Envoys stand side by side in pods of their own; they share no memory.
        "--disable-hot-restart",
        // Every response says at once that its connection ends: a client comes back to this node's newer Envoy, and
        // there is no herd to spread over time. It is also how long removed listeners keep their connections.
        "--drain-strategy",
        "immediate",
        "--drain-time-s",
        "30",
        // Flows are shown as they happen; Envoy's own value is 10 s.
        "--file-flush-interval-msec",
        "200",
        "--log-level",
        "warning",
        "--log-format",
        "[%l][%n] %v",
    ] {
        words.push(word.into());
    }
    words
}

pub fn spawn(options: &Options) -> Result<Child> {
    // It is there when an earlier one was killed, and would be asked in place of the new one's.
    let _ = std::fs::remove_file(options.run_dir.join("admin.sock"));
    let (stdout, to_stdout) = pipe()?;
    let (stderr, to_stderr) = pipe()?;
    let mut command = Command::new(&options.envoy);
    command.args(command_line(options)).stdin(Stdio::null());
    command
        .stdout(Stdio::from(to_stdout))
        .stderr(Stdio::from(to_stderr));
    // SAFETY: only calls that are allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let mut none: libc::sigset_t = std::mem::zeroed();
            check(libc::sigemptyset(&raw mut none))?;
            check(libc::sigprocmask(
                libc::SIG_SETMASK,
                &raw const none,
                std::ptr::null_mut(),
            ))?;
            check(libc::prctl(
                libc::PR_SET_PDEATHSIG,
                libc::SIGKILL as libc::c_ulong,
            ))?;
            Ok(())
        });
    }
    // The handle is let go: all children are reaped in one place.
    let pid = command.spawn()?.id();
    Ok(Child {
        pid,
        stdout: Some(File::from(stdout)),
        stderr: Some(File::from(stderr)),
    })
}

/// "1.40.0", as the program itself says.
pub fn version(options: &Options) -> std::result::Result<String, String> {
    let output = Command::new(&options.envoy)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    let output =
        output.map_err(|error| format!("{} can't be run: {error}", options.envoy.display()))?;
    version_in(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        format!(
            "{} --version does not answer as Envoy does",
            options.envoy.display()
        )
    })
}

/// `… version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
fn version_in(text: &str) -> Option<String> {
    let version = text.split_once("version: ")?.1.split('/').nth(1)?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

/// How a child ended, a sentence.
pub fn ending(status: ExitStatus, last_words: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("Envoy ended with status {code}"),
        (_, Some(signal)) => format!("Envoy was ended by signal {signal}"),
        _ => "Envoy ended".to_owned(),
    };
    if last_words.is_empty() {
        how
    } else {
        format!("{how}: {last_words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_second_part() {
        let text = "\n/usr/local/bin/envoy  version: 9e55809/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(version_in(text).as_deref(), Some("1.40.0"));
        assert_eq!(version_in("bash, version 5"), None);
    }

    #[test]
    fn endings_are_sentences() {
        assert_eq!(
            ending(ExitStatus::from_raw(0x100), "bad file"),
            "Envoy ended with status 1: bad file"
        );
        assert_eq!(
            ending(ExitStatus::from_raw(9), ""),
            "Envoy was ended by signal 9"
        );
    }
}
