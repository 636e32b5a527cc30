//! SIP as a transport sees it (RFC 3261 §18): what a message says of its own way, and nothing more.
//!
//! The crate opens no socket, reads no clock and draws no entropy: the caller passes [`Instant`]s, seeds and
//! addresses in. It interprets no dialog and no transaction. A message stays the exact bytes that came in.
//!
//! | what | where |
//! |---|---|
//! | a URI, a Via value, a host | [`Uri`], [`Via`], [`Host`], [`Parameters`], [`Transport`] |
//! | a DNS name in its one form | [`Domain`] |
//! | where a server is: NAPTR, SRV and addresses | [`locate`] |
//!
//! [`Instant`]: std::time::Instant

mod domain;
mod host;
pub mod locate;
mod parameters;
mod text;
mod transport;
mod uri;
mod via;

pub use domain::{Domain, DomainError};
pub use host::{Host, HostError};
pub use parameters::{Parameter, Parameters};
pub use transport::Transport;
pub use uri::{Scheme, Uri, UriError};
pub use via::{Keep, Rport, Via, ViaError};
