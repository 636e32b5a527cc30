//! WebSocket (RFC 6455): the upgrade, messages, and bytes over messages, on any byte connection.
//!
//! [`server::upgrade`] and [`client::handshake`] turn a byte connection into one that a [`WebSocket`]
//! speaks on; [`WebSocketBytes`] makes a stream of it. Extensions are not offered and not accepted,
//! so a message is never compressed.
//!
//! The frames are read and written here because of memory: fifteen thousand idle connections share
//! one read buffer a thread, where a codec that owns its buffers keeps 8 KiB for each.

mod bytes;
pub mod client;
pub mod close;
mod connection;
mod error;
mod frame;
mod head;
mod inbound;
mod keepalive;
mod key;
mod mask;
mod outbound;
mod refusal;
mod request;
pub mod server;
mod utf8;
mod wakers;

pub use self::bytes::WebSocketBytes;
pub use self::close::Close;
pub use self::connection::WebSocket;
pub use self::error::{Error, Violation};
pub use self::refusal::{Refusal, UpgradeError};
pub use self::request::UpgradeRequest;

#[cfg(test)]
mod tests;
