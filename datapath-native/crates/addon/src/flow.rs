//! Events for JavaScript, by column: one string and two arrays for a whole batch, because making an object with its
//! twenty properties across the border costs ten times what index.js needs to build it from these.

use napi::Status;
use napi::bindgen_prelude::{BigUint64Array, Float64Array, FnArgs};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use weft_datapath::address;
use weft_datapath::events::Batch;
use weft_datapath::layout::{Addr, DIRECTION_NAMES, EVENT_NAMES, Event, REASON_NAMES};

/// Numbers of one event; index.js reads them in this order.
const NUMBERS: usize = 15;

#[napi(object, object_from_js = false)]
pub struct Columns {
    /// Source, destination and Service address ("" is none) of each event, each with a line end.
    pub addresses: String,
    /// See `numbers`; "none" is all ones of the field's width.
    pub numbers: Float64Array,
    /// Egress and ingress set of each event; 0 is none.
    pub sets: BigUint64Array,
    pub lost: f64,
}

/// Names by the numbers in the columns.
#[napi(object, object_from_js = false)]
pub struct FlowNames {
    pub types: Vec<&'static str>,
    pub reasons: Vec<&'static str>,
    pub directions: Vec<&'static str>,
}

#[napi]
pub fn flow_names() -> FlowNames {
    FlowNames {
        types: EVENT_NAMES.to_vec(),
        reasons: REASON_NAMES.to_vec(),
        directions: DIRECTION_NAMES.to_vec(),
    }
}

type Arguments = FnArgs<(Columns,)>;
/// At most two batches wait for JavaScript.
pub type Callback = ThreadsafeFunction<Arguments, (), Arguments, Status, false, false, 2>;

/// False if JavaScript does not keep up.
pub fn deliver(callback: &Callback, batch: Batch) -> bool {
    let columns = columns(&batch);
    callback.call((columns,).into(), ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok
}

fn columns(batch: &Batch) -> Columns {
    let mut addresses = String::with_capacity(batch.events.len() * 32);
    let mut counts = Vec::with_capacity(batch.events.len() * NUMBERS);
    let mut sets = Vec::with_capacity(batch.events.len() * 2);
    for event in &batch.events {
        push_line(&mut addresses, &event.src);
        push_line(&mut addresses, &event.dst);
        if address::is_zero(&event.service) {
            addresses.push('\n');
        } else {
            push_line(&mut addresses, &event.service);
        }
        counts.extend(numbers(event, batch.clock_offset_ns));
        sets.extend([event.egress_set, event.ingress_set]);
    }
    Columns {
        addresses,
        numbers: Float64Array::new(counts),
        sets: BigUint64Array::new(sets),
        lost: batch.lost as f64,
    }
}

fn push_line(text: &mut String, addr: &Addr) {
    text.push_str(&address::format(addr));
    text.push('\n');
}

fn numbers(event: &Event, offset_ns: i128) -> [f64; NUMBERS] {
    let time_ms = (i128::from(event.time_ns) + offset_ns) / 1_000_000;
    [
        time_ms as f64,
        event.kind.into(),
        event.reason.into(),
        event.dir.into(),
        event.proto.into(),
        u16::from_be(event.sport_be).into(),
        u16::from_be(event.dport_be).into(),
        u16::from_be(event.service_port_be).into(),
        event.reply.into(),
        event.src_slot.into(),
        event.dst_slot.into(),
        event.egress_rule.into(),
        event.ingress_rule.into(),
        event.packets as f64,
        event.bytes as f64,
    ]
}
