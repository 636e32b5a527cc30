//! Where a server is: RFC 3263 with the rules of RFC 2782 and RFC 7984, without asking DNS itself.
//!
//! A [`Locator`] says what to do next: ask DNS one question, or try one candidate. Questions come
//! only when their answers are needed, so the addresses of a second server are not asked for while
//! the first one works. A caller that wants them all at once goes on until the end.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use wharf_sip::locate::{Address, Failure, LocateRules, Locator, Next, Query, Records, Srv, Target};
//! use wharf_sip::Uri;
//!
//! let target = Target::of(&Uri::parse(b"sip:alice@example.com").unwrap()).unwrap();
//! let mut locator = Locator::new(&target, Arc::new(LocateRules::default()), 0x5eed).unwrap();
//! let candidate = loop {
//!     match locator.next() {
//!         // A driver asks a resolver; this one knows the answers.
//!         Next::Ask(Query::Srv(name)) if name.as_str() == "_sip._udp.example.com" => {
//!             let (ttl, target) = (Duration::from_secs(60), "sip1.example.com".parse().ok());
//!             let srv = Srv { priority: 10, weight: 1, target, port: 5070, ttl };
//!             locator.answer(Ok(Records::Srv(vec![srv])));
//!         }
//!         Next::Ask(Query::Addresses { .. }) => {
//!             let address = Address { ip: [192, 0, 2, 1].into(), ttl: Duration::from_secs(30) };
//!             locator.answer(Ok(Records::Addresses(vec![address])));
//!         }
//!         Next::Ask(_) => locator.answer(Err(Failure::NxDomain)),
//!         Next::Try(candidate) => break candidate,
//!         Next::End(why) => panic!("{why:?}"),
//!     }
//! };
//! assert_eq!(candidate.to_string(), "UDP 192.0.2.1:5070");
//! assert_eq!(candidate.ttl, Some(Duration::from_secs(30)));
//! ```

mod choice;
mod locator;
mod records;
mod rules;
mod service;
mod take;
mod target;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use choice::seed_of;
pub use locator::Locator;
pub use records::{Address, Failure, Naptr, Query, Records, Srv};
pub use rules::{AddressOrder, LocateRules};
pub use target::Target;

use crate::domain::DomainError;
use crate::{Domain, Transport, UriError};

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The transport to reach it over.
    pub transport: Transport,
    /// Its address and port.
    pub address: SocketAddr,
    /// The domain that was to be located, as it was before NAPTR and SRV: the one a certificate is
    /// checked for and the SNI to send (RFC 5922 §7.3). None for a target that is an address.
    pub domain: Option<Domain>,
    /// How long what DNS said of it may be kept: the shortest of the records that led here. None
    /// when DNS was not asked. After that the target is to be located anew.
    pub ttl: Option<Duration>,
    /// Candidates of one rank are equals that load may be spread over: one transport and one
    /// priority. Ranks grow in the order of the candidates.
    pub rank: u32,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.address)
    }
}

/// What a [`Locator`] wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask DNS, and hand the answer to [`Locator::answer`]. The same question comes again until then.
    Ask(Query),
    /// Try this one. Call [`Locator::next`] again only when it has failed: with a 503, a timeout or an
    /// error of the transport (RFC 3263 §4.3).
    Try(Candidate),
    /// There are no more candidates; with the reason when there was not even one.
    End(Result<(), LocateError>),
}

/// Why a target cannot be located.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The URI asks for what cannot be followed.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The host is no name that DNS could be asked for.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The name lies below `invalid`: its owner is reached over the connection it opened, or not at
    /// all (RFC 7118 §5).
    #[error("{0} is a name without a server")]
    Invalid(Domain),
    /// A `sips` URI asks for a transport that has no form over TLS (RFC 3261 §26.2.2).
    #[error("a sips URI cannot go over UDP")]
    NotSecurable,
    /// The transport that is asked for is not among [`LocateRules::transports`].
    #[error("{0} is not among the transports in use")]
    Unsupported(Transport),
    /// None of [`LocateRules::transports`] may be chosen where neither the target nor DNS names one.
    #[error("no transport in use suits a target that names none")]
    NoTransport,
    /// DNS says that the service does not exist here: an SRV record with the target `.` (RFC 2782).
    #[error("the domain offers no such service")]
    NoService,
    /// DNS has neither services nor addresses of a family in use for it.
    #[error("the domain has no address")]
    NoAddress,
    /// DNS gave no answer, which is not the same as having no records.
    #[error("looking up {name}: {failure}")]
    Dns {
        /// The name that was asked for.
        name: Domain,
        /// Why there is no answer.
        failure: Failure,
    },
    /// It took more questions than [`LocateRules::max_queries`].
    #[error("more DNS queries than allowed")]
    TooManyQueries,
}

#[cfg(test)]
mod tests;
