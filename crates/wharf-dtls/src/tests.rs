//! Clients and servers in memory, on a network that loses, doubles and reorders when it is told to.

mod authority;
mod front;
mod handshake;
mod loss;
pub(crate) mod net;
mod records;
