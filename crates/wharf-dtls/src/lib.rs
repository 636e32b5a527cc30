//! DTLS 1.2 (RFC 6347) without a socket: a stateless cookie front, and sessions on OpenSSL with
//! memory buffers.
//!
//! A server asks its [`Front`] about each datagram from a peer without a session. The front answers
//! ClientHellos with cookies and keeps nothing, until one comes back with a good cookie; that one
//! begins a [`Session`]. A client begins one with [`Session::connect`]. Then datagrams go in
//! ([`Session::handle_datagram`]), datagrams come out ([`Session::transmit`]), messages are sent and
//! received, and at [`Session::deadline`] lost flights are sent again.
//!
//! The crate opens no socket and makes no task. `now`, addresses and the secrets of cookies are
//! arguments. What it leaves to OpenSSL is OpenSSL's: the randomness of handshakes, and the clock
//! that its retransmission timer and the validity of certificates go by.
//!
//! DTLS 1.0 is not spoken. Renegotiation is refused. Session tickets are served, but a client of
//! this crate does not resume: that takes a call which the safe interface to OpenSSL does not have.
//!
//! ```
//! use std::time::Instant;
//! use wharf_dtls::{ClientContext, ClientOptions, Psk, ServerContext, ServerOptions};
//!
//! let psk = Psk::new("meter-17", *b"0123456789abcdef");
//! let server = ServerContext::new(&ServerOptions {
//!     psk: vec![psk.clone()],
//!     ..ServerOptions::default()
//! })?;
//! let client = ClientContext::new(&ClientOptions {
//!     psk: Some(psk),
//!     ..ClientOptions::default()
//! })?;
//! # let _ = (server, client, Instant::now());
//! # Ok::<(), wharf_dtls::ConfigError>(())
//! ```

mod client;
mod context;
mod cookie;
mod error;
mod front;
mod hello;
mod memory;
mod names;
mod options;
mod record;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod timer;

pub use client::{ClientContext, ServerName};
pub use error::{ConfigError, Failure};
pub use front::{Front, Outcome, Verified, refusal};
pub use hello::{Ignored, hello_random};
pub use options::{
    ClientAuth, ClientOptions, DEFAULT_MTU, Identity, MTU_RANGE, Psk, ServerOptions,
};
pub use server::ServerContext;
pub use session::{Info, MAX_MESSAGE, Received, SendError, Session};
