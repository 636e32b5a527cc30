//! Socket servers for Linux: named listeners over TCP, TLS, Unix streams and datagrams, WebSocket, WSS,
//! UDP, DTLS, SCTP and QUIC, under one live control plane.
//!
//! A user's function gets a [`Stream`] of bytes, or [`Messages`]; the library has accepted, judged,
//! counted and encrypted the connection before, and goes on timing, pacing and draining it. It is no
//! protocol: HTTP, a line protocol or anything else runs inside the function. It runs on tokio, has
//! no global state (any number of servers in a process, on any runtime), and reads only what it is
//! configured to read.
//!
//! ```no_run
//! use wharf::{BoxError, Server, Stream, Tcp, Tls, Unix, Ws, Wss};
//!
//! async fn echo(stream: Stream) -> Result<(), BoxError> {
//!     let (mut reader, mut writer) = tokio::io::split(stream);
//!     tokio::io::copy(&mut reader, &mut writer).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let server = Server::builder()
//!     .listen("tcp", Tcp::bind("[::]:7000"), echo)
//!     .listen("tls", Tls::bind("[::]:7001").cert("cert.pem", "key.pem"), echo)
//!     .listen("unix", Unix::bind("/run/echo.sock").mode(0o660), echo)
//!     .listen("ws", Ws::bind("[::]:7002"), echo)
//!     .listen("wss", Wss::bind("[::]:7003").cert("cert.pem", "key.pem"), echo)
//!     .build()?;
//! let handle = server.handle();
//! let report = server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
//! println!("{report}; {:?}", handle.stats());
//! # Ok(())
//! # }
//! ```
//!
//! # From the kernel to the function
//!
//! ```text
//! accept ─▶ access, rates, limits ─▶ PROXY header ─▶ the real peer: ─▶ admit hook ─▶ TLS ─▶ WebSocket ─▶ handler
//!           of the socket's peer     if trusted      access, prefixes                        upgrade
//!           no byte read, no task    deadline                                      one deadline for both
//! ```
//!
//! Who is refused at a stage costs nothing of the stages behind it. Each refusal has a reason
//! ([`Refusal`]), and so has each end of a connection that reached its handler ([`Closed`]); both
//! are counted once, so that at rest
//! `arrived = pending + accepted + Σ refused` and `accepted = live + Σ closed` ([`Stats`]).
//!
//! # Where to look
//!
//! | to … | see |
//! |---|---|
//! | say where and what to listen | [`Tcp`], [`Tls`], [`Unix`], [`Ws`], [`Wss`], [`Udp`], [`Unixgram`], `Dtls`, [`Sctp`], `Quic`, [`Listen`] |
//! | serve bytes, messages, datagrams, or whole messages of a codec | [`Stream`], [`Messages`], [`Datagrams`], [`Session`] |
//! | choose a handler by ALPN or first bytes, refuse arrivals, pick a TLS configuration | [`Handlers`], [`Builder::admit`], [`Builder::client_hello`] |
//! | connect, with the same shapes and options | [`Client`] |
//! | connect again when a connection is lost; use connections again | [`Client::keep`], [`Client::pool`] |
//! | know who is at the other end | [`Connection`], [`Path`] |
//! | read options from TOML or a URL, check them, plan a change | [`config`] |
//! | change, inspect, suspend, drain what runs | [`Handle`] |
//! | replace the program without losing a connection | [`handover`] |
//! | hear what happens | [`events`], [`Handle::stats`], [`Handle::health`], module `prometheus` (feature `prometheus`) |
//! | test without a network | module `testkit` (feature `testkit`) |
//! | use a part alone, on any byte connection | [`proxy`], [`tls`], [`websocket`], [`sockets`] |
//!
//! # Limits and the memory they bound
//!
//! | what | option | default |
//! |---|---|---|
//! | connections of the server | `limits.max-connections` | 100,000 |
//! | bytes that wait in `Session` and write buffers of the server | `limits.memory` | 256 MiB |
//! | connections of a listener | `listeners.NAME.limits.max-connections` | the server's |
//! | its pending handshakes | `limits.max-handshakes` | 4,096 |
//! | connections of a source prefix | `limits.per-prefix` | none |
//! | pending handshakes of a source prefix | `limits.handshakes-per-prefix` | 256 |
//! | prefixes remembered | `limits.prefix-slots` | 65,536 |
//! | a message | `buffers.max-message`, `websocket.max-message` | 1 MiB each |
//! | bytes that wait for the handler of a flow of datagrams | `datagrams.queue` | 64 KiB |
//! | bytes that wait to be sent to a connection | `buffers.write` | 64 KiB |
//! | a PROXY header, a TLS ClientHello, an upgrade request | 4 KiB, 16 KiB, `websocket.max-head` | 8 KiB |
//! | events that a receiver may be behind | [`Handle::events`] | 1,024 |
//!
//! Connections are never more than their limits by one, and the tables of prefixes never grow: a
//! flood of sources finds them full, or takes over what was idle. The memory of a server is thus at
//! most what its handlers hold, and
//!
//! ```text
//!   connections × (the connection itself + one message that is being received, on a WebSocket)
//! + pending handshakes × (the largest header, hello or request)
//! + limits.memory
//! + listeners × prefix-slots × 16 bytes × (how many of per-prefix, handshakes-per-prefix,
//!                                          accept-per-prefix and datagrams-per-prefix are on)
//! + datagram sockets × 32 × 64 KiB, as far as bursts have filled them
//! ```
//!
//! `docs/sockets.md` in the repository is the user's guide, `docs/sockets-options.md` lists every
//! option.

