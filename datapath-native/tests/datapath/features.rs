//! What this kernel has of what Weft uses, for the table in docs/kernels.md: lines `FEATURE name yes` or `no`, written to
//! the file that WEFT_FEATURES names.

use std::fmt::Write as _;

use libbpf_sys::*;
use weft_datapath::links::has_tcx;

use crate::require_root;

/// Functions that packet programs call.
const HELPERS: [(&str, bpf_func_id); 8] = [
    ("bpf_sk_assign", BPF_FUNC_sk_assign),
    ("bpf_skc_lookup_tcp", BPF_FUNC_skc_lookup_tcp),
    ("bpf_redirect_neigh", BPF_FUNC_redirect_neigh),
    ("bpf_redirect_peer", BPF_FUNC_redirect_peer),
    ("bpf_fib_lookup", BPF_FUNC_fib_lookup),
    ("bpf_ringbuf_reserve", BPF_FUNC_ringbuf_reserve),
    ("bpf_ktime_get_coarse_ns", BPF_FUNC_ktime_get_coarse_ns),
    ("bpf_loop", BPF_FUNC_loop),
];

fn has_helper(helper: bpf_func_id) -> bool {
    // SAFETY: options are not used yet.
    let found =
        unsafe { libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, helper, std::ptr::null()) };
    assert!(found >= 0, "{}", std::io::Error::from_raw_os_error(-found));
    found == 1
}

#[test]
fn this_kernel_has_what_cannot_be_replaced() {
    require_root!();
    let helpers = HELPERS.map(|(name, helper)| (name, has_helper(helper)));
    let mut report = String::new();
    for (name, found) in [("tcx", has_tcx())].into_iter().chain(helpers) {
        let answer = if found { "yes" } else { "no" };
        writeln!(report, "FEATURE {name} {answer}").expect("a string");
    }
    if let Ok(file) = std::env::var("WEFT_FEATURES") {
        std::fs::write(file, &report).expect("a file");
    }
    assert!(helpers.iter().all(|(_, found)| *found), "{report}");
}
