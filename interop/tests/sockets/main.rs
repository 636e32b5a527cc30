//! The library's listeners before clients and proxies that others wrote.
//!
//! The server runs in the test's process, on a thread of its own; the peer is a program, and both
//! ends are asked what they saw.

#![allow(
    clippy::disallowed_methods,
    reason = "real peers are waited for on the real clock"
)]

mod addresses;
mod browser;
mod conformance;
mod datagram_clients;
mod datagrams;
mod dtls;
mod kernel_sctp;
mod namespace;
mod pki;
mod proxy;
mod quic;
mod sctp;
mod served;
mod tls;
mod tls_clients;
mod unix;
mod upgrades;
