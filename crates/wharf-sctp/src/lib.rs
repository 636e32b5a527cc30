//! SCTP without a socket (RFC 9260, over UDP as in RFC 6951): a front that keeps no state before a good cookie,
//! and associations that are fed packets and asked for packets.
//!
//! The crate opens no socket, reads no clock and draws no entropy: packets, moments and a secret come in as
//! arguments. It does not know how packets travel; over UDP, one SCTP packet is one datagram.
//!
//! | module | what it does |
//! |---|---|
//! | [`Front`] | judges packets without an association: answers INITs with cookies, opens on a good one |
//! | [`Association`] | one association, server's or client's: messages in and out, timers, streams, the end |
//! | [`Cookies`] | the secret behind cookies and tags |
//! | [`Options`] | streams, sizes, attempts and times |
//!
//! The state machine of an association is the crate `dcsctp`'s. What it leaves to others is done here: cookies
//! with a code and an end, tags nobody can guess, a bound on what is sent but not acknowledged, streams nobody
//! negotiated, a shutdown that loses no queued message, and a window that opens again when a slow reader reads.

mod association;
mod cookie;
mod front;
mod options;
mod packet;
mod reason;
#[cfg(test)]
mod testing;

pub use association::{Association, Message, Reset};
pub use cookie::Cookies;
pub use front::{Answer, Front, Opening, Ports};
pub use options::{OptionError, Options};
pub use reason::{Closed, Ignored, ResetError, SendError};
