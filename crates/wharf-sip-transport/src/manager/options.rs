//! What a user may choose, and what a request says of itself.

use std::collections::BTreeMap;

use wharf_sip::balance::Balance;
use wharf_sip::destinations::DestinationRules;
use wharf_sip::locate::{LocateError, LocateRules, Target};
use wharf_sip::pool::PoolRules;
use wharf_sip::route::{ResponseRules, SentBy, SizeSwitch};
use wharf_sip::{Domain, Transport, Uri};

use crate::FlowRef;

/// The settings of a [`Manager`](crate::Manager).
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    /// How servers are located, and the transports in use (RFC 3263).
    pub locate: LocateRules,
    /// How many connections there are, and how long they stay.
    pub pool: PoolRules,
    /// How long a destination that has failed is left alone.
    pub destinations: DestinationRules,
    /// When a request is too long for UDP (RFC 3261 §18.1.1).
    pub switch: SizeSwitch,
    /// How load is spread over candidates that are equals. Default [`Balance::AsListed`]: as SRV has it.
    /// With any other, all candidates are located before the first is tried.
    pub balance: Balance,
    /// How far a response follows the Via of its request. Whoever sends a request has written that Via: an
    /// element that hears from anybody had better turn `follow_maddr` and `try_elsewhere` off, or a response
    /// goes, and a connection is opened, where a stranger says. Default: as RFC 3261 §18.2.2 has it, both on.
    pub responses: ResponseRules,
    /// What is written into the top Via of a request that goes over this transport: where its responses
    /// come to (RFC 3261 §18.1.1). Default none: the Via stays as the caller has written it.
    pub sent_by: BTreeMap<Transport, SentBy>,
    /// Whether a request over TLS offers its connection for requests of the other side, by `;alias` in its top
    /// Via (RFC 5923 §8). Default false: the other side opens connections of its own. It is taken only from one
    /// who shows a certificate.
    pub offer_alias: bool,
    /// Requests that one destination gets at most, by its address. Default none: as many as there are. A
    /// destination that has got so many is passed over; where there is no other, the request fails with
    /// [`SipError::Throttled`](crate::SipError::Throttled).
    pub throttle: Option<Throttle>,
    /// Responses over UDP that are remembered for a second, to be sent another way should ICMP say that
    /// they did not arrive (RFC 3261 §18.2.2). Default 1024; further ones are sent once. 0 remembers none.
    pub remembered: usize,
}

impl Default for ManagerOptions {
    fn default() -> Self {
        Self {
            locate: LocateRules::default(),
            pool: PoolRules::default(),
            destinations: DestinationRules::default(),
            switch: SizeSwitch::default(),
            balance: Balance::default(),
            responses: ResponseRules::default(),
            sent_by: BTreeMap::new(),
            offer_alias: false,
            throttle: None,
            remembered: 1024,
        }
    }
}

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Requests a second; 0 is without a limit.
    pub per_second: u32,
    /// Requests at once for a destination that got none before; at least 1.
    pub burst: u32,
}

/// Where a request goes, and how.
///
/// ```
/// use wharf_sip::Uri;
/// use wharf_sip_transport::Request;
///
/// let uri = Uri::parse(b"sip:alice@example.com;transport=tcp").unwrap();
/// let request = Request::to_uri(&uri).unwrap().seed(7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) to: To,
    pub(super) seed: Option<u64>,
    pub(super) local: Option<Domain>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Targets(Vec<Target>),
    Flow(FlowRef),
}

impl Request {
    /// A request to the servers of a target.
    pub fn to(target: Target) -> Self {
        Self::to_any(vec![target])
    }

    /// A request to the servers of the URI that stands in front: its target, or its first Route
    /// (RFC 3261 §8.1.2).
    pub fn to_uri(uri: &Uri<'_>) -> Result<Self, LocateError> {
        Target::of(uri).map(Self::to)
    }

    /// A request to any of these targets, which are equals: [`ManagerOptions::balance`] says in which
    /// order they are tried.
    pub fn to_any(targets: Vec<Target>) -> Self {
        Self {
            to: To::Targets(targets),
            seed: None,
            local: None,
        }
    }

    /// A request over this flow and no other (RFC 5626 §5.3): there is one attempt.
    pub fn over(flow: FlowRef) -> Self {
        Self {
            to: To::Flow(flow),
            seed: None,
            local: None,
        }
    }

    /// Decides among SRV records of one priority, among addresses, and where [`Balance::ByKey`] leads:
    /// requests of one seed go one way (RFC 3263 §4.4); see [`seed_of`](wharf_sip::locate::seed_of).
    /// Default: by chance.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..self
        }
    }

    /// The domain of this element on whose behalf the request goes: its certificate is shown, over
    /// connections of its own. Default: the one of all others.
    #[must_use]
    pub fn on_behalf_of(self, local: Domain) -> Self {
        Self {
            local: Some(local),
            ..self
        }
    }
}
