//! `weft-envoy`: first process of Envoy's pod. It starts Envoy when the agent of this node says so, restarts it when it
//! dies, drains it when the pod ends, and forwards its access records. One thread; nothing in it waits but poll.

mod admin;
mod agent;
mod args;
mod backlog;
mod child;
mod log;
mod machine;
#[cfg(test)]
mod machine_tests;
mod privileges;
mod ready;
mod records;
mod signals;
mod supervisor;
mod unix;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let status = match args::parse(&words) {
        Ok(args::Command::Help) => print(args::HELP.as_bytes(), 0),
        Ok(args::Command::Version) => print(
            concat!("weft-envoy ", env!("CARGO_PKG_VERSION"), "\n").as_bytes(),
            0,
        ),
        Ok(args::Command::Admin {
            method,
            path,
            run_dir,
        }) => ask(&run_dir, &method, &path),
        Ok(args::Command::Supervise(options)) => match supervisor::run(options) {
            Ok(()) => 0,
            Err(sentence) => complain(&sentence, 1),
        },
        Err(sentence) => complain(&sentence, 2),
    };
    std::process::exit(status);
}

fn ask(run_dir: &Path, method: &str, path: &str) -> i32 {
    let socket = run_dir.join("admin.sock");
    // A root without the capability to pass over permissions, as kubectl exec gives, becomes the socket's owner.
    let owner = std::fs::metadata(&socket).map(|socket| (socket.uid(), socket.gid()));
    if let Ok((uid, gid)) = owner
        && uid != 0
        && let Err(sentence) = privileges::drop_to(uid, gid)
    {
        return complain(&sentence, 1);
    }
    match admin::ask(&socket, method, path) {
        Ok((status, body)) => print(&body, i32::from(status != 200)),
        Err(error) => complain(
            &format!("Envoy does not answer: {error}; it runs only while there are HTTP rules"),
            1,
        ),
    }
}

fn print(bytes: &[u8], status: i32) -> i32 {
    let _ = std::io::stdout().write_all(bytes);
    status
}

fn complain(sentence: &str, status: i32) -> i32 {
    let _ = writeln!(std::io::stderr(), "weft-envoy: {sentence}");
    status
}
