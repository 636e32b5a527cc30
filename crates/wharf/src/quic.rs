//! QUIC (RFC 9000), on quinn: streams of bytes and datagrams, under the same control plane as
//! everything else.
//!
//! A connection of QUIC is one connection here: counted, limited, listed and drained as one of TCP.
//! What its handler gets is the handler's kind:
//!
//! | handler | called |
//! |---|---|
//! | [`Handler::stream`](crate::Handler::stream) | for each bidirectional stream, in a task of its own |
//! | [`Handler::messages`](crate::Handler::messages) | once, with the datagrams (RFC 9221) |
//! | [`Handler::both`](crate::Handler::both) | the two above, side by side |
//! | [`Handler::quic`](crate::Handler::quic) | once, with the connection itself: HTTP/3 with `h3-quinn` |
//!
//! ALPN chooses among several by [`Handlers`](crate::Handlers). A stream whose handler panics is
//! reset with the code 1, and its connection goes on. A connection ends when its peer or the server
//! closes it, or when the handler that has it as a whole returns; streams that end in order are
//! waited for until the peer has taken all. A drain opens no more streams, and closes each connection
//! with `quic.drain-code` when its last handler has returned.
//!
//! With `accept.reuse-port` an address has `accept.acceptors` endpoints, each with a socket of its own, whose
//! packets are read and sent side by side. Connection ids name the endpoint, and the kernel leads packets by
//! them, so that clients may change their addresses.
//!
//! Under pressure (`quic.retry`) clients prove their address with a Retry packet before anything is
//! kept of them; [`Stats::challenged`](crate::Stats::challenged) counts these.
//!
//! ```no_run
//! use wharf::{BoxError, Quic, Server, Stream};
//!
//! async fn echo(stream: Stream) -> Result<(), BoxError> {
//!     let (mut reader, mut writer) = tokio::io::split(stream);
//!     tokio::io::copy(&mut reader, &mut writer).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let quic = Quic::bind("[::]:4433").cert("cert.pem", "key.pem").alpn(["echo"]);
//! Server::builder().listen("echo", quic, echo).build()?.run().await;
//! # Ok(())
//! # }
//! ```

mod configs;
mod connection;
mod crypto;
mod datagrams;
mod dial;
mod fault;
mod front;
mod gate;
mod handshake;
mod patience;
mod seat;
mod serve;
mod stream;
mod transport;

/// The crate inside, whose types [`QuicConnection`] and [`IntoInner`](crate::IntoInner) hand out.
pub use quinn;

pub(crate) use configs::Configs;
pub use connection::QuicConnection;
pub(crate) use dial::{Dialer, Wanted};
pub(crate) use front::{Front, run};
pub(crate) use seat::Seat;
pub(crate) use serve::Established;
pub(crate) use stream::QuicStream;
pub(crate) use transport::Takes;
