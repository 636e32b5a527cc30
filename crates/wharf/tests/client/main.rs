//! The client, against our server.

mod addresses;
mod change;
mod control;
mod errors;
mod keep;
mod pool;
mod proxy;
mod quic;
mod support;
mod transports;
