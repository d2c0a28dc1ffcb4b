//! Compiles bpf/*.bpf.c into OUT_DIR, where src/objects.rs embeds them, and turns the list of reasons in
//! bpf/layout.h into names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Oldest clang whose BPF back end the programs are written for.
const OLDEST_CLANG: u32 = 16;
const OBJECTS: [&str; 2] = ["tc", "sock"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let headers =
        PathBuf::from(env::var_os("DEP_BPF_INCLUDE").expect("libbpf-sys exports its headers"));
    let clang = find_clang();
    for name in OBJECTS {
        compile(
            &clang,
            &root.join(format!("bpf/{name}.bpf.c")),
            &out.join(format!("{name}.bpf.o")),
            &headers,
        );
    }
    let layout = fs::read_to_string(root.join("bpf/layout.h")).expect("bpf/layout.h");
    fs::write(out.join("reasons.rs"), reasons(&layout)).expect("OUT_DIR is writable");
}

fn find_clang() -> String {
    if let Ok(clang) = env::var("CLANG") {
        return clang;
    }
    let names = (OLDEST_CLANG..40).map(|version| format!("clang-{version}"));
    for name in names.chain(["clang".to_owned()]) {
        if version(&name).is_some_and(|version| version >= OLDEST_CLANG) {
            return name;
        }
    }
    panic!(
        "found no clang {OLDEST_CLANG} or newer to build the eBPF programs; install clang-{OLDEST_CLANG} or set CLANG"
    );
}

fn version(clang: &str) -> Option<u32> {
    let output = Command::new(clang).arg("-dumpversion").output().ok()?;
    String::from_utf8(output.stdout)
        .ok()?
        .split('.')
        .next()?
        .trim()
        .parse()
        .ok()
}

fn compile(clang: &str, source: &Path, object: &Path, headers: &Path) {
    let machine = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let uapi = match machine.as_str() {
        "x86_64" => "/usr/include/x86_64-linux-gnu",
        "aarch64" => "/usr/include/aarch64-linux-gnu",
        other => panic!("the eBPF programs are not built for {other} yet"),
    };
    let status = Command::new(clang)
        .args([
            "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
        ])
        .args([
            "-Wno-unused-parameter",
            "-Wno-missing-field-initializers",
            "-I",
        ])
        .arg(headers)
        .args(["-isystem", uapi, "-c"])
        .arg(source)
        .arg("-o")
        .arg(object)
        .status()
        .unwrap_or_else(|error| panic!("{clang} can't be run: {error}"));
    assert!(
        status.success(),
        "{clang} could not compile {}",
        source.display()
    );
}

/// `REASON_DEFAULT_DENY = 17,` becomes entry 17, "default-deny".
fn reasons(layout: &str) -> String {
    let mut names = Vec::new();
    for line in layout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("REASON_"))
    {
        let Some((name, rest)) = line.split_once(" = ") else {
            continue;
        };
        let number: usize = rest
            .split([',', ' '])
            .next()
            .and_then(|text| text.parse().ok())
            .expect("a number");
        if name == "MAX" {
            names.resize(number, String::new());
            break;
        }
        if names.len() <= number {
            names.resize(number + 1, String::new());
        }
        names[number] = name.to_lowercase().replace('_', "-");
    }
    assert!(
        names.len() > 16,
        "bpf/layout.h lists the reasons one a line"
    );
    format!(
        "/// Names by number; \"\" is not in use.\npub const REASON_NAMES: [&str; {}] = {names:?};\n",
        names.len()
    )
}