#![cfg_attr(
    not(all(feature = "dtls", feature = "quic", feature = "sctp")),
    allow(
        dead_code,
        unused_imports,
        unused_variables,
        reason = "what only some transports use is not marked one by one"
    )
)]

mod acceptor;
mod admission;
pub mod batch;
mod bound;
pub mod client;
pub mod config;
mod connection;
mod counters;
mod datagrams;
#[cfg(feature = "dtls")]
pub mod dtls;
pub mod events;
mod gate;
#[cfg(test)]
mod gate_tests;
mod handle;
mod handlers;
pub mod handover;
mod hooks;
mod layer;
mod link;
mod listen;
mod listener;
mod memory;
pub mod message;
mod messages;
mod owner;
mod path;
mod prefixes;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod proxy;
#[cfg(feature = "quic")]
pub mod quic;
mod reason;
mod registry;
mod scratch;
mod sctp;
mod server;
mod session;
pub mod sockets;
mod stream;
mod sync;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(any(feature = "dtls", feature = "sctp"))]
mod timer;
pub mod tls;
pub mod websocket;
mod wire;

pub use admission::Proxied;
pub use client::{Client, ConnectError};
pub use connection::Connection;
pub use counters::Stats;
pub use datagrams::{Datagram, DatagramError, DatagramSender, Datagrams};
pub use handle::{ApplyError, ChangeError, Filter, Handle, ListenerInfo, UnknownListener};
pub use handlers::{Handler, Handlers, Outcome};
pub use hooks::{Admit, Arriving, Hello, HelloChoice};
#[cfg(feature = "dtls")]
pub use listen::Dtls;
#[cfg(feature = "quic")]
pub use listen::Quic;
pub use listen::{Listen, Sctp, Tcp, Tls, Udp, Unix, Unixgram, Ws, Wss};
pub use message::{Kind, Message};
pub use messages::{MessageError, Messages, SendError, Sender};
pub use path::{Endpoint, Path};
#[cfg(feature = "quic")]
pub use quic::QuicConnection;
pub use reason::{Closed, ClosedByServer, Dropped, Refusal};
pub use sctp::SctpSocket;
pub use server::{BuildError, Builder, DrainReport, ListenerDrain, Server};
pub use session::{Carrier, Session, SessionError, SessionSender};
pub use stream::{IntoInner, Stream};
/// What is told by first bytes.
pub use wharf_policy::first_bytes::Protocol;
/// What the health of a server can be.
pub use wharf_policy::health::{Cause, Health};
pub use wire::{Lease, Socket, Wire};

pub use config::{ListenerConfig, ServerConfig};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
