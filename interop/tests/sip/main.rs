//! The SIP transport layer before phones, load generators, servers and proxies that others wrote.
//!
//! The layer runs in the test's process, on a thread of its own; the peer is a program, and both ends
//! are asked what they saw.

#![allow(
    clippy::disallowed_methods,
    reason = "real peers are waited for on the real clock"
)]

mod baresip;
mod browsers;
mod client;
mod dns;
mod edge;
mod forwarder;
mod haproxy;
mod identity;
mod kamailio;
mod lanes;
#[path = "../sockets/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "it has what the tests of sockets need too")]
#[path = "../sockets/pki.rs"]
mod pki;
mod responder;
mod served;
mod sipp;
mod sipsak;
mod switch;
mod torture;
mod unreachable;
mod wharfd;
