//! The TURN server of RFC 8656 as a state machine: datagrams, frames of streams, time and answers in, effects out. It owns
//! no socket, reads no clock and draws no entropy of its own, and it does not speak TCP allocations
//! (RFC 6062), mobility (RFC 8016) or third-party authorisation (RFC 7635): what it does not know it
//! refuses with the error that the RFC names.
//!
//! One [`Server`] is one worker's share of a TURN server. Its contract:
//!
//! - **In**: [`Server::handle_client`], [`Server::handle_client_closed`], [`Server::handle_peer`],
//!   [`Server::handle_peer_error`], [`Server::handle_done`] and [`Server::handle_timeout`]. `now` never
//!   goes backwards.
//! - **Out, data path**: each of them returns at most one [`Output`], with ranges into the caller's
//!   buffer: nothing is copied and nothing is allocated for a relayed packet.
//! - **Out, control path**: after each input, drain [`Server::poll_command`] and
//!   [`Server::poll_event`]. A [`Command`] that can fail carries a [`CommandId`] and is answered with
//!   [`Server::handle_done`]; the reply to the client is built only after the answer.
//! - [`Server::poll_timeout`] says when [`Server::handle_timeout`] is next due. A late call delays only
//!   the release of ports and quotas: lifetimes are compared with `now` wherever they matter.
//!
//! ```
//! use std::{sync::Arc, time::{Duration, Instant}};
//! use wharf_policy::{PeerPolicy, PeerRules, QuotaLimits, Quotas};
//! use wharf_turn::{ClientPath, Config, Output, RelayAddress, Server, Shared, Transport};
//!
//! let config = Config {
//!     realm: "example.org".into(),
//!     relays: vec![RelayAddress::new("192.0.2.1".parse()?, 49152..=65535)],
//!     ..Config::default()
//! };
//! let shared = Shared {
//!     nonce_secret: [7; 32], // from the operating system, the same for every worker
//!     quotas: Quotas::new(QuotaLimits::default()),
//!     peers: Arc::new(PeerPolicy::new(PeerRules::default())),
//! };
//! let now = Instant::now();
//! let mut server = Server::new(config, shared, now, Duration::from_secs(1_800_000_000), [9; 32]);
//!
//! let path = ClientPath {
//!     transport: Transport::Udp,
//!     client: "198.51.100.7:4000".parse()?,
//!     server: "192.0.2.1:3478".parse()?,
//!     listener: 0,
//! };
//! // A Binding request is answered at once; nothing is left behind.
//! let request = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
//! match server.handle_client(now, &path, &request) {
//!     Output::Reply(reply) => assert_eq!(reply.bytes.len(), 32),
//!     other => panic!("{other:?}"),
//! }
//! assert_eq!(server.poll_command(), None);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod allocate;
mod allocation;
mod auth;
mod bind;
mod channel_bind;
mod client;
mod closed;
mod config;
mod credential;
mod effect;
mod flows;
mod nonce;
mod output;
mod path;
mod peer;
mod permission;
mod ports;
mod refresh;
mod reply;
mod reservation;
mod server;
mod timers;

pub use config::{Algorithms, Config, RelayAddress, Shared, Worker};
pub use credential::{Credential, UserId};
pub use effect::{
    AuthFailure, BindError, ClaimedRelay, Command, CommandId, CredentialAnswer, Done, Event,
    FreedBy,
};
pub use output::{DropReason, Output, Reply, ToClient, ToPeer};
pub use path::{ClientPath, RelayId, Transport};
pub use server::Server;
