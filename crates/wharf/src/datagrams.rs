//! Datagram listeners: UDP and Unix, as flows.
//!
//! ```text
//! recvmmsg ─▶ rules for each ─▶ its flow ─────────────────────▶ queue ─▶ Packets ─▶ Messages ─▶ handler
//!             access, size,     │ none: the front               bounded   guard
//!             rate, health      └─▶ ignore │ answer │ open ─▶ admission, as a connection
//! ```
//!
//! One task for each socket takes datagrams from the kernel in batches and never waits for a
//! handler: what finds its flow's queue full is dropped and counted.

mod connected;
mod crew;
mod datagram;
mod driver;
mod end;
mod flow;
mod front;
mod guard;
mod intake;
mod link;
mod port;
mod rules;
mod socket;
mod turns;
mod unconnected;

pub(crate) use connected::{Connected, Kind as ConnectedKind};
pub(crate) use crew::Crew;
pub use datagram::Datagram;
pub(crate) use end::End;
#[cfg(any(feature = "dtls", feature = "sctp"))]
pub(crate) use front::{First, FlowFront, Opening};
pub(crate) use link::PlainLink;
pub(crate) use port::{Mode, Port};
pub use unconnected::{DatagramError, DatagramSender, Datagrams};
