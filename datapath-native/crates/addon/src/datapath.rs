//! The class behind index.js's Datapath.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Result;
use napi_derive::napi;
use weft_datapath::events::Subscription;
use weft_datapath::layout::DIRECTION_NAMES;
use weft_datapath::row::{PolicyRow, Row, Table};
use weft_datapath::{Datapath, Options, address};

use crate::flow::{Callback, deliver};
use crate::row::{JsRow, JsStep, id, named, parse_step, whole};
use crate::task::{Promise, blocking, rejected};

#[napi(object)]
pub struct JsOptions {
    pub pin_dir: String,
    pub cgroup: String,
    pub underlay: String,
    #[napi(js_name = "nodeIPv4")]
    pub node_ipv4: Option<String>,
    #[napi(js_name = "nodeIPv6")]
    pub node_ipv6: Option<String>,
    pub budgets: Option<HashMap<String, f64>>,
}

#[napi(object)]
pub struct JsRowError {
    pub step: u32,
    pub row: u32,
    pub message: String,
}

#[napi(object)]
pub struct JsMetric {
    pub reason: String,
    pub packets: f64,
    pub bytes: f64,
}

#[napi(object)]
pub struct JsMapUse {
    pub name: String,
    pub entries: u32,
    pub budget: u32,
}

#[napi(object)]
pub struct JsPolicyQuery {
    pub set: napi::bindgen_prelude::BigInt,
    pub class: napi::bindgen_prelude::BigInt,
    pub direction: String,
    pub protocol: f64,
    pub port: f64,
}

/// Rows that are turned into objects a few at a time.
#[napi]
pub struct Snapshot {
    rows: std::vec::IntoIter<Row>,
}

#[napi]
impl Snapshot {
    /// The next rows, at most `count`; none at the end.
    #[napi]
    pub fn next(&mut self, count: u32) -> Vec<JsRow> {
        self.rows
            .by_ref()
            .take(count as usize)
            .map(JsRow::from)
            .collect()
    }
}

#[derive(Default)]
struct State {
    datapath: Option<Arc<Datapath>>,
    subscription: Option<Subscription>,
}

#[napi]
pub struct NativeDatapath {
    state: Mutex<State>,
    #[napi(readonly)]
    pub adopted: bool,
}

#[napi]
impl NativeDatapath {
    #[napi]
    pub fn attach_pods(&self, ifindexes: Vec<f64>) -> Result<Promise<()>> {
        let checked: std::result::Result<Vec<u32>, String> = ifindexes
            .into_iter()
            .map(|ifindex| whole("ifindex", ifindex))
            .collect();
        let checked = checked.map_err(rejected)?;
        self.with(move |datapath| datapath.attach_pods(&checked).map_err(rejected))
    }

    #[napi]
    pub fn attach_proxy(
        &self,
        ifindex: f64,
        netns: String,
        interface_name: String,
    ) -> Result<Promise<()>> {
        let ifindex = whole("ifindex", ifindex).map_err(rejected)?;
        self.with(move |datapath| {
            datapath
                .attach_proxy(ifindex, Path::new(&netns), &interface_name)
                .map_err(rejected)
        })
    }

    #[napi]
    pub fn detach_pod(&self, ifindex: f64) -> Result<Promise<()>> {
        let ifindex = whole("ifindex", ifindex).map_err(rejected)?;
        self.with(move |datapath| datapath.detach_pod(ifindex).map_err(rejected))
    }

    #[napi]
    pub fn attached_pods(&self) -> Result<Promise<Vec<u32>>> {
        self.with(|datapath| datapath.attached_pods().map_err(rejected))
    }

    #[napi]
    pub fn apply(&self, steps: Vec<JsStep>) -> Result<Promise<Vec<JsRowError>>> {
        let steps: std::result::Result<Vec<_>, String> =
            steps.into_iter().map(parse_step).collect();
        let steps = steps.map_err(rejected)?;
        self.with(move |datapath| {
            let _writing = datapath.write_lock();
            let errors = weft_datapath::apply(datapath.maps(), &steps).into_iter();
            Ok(errors
                .map(|error| JsRowError {
                    step: error.step,
                    row: error.row,
                    message: error.message,
                })
                .collect())
        })
    }

    #[napi]
    pub fn dump(&self, table: String) -> Result<Promise<Snapshot>> {
        let table = Table::parse(&table).map_err(rejected)?;
        self.with(move |datapath| {
            let _writing = datapath.write_lock();
            let rows = weft_datapath::dump(datapath.maps(), table).map_err(rejected)?;
            Ok(Snapshot {
                rows: rows.into_iter(),
            })
        })
    }

