//! One packet through one program.

use libbpf_rs::ProgramInput;

use crate::frame::Frame;
use crate::programs::Programs;

pub const PASS: u32 = 0;
pub const DROPPED: u32 = 2;
pub const REDIRECT: u32 = 7;

const SK_BUFF: usize = 192;
const MARK: usize = 8;
const INGRESS_IFINDEX: usize = 36;
const IFINDEX: usize = 40;

pub struct Outcome {
    pub verdict: u32,
    pub frame: Frame,
    pub mark: u32,
    pub ns: u128,
}

/// ingress: the device that the packet came in by, 0 if this node made it.
pub fn run(
    programs: &Programs,
    program: &str,
    frame: &Frame,
    device: u32,
    ingress: u32,
    repeat: u32,
) -> Outcome {
    let prog = programs
        .tc
        .progs_mut()
        .find(|p| p.name() == program)
        .expect("program");
    let mut context = vec![0_u8; SK_BUFF];
    context[INGRESS_IFINDEX..INGRESS_IFINDEX + 4].copy_from_slice(&ingress.to_ne_bytes());
    context[IFINDEX..IFINDEX + 4].copy_from_slice(&device.to_ne_bytes());
    let mut context_out = vec![0_u8; SK_BUFF];
    let mut data = vec![0_u8; 2048];
    let input = ProgramInput {
        context_in: Some(&mut context),
        context_out: Some(&mut context_out),
        data_in: Some(&frame.0),
        data_out: Some(&mut data),
        repeat,
        ..Default::default()
    };
    let output = prog
        .test_run(input)
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let verdict = output.return_value;
    let ns = output.duration.as_nanos();
    let frame = Frame(output.data.expect("asked for").to_vec());
    let mark = u32::from_ne_bytes(context_out[MARK..MARK + 4].try_into().expect("4"));
    Outcome {
        verdict,
        frame,
        mark,
        ns,
    }
}
