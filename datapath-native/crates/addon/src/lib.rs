//! `bpf-loader-napi`: the datapath, rtnetlink and socket credentials for Node. index.js turns this into what
//! index.d.ts promises; whatever may take long runs on libuv's worker threads.

mod constants;
mod datapath;
mod flow;
mod memory;
mod netlink;
mod records;
mod row;
mod task;
