//! DTLS 1.2 (RFC 6347): sessions over UDP as [`Messages`](crate::Messages). A [`Client`](crate::Client)
//! has them for `dtls://host:port`.
//!
//! A client that has not proven its address is answered with a cookie, from one buffer and without
//! any memory of it; only one that comes back with a good cookie is an arrival, and then goes the
//! way of all: limits, access, hooks, the deadline for handshakes, ALPN. Lost flights are sent
//! again. A message is a record: it may be lost and overtaken, it is never doubled, and it fits into
//! a datagram of `dtls.mtu`.
//!
//! With `dtls.cookie` cookies are asked for only under pressure, or of those of whom
//! [`Builder::admit`](crate::Builder::admit) wants a proof; [`Builder::client_hello`](crate::Builder::client_hello)
//! is asked about each hello, and may choose a [`ServerContext`] of its own.
//!
//! Certificates, their reload and client certificates are those of TLS; pre-shared keys are
//! `dtls.psk`. A client that has lost its session and begins another from the same address proves
//! its address again; then the old one ends.
//!
//! ```no_run
//! use wharf::{BoxError, Dtls, Messages, Server};
//!
//! async fn echo(mut messages: Messages) -> Result<(), BoxError> {
//!     while let Some(message) = messages.recv().await {
//!         messages.send(message?).await?;
//!     }
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let dtls = Dtls::bind("[::]:4433").cert("cert.pem", "key.pem");
//! Server::builder().listen_messages("echo", dtls, echo).build()?.run().await;
//! # Ok(())
//! # }
//! ```

mod context;
mod dial;
mod front;
mod handshake;
mod link;

pub use wharf_dtls::{ClientAuth, ConfigError, Identity, Psk, ServerContext, ServerOptions};

pub(crate) use context::build;
pub(crate) use dial::{Dialled, dial};
pub(crate) use front::DtlsFront;
/// How a session fails.
pub use wharf_dtls::Failure;
