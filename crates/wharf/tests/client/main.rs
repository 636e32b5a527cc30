//! The client, against our server.

mod addresses;
mod change;
mod control;
mod datagrams;
#[cfg(feature = "dtls")]
mod dtls;
mod errors;
mod keep;
mod pool;
mod proxy;
mod quic;
#[cfg(feature = "sctp")]
mod sctp;
mod support;
mod transports;
