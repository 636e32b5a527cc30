//! SCTP associations as messages (RFC 9260): the kernel's, or over UDP (RFC 6951).
//!
//! ```text
//! kernel   one-to-one socket ── Wire ── KernelLink ─────────────────────────┐
//!                                                                           ├─▶ Messages
//! UDP      Driver ── SctpFlow ── Pump ┈┈┈┈┈┈ Exchange ┈┈┈┈┈┈ SctpLink ──────┘
//!          Dialer ── Packets ──┘
//!          on the thread of the listener's socket, or of the client                     on the handler's task
//! ```
//!
//! The engine over UDP cannot move between threads, so each listening socket has one where
//! its associations live, and each client.

#[cfg(feature = "sctp")]
mod dial;
#[cfg(feature = "sctp")]
mod driver;
#[cfg(feature = "sctp")]
mod exchange;
#[cfg(feature = "sctp")]
mod front;
mod kernel;
#[cfg(feature = "sctp")]
mod link;
#[cfg(feature = "sctp")]
mod pump;
mod sendable;
mod socket;

#[cfg(feature = "sctp")]
pub(crate) use dial::{Dialer, Dialled};
#[cfg(feature = "sctp")]
pub(crate) use driver::{Flow, Flows};
#[cfg(feature = "sctp")]
pub(crate) use front::{Front, run};
pub(crate) use kernel::KernelLink;
#[cfg(feature = "sctp")]
pub(crate) use pump::Carrier;
pub use socket::SctpSocket;
