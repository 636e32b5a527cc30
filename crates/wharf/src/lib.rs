//! Socket servers for Linux: named listeners over TCP, TLS, Unix sockets, WebSocket and WSS, under
//! one live control plane.

mod acceptor;
mod admission;
pub mod client;
pub mod config;
mod connection;
mod counters;
pub mod events;
mod gate;
#[cfg(test)]
mod gate_tests;
mod handle;
mod handlers;
mod hooks;
mod layer;
mod listen;
mod listener;
mod memory;
pub mod message;
mod messages;
mod owner;
mod path;
mod prefixes;
pub mod proxy;
mod reason;
mod registry;
mod server;
mod session;
pub mod sockets;
mod stream;
mod sync;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod tls;
pub mod websocket;
mod wire;

pub use admission::Proxied;
pub use client::{Client, ConnectError};
pub use connection::Connection;
pub use counters::Stats;
pub use handle::{ApplyError, ChangeError, Filter, Handle, ListenerInfo, UnknownListener};
pub use handlers::{Handler, Handlers, Outcome};
pub use hooks::{Admit, Arriving, HelloChoice};
pub use listen::{Listen, Tcp, Tls, Unix, Ws, Wss};
pub use message::{Kind, Message};
pub use messages::{Messages, SendError, Sender};
pub use path::{Endpoint, Path};
pub use reason::{Closed, ClosedByServer, Refusal};
pub use server::{BuildError, Builder, DrainReport, ListenerDrain, Server};
pub use session::{Carrier, Session, SessionError, SessionSender};
pub use stream::{IntoInner, Stream};
/// What the health of a server can be.
pub use wharf_policy::health::{Cause, Health};
pub use wire::{Lease, Socket, Wire};

pub use config::{ListenerConfig, ServerConfig};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
