//! Datagram listeners.

mod flows;
mod support;
