//! The crate against the kernel, over the loopback interface.

mod adopted;
mod bursts;
mod common;
mod datagrams;
mod errors;
mod host;
mod mtu;
mod no_allocation;
mod steering;
mod worker;
