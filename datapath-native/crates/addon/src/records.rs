//! Access records for JavaScript, by column as events are (flow.rs).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use napi::bindgen_prelude::{BigUint64Array, Float64Array, FnArgs};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Result, Status};
use napi_derive::napi;
use weft_datapath::record::Record;
use weft_datapath::records::{Batch, RecordServer};

use crate::row::whole;
use crate::task::rejected;

/// Numbers and texts of one record; records.js reads them in this order.
const NUMBERS: usize = 8;
const TEXTS: usize = 11;

#[napi(object)]
pub struct JsRecordsOptions {
    pub path: String,
    pub group: f64,
}

#[napi(object, object_from_js = false)]
pub struct RecordColumns {
    /// Each text of each record, with a line end.
    pub texts: String,
    /// See `numbers`; an upstream port of -1 is none.
    pub numbers: Float64Array,
    pub listeners: BigUint64Array,
    pub lost: f64,
}

type Arguments = FnArgs<(RecordColumns,)>;
/// At most two batches wait for JavaScript.
type Callback = ThreadsafeFunction<Arguments, (), Arguments, Status, false, false, 2>;

#[napi]
pub struct NativeRecordServer {
    server: Mutex<Option<RecordServer>>,
}

#[napi]
impl NativeRecordServer {
    #[napi]
    pub fn stop(&self) {
        let server = self
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(server);
    }
}

#[napi]
pub fn serve_records(options: JsRecordsOptions, callback: Callback) -> Result<NativeRecordServer> {
    let group = whole("group", options.group).map_err(rejected)?;
    let deliver = move |batch: Batch| {
        let columns = columns(&batch);
        callback.call((columns,).into(), ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok
    };
    let server = RecordServer::start(Path::new(&options.path), group, deliver).map_err(rejected)?;
    Ok(NativeRecordServer {
        server: Mutex::new(Some(server)),
    })
}

fn columns(batch: &Batch) -> RecordColumns {
    let count = batch.records.len();
    let mut all_texts = String::with_capacity(count * 256);
    let mut all_numbers = Vec::with_capacity(count * NUMBERS);
    for record in &batch.records {
        let addresses = [
            record.source.ip().to_string(),
            record.destination.ip().to_string(),
            record
                .upstream
                .map_or_else(String::new, |end| end.ip().to_string()),
        ];
        for text in texts(record, &addresses) {
            all_texts.push_str(text);
            all_texts.push('\n');
        }
        all_numbers.extend(numbers(record));
    }
    RecordColumns {
        texts: all_texts,
        numbers: Float64Array::new(all_numbers),
        listeners: BigUint64Array::new(batch.records.iter().map(|one| one.listener).collect()),
        lost: batch.lost as f64,
    }
}

fn texts<'a>(
    record: &'a Record,
    [source, destination, upstream]: &'a [String; 3],
) -> [&'a str; TEXTS] {
    [
        &record.route,
        &record.method,
        &record.path,
        &record.authority,
        &record.protocol,
        &record.flags,
        &record.details,
        source,
        destination,
        upstream,
        &record.user_agent,
    ]
}

fn numbers(record: &Record) -> [f64; NUMBERS] {
    let port = |end: SocketAddr| f64::from(end.port());
    [
        record.time_ms as f64,
        record.status.into(),
        record.duration_ms as f64,
        record.received as f64,
        record.sent as f64,
        port(record.source),
        port(record.destination),
        record.upstream.map_or(-1.0, port),
    ]
}
