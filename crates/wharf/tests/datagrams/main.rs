//! Datagram listeners.

mod flows;
mod rules;
mod single;
mod support;
