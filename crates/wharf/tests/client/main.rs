//! The client, against our server.

mod control;
mod errors;
mod proxy;
mod support;
mod transports;
