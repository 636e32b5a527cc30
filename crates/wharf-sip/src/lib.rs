//! SIP as a transport sees it (RFC 3261 §18): what a message says of its own way, and nothing more.
//!
//! The crate opens no socket, reads no clock and draws no entropy: the caller passes [`Instant`]s, seeds and
//! addresses in. It interprets no dialog and no transaction. A message stays the exact bytes that came in.
//!
//! | what | where |
//! |---|---|
//! | what a message says of its way, found in its own bytes | [`Scan`], [`Stack`], [`Span`], [`Field`] |
//! | changes that leave every other byte; a reply | [`Editor`], [`Edit`], [`Reply`] |
//! | where a message ends; keep-alives; deadlines and limits | [`Framer`], [`packet`], [`Limits`] |
//! | a URI, a Via value, a host | [`Uri`], [`Via`], [`Host`], [`Parameters`], [`Transport`] |
//! | a DNS name in its one form | [`Domain`] |
//! | flows, and tokens that name them | [`flow`] |
//! | when to ping, when a flow has failed | [`keep_alive`] |
//! | connections for both directions | [`alias`] |
//! | connections that requests share | [`pool`] |
//! | who a peer is by its certificate | [`identity`] |
//! | which destinations are worth a try, and which is next | [`destinations`], [`balance`] |
//! | a request on its way from server to server | [`delivery`] |
//! | which way a request and a response go, and which goes first | [`route`], [`Priority`] |
//! | where a server is: NAPTR, SRV and addresses | [`locate`] |
//!
//! [`Instant`]: std::time::Instant

pub mod alias;
pub mod balance;
pub mod delivery;
pub mod destinations;
pub mod flow;
pub mod identity;
pub mod keep_alive;
pub mod locate;
pub mod pool;
pub mod route;

mod domain;
mod edit;
mod field;
mod frame;
mod host;
mod limits;
mod parameters;
mod priority;
mod scan;
mod span;
mod text;
mod transport;
mod uri;
mod via;

pub use domain::{Domain, DomainError, OwnedHost};
pub use edit::{Edit, EditError, Editor, Reply};
pub use field::Field;
pub use frame::{Boundary, Frame, FrameError, FrameKind, Framer, PING, PONG, packet};
pub use host::{Host, HostError};
pub use limits::Limits;
pub use parameters::{Parameter, Parameters};
pub use priority::Priority;
pub use scan::{ContentLength, Scan, ScanError, Stack, StartLine};
pub use span::Span;
pub use transport::Transport;
pub use uri::{Scheme, Uri, UriError};
pub use via::{Keep, Rport, Via, ViaError};
