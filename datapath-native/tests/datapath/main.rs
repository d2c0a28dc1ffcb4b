//! The eBPF programs in the kernel: packet tables through BPF_PROG_TEST_RUN, and traffic between network namespaces.
//! Needs root; without it each test is skipped with that reason.

mod cluster;
mod envoy;
mod features;
mod frame;
mod hostile;
mod layout;
mod lifecycle;
mod loader;
mod measure;
mod netns;
mod packets;
mod programs;
mod proxy;
mod run;
mod services;
mod sockets;
mod standin;
mod talk;
mod traffic;
mod world;
