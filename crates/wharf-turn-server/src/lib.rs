//! Runs the TURN core of `wharf-turn` on Linux: one worker a core, each with its own sockets and its own
//! share of the ports, and nothing shared on the packet path. It reads no configuration file and writes
//! no log: that is the daemon's work.
//!
//! ```no_run
//! use wharf_turn_server::{Config, Credentials, RelayAddress, TurnServer};
//!
//! let mut credentials = Credentials::new("example.org");
//! credentials.add_user("alice", "correct horse battery staple")?;
//! let server = TurnServer::start(Config {
//!     listen: vec!["192.0.2.1:3478".parse()?],
//!     relays: vec![RelayAddress::new("192.0.2.1".parse()?, 49152..=65535)],
//!     credentials,
//!     ..Config::default()
//! })?;
//! println!("listening on {:?}", server.local_addrs());
//! let handle = server.handle();
//! handle.drain();
//! server.wait_drained(std::time::Duration::from_secs(60));
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What happens under load
//!
//! Nothing here waits for a socket: what cannot be sent at once is dropped and counted
//! ([`Counter::SendBlocked`]), and what the kernel drops before it is read is counted too
//! ([`Counter::KernelDrops`]). Queues between threads are bounded: an answer of a credential back-end
//! always fits, since look-ups are bounded; a reservation that another worker holds is refused with 508
//! when that worker's queue is full. Streams ([`Handle::serve_stream`]) have two queues each: one that
//! stops their reading when it is full, and one of [`StreamOptions::queue`] bytes to the client, where
//! relayed data is dropped and counted when it is full ([`Counter::StreamDropped`]).
#![allow(
    clippy::disallowed_methods,
    reason = "this crate is the clock and the entropy of the core"
)]

mod config;
mod control;
mod counters;
mod credentials;
mod dtls;
mod effects;
mod lane;
mod legacy;
mod listening;
mod outbound;
mod own;
mod passage;
mod reading;
mod relays;
mod server;
mod stream;
mod streams;
mod worker;

pub use config::{Config, EventHook, StartError, Tos};
pub use control::Handle;
pub use counters::{Counter, Counters, ERROR_CODES, METHODS, Snapshot};
pub use credentials::{Credentials, LookUp, rest_password};
pub use dtls::DtlsOptions;
pub use legacy::Legacy;
pub use server::TurnServer;
pub use stream::{StreamEnd, StreamError, StreamOptions, StreamPath, StreamTransport};
pub use wharf_dtls;
pub use wharf_policy::{IpNet, PeerRefusal, PeerRules, PrefixLimits, QuotaLimits};
pub use wharf_stun::FrameError;
pub use wharf_stun::credential::PrepareError;
pub use wharf_turn::{
    Algorithms, AuthFailure, ClientPath, Config as CoreConfig, Credential, CredentialAnswer,
    DropReason, Event, FreedBy, RelayAddress, Transport, UserId,
};
