//! The daemon as a process: its input, its service, its signals.
#![allow(clippy::disallowed_methods, reason = "a deadline needs the clock")]

mod certificates;
mod client;
mod dtls;
mod harness;
mod input;
mod proxies;
mod reload;
mod serving;
mod signals;
mod sip;
mod streams;
mod succession;