    #[napi]
    pub fn lookup_address(&self, text: String) -> Result<Promise<Option<JsRow>>> {
        let addr = address::parse(&text).map_err(rejected)?;
        self.with(move |datapath| {
            let found = weft_datapath::lookup_address(datapath.maps(), addr).map_err(rejected)?;
            Ok(found.map(JsRow::from))
        })
    }

    #[napi]
    pub fn lookup_policy(&self, query: JsPolicyQuery) -> Result<Promise<Option<JsRow>>> {
        let packet = parse_query(&query).map_err(rejected)?;
        self.with(move |datapath| {
            let found = weft_datapath::lookup_policy(datapath.maps(), &packet).map_err(rejected)?;
            Ok(found.map(JsRow::from))
        })
    }

    #[napi]
    pub fn metrics(&self) -> Result<Promise<Vec<JsMetric>>> {
        self.with(|datapath| {
            let reasons = datapath.metrics().map_err(rejected)?.into_iter();
            Ok(reasons
                .map(|reason| JsMetric {
                    reason: reason.name.to_owned(),
                    packets: reason.packets as f64,
                    bytes: reason.bytes as f64,
                })
                .collect())
        })
    }

    #[napi]
    pub fn map_use(&self) -> Result<Promise<Vec<JsMapUse>>> {
        self.with(|datapath| {
            let maps = datapath.map_use().map_err(rejected)?.into_iter();
            Ok(maps
                .map(|map| JsMapUse {
                    name: map.name,
                    entries: map.entries,
                    budget: map.budget,
                })
                .collect())
        })
    }

    #[napi]
    pub fn subscribe(&self, callback: Callback) -> Result<()> {
        let mut state = self.lock();
        if state.subscription.is_some() {
            return Err(rejected("events has a subscriber already; stop it first"));
        }
        let datapath = state.datapath.clone().ok_or_else(closed)?;
        let subscription = Subscription::start(datapath, move |batch| deliver(&callback, batch))
            .map_err(rejected)?;
        state.subscription = Some(subscription);
        Ok(())
    }

    #[napi]
    pub fn unsubscribe(&self) {
        let subscription = self.lock().subscription.take();
        drop(subscription);
    }

    #[napi]
    pub fn close(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state);
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Datapath) -> Result<T> + Send + 'static,
    ) -> Result<Promise<T>>
    where
        T: Send + napi::bindgen_prelude::ToNapiValue + napi::bindgen_prelude::TypeName + 'static,
    {
        let datapath = self.lock().datapath.clone().ok_or_else(closed)?;
        Ok(blocking(move || work(&datapath)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> napi::Error {
    rejected("the datapath is closed")
}

fn parse_query(query: &JsPolicyQuery) -> std::result::Result<PolicyRow, String> {
    Ok(PolicyRow {
        set: id("set", Some(&query.set))?,
        direction: named("direction", Some(&query.direction), &DIRECTION_NAMES)?,
        class: id("class", Some(&query.class))?,
        protocol: whole("protocol", query.protocol)?,
        port: whole("port", query.port)?,
        port_bits: 16,
        verdict: 0,
        rule: 0,
        proxy_port: 0,
    })
}

fn parse_options(options: JsOptions) -> std::result::Result<Options, String> {
    let budgets = options.budgets.unwrap_or_default().into_iter();
    let budget = |(name, entries): (String, f64)| match whole::<u32>("budget", entries)? {
        0 => Err(format!("the budget of {name} is 0")),
        entries => Ok((name, entries)),
    };
    Ok(Options {
        pin_dir: options.pin_dir.into(),
        cgroup: options.cgroup.into(),
        underlay: options.underlay,
        node_ipv4: options
            .node_ipv4
            .as_deref()
            .map(address::parse)
            .transpose()?,
        node_ipv6: options
            .node_ipv6
            .as_deref()
            .map(address::parse)
            .transpose()?,
        budgets: budgets
            .map(budget)
            .collect::<std::result::Result<_, String>>()?,
    })
}

#[napi]
pub fn open(options: JsOptions) -> Result<Promise<NativeDatapath>> {
    let options = parse_options(options).map_err(rejected)?;
    Ok(blocking(move || {
        let datapath = Datapath::open(&options).map_err(rejected)?;
        let adopted = datapath.adopted;
        let state = State {
            datapath: Some(Arc::new(datapath)),
            subscription: None,
        };
        Ok(NativeDatapath {
            state: Mutex::new(state),
            adopted,
        })
    }))
}

#[napi]
pub fn uninstall(pin_dir: String) -> Promise<()> {
    blocking(move || weft_datapath::uninstall(Path::new(&pin_dir)).map_err(rejected))
}
