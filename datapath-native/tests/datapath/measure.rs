//! What the programs cost. Figures for the reader; nothing here fails on them.
//! `cargo test --test datapath measure -- --ignored --nocapture`

use std::os::fd::{AsFd, AsRawFd};

use crate::frame::*;
use crate::require_root;
use crate::run::run;
use crate::world::*;

#[test]
#[ignore = "prints figures"]
fn measure_verified_instructions() {
    require_root!();
    let w = node_namespace().run(|| World::new(false, vec![]));
    for prog in w.programs.tc.progs().chain(w.programs.sock.progs()) {
        let mut info = libbpf_sys::bpf_prog_info::default();
        let mut size = u32::try_from(size_of_val(&info)).expect("small");
        let fd = prog.as_fd().as_raw_fd();
        // SAFETY: info and its size are valid for writing.
        let result = unsafe {
            libbpf_sys::bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &raw mut size)
        };
        assert_eq!(result, 0);
        println!(
            "{:?}: {} instructions, {} verified",
            prog.name(),
            info.xlated_prog_len / 8,
            info.verified_insns
        );
    }
}

/// The least of many averages over 200 packets: the hop limit goes down with each.
#[test]
#[ignore = "prints figures"]
fn measure_established_packets() {
    require_root!();
    node_namespace().run(|| {
        for v6 in [false, true] {
            let mut w = World::new(v6, vec![]);
            let (a, b, remote, c) = (w.at.a, w.at.b, w.at.remote, w.at.c);
            w.expect(
                "open",
                Hook::FromPod(A),
                &tcp(a, 4000, b, 80, SYN),
                7,
                "POLICY_ALLOWED",
            );
            w.expect(
                "open",
                Hook::FromPod(C),
                &tcp(c, 4000, remote, 80, SYN),
                7,
                "NO_POLICY",
            );
            for (name, program, device, frame) in [
                ("same node", "weft_from_pod", A, tcp(a, 4000, b, 80, ACK)),
                (
                    "to another node",
                    "weft_from_pod",
                    C,
                    tcp(c, 4000, remote, 80, ACK),
                ),
                (
                    "from another node",
                    "weft_from_underlay",
                    UNDERLAY,
                    tcp(remote, 80, c, 4000, ACK),
                ),
                (
                    "not a pod's",
                    "weft_from_underlay",
                    UNDERLAY,
                    tcp(remote, 80, w.at.node, 4000, ACK),
                ),
                ("by the stack", "weft_to_pod", B, tcp(a, 4000, b, 80, ACK)),
            ] {
                let frame = frame.with_ttl(255);
                let least = (0..2000)
                    .map(|_| run(&w.programs, program, &frame, device, device, 200).ns)
                    .min();
                println!(
                    "IPv{}, {name}: {} ns a packet",
                    if v6 { 6 } else { 4 },
                    least.unwrap_or_default()
                );
            }
        }
    });
}
