//! Datagrams in batches: a handler for each worker thread, called once for each burst.
//!
//! For services that answer most datagrams at once and keep their own state, such as DNS, STUN, game or
//! telemetry servers. A listener made with [`Builder::listen_batch`](crate::Builder::listen_batch) has
//! `datagrams.workers` threads for each of its addresses, each with a socket and a handler of its own.
//! On the way of a datagram there is no task, no lock and no allocation; what is to be sent leaves once a
//! turn, in as few system calls as the kernel allows. (`rates.datagrams-per-prefix`, where it is set, takes a
//! lock: its table belongs to the listener.)
//!
//! Before the handler, and counted like everywhere: `access`, `datagrams.max-size`,
//! `rates.datagrams-per-prefix` and `datagrams.health-check`. There are no connections, so limits and
//! timeouts of connections have no meaning here, nor has the PROXY protocol.
//!
//! `suspend` leaves datagrams in the sockets' buffers, where the kernel drops what does not fit. When the
//! listener stops or the server drains, each worker ends after the turn that it is in.
//!
//! ```no_run
//! use wharf::batch::{BatchHandler, Burst, Turn};
//! use wharf::{BoxError, Server, Udp};
//!
//! struct Echo;
//!
//! impl BatchHandler for Echo {
//!     fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
//!         for datagram in burst.datagrams() {
//!             turn.reply_with(&datagram, b"", 0..datagram.payload.len());
//!         }
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), BoxError> {
//!     let server = Server::builder()
//!         .listen_batch("echo", Udp::bind("[::]:7000"), |_seat| Echo)
//!         .build()?;
//!     server.run_until(async { tokio::signal::ctrl_c().await.unwrap() }).await;
//!     Ok(())
//! }
//! ```

use std::net::SocketAddr;

pub use wharf_udp::{
    BatchHandler, Burst, Datagram, IcmpError, MAX_PADDING, Outgoing, Piece, Received, Socket,
    SocketKey, SocketOptions, Turn, Via, Waker,
};

/// For whom a handler is made.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Which of the workers of this address it is, from 0. With `datagrams.steering` by payload, this is the
    /// number modulo `count` that leads to it.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    /// The address of the worker's socket.
    pub local: SocketAddr,
    /// Whether the socket takes IPv4 beside IPv6: one of `[::]` without `socket.dual-stack = "ipv6-only"`.
    pub is_dual: bool,
    /// Set from any thread, it has the worker call [`BatchHandler::woken`].
    pub waker: Waker,
}
