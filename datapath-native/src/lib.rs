//! Weft's datapath below the agent: loads the eBPF programs, owns the pinned maps, decodes events. The addon
//! (crates/addon) is a thin shell around it. All calls block; none prints.

pub mod address;
mod apply;
mod backends;
mod clsact;
mod datapath;
mod error;
pub mod events;
mod grace;
pub mod layout;
pub mod links;
mod maglev;
mod maps;
mod metrics;
mod objects;
mod pods;
pub mod record;
pub mod records;
pub mod row;

pub use apply::{ParsedRow, RowError, Step, apply, dump, lookup_address, lookup_policy};
pub use datapath::{Datapath, Options, uninstall};
pub use error::{Error, Result};
pub use metrics::{MapUse, Reason};
pub use objects::Budgets;
