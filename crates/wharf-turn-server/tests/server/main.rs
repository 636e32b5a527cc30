//! The whole server on loopback, seen from its clients and its peers.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests run the crate that owns the clock"
)]

mod account;
mod across;
mod backend;
mod client;
mod credentials;
mod descriptors;
mod drain;
mod dtls;
mod families;
mod flood;
mod hooks;
mod icmp;
mod kernel_drops;
mod legacy;
mod live_changes;
mod no_allocation;
mod options;
mod own_addresses;
mod path;
mod ports;
mod relay;
mod reservation;
mod start;
mod stream;
mod support;
mod wildcard;
