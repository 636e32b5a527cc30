//! A client that builds requests, and a driver that answers commands. Time is virtual throughout.

mod client;
mod host;
mod reaction;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_policy::{OwnAddresses, PeerPolicy, PeerRules};
use wharf_stun::{Attribute, AttributeError, AttributeType, TransactionId};
use wharf_turn::{Config, RelayAddress};

pub(crate) use client::{Algorithm, Client};
pub(crate) use host::{Did, Host};
pub(crate) use reaction::{Answer, Reaction};

/// A peer that the default policy permits.
pub(crate) const PEER: &str = "11.0.0.1:4000";
/// Another one.
pub(crate) const PEER_2: &str = "11.0.0.2:4000";
/// One of the other family.
pub(crate) const PEER_6: &str = "[2a00:1::1]:4000";
/// The relay addresses' ports, as many for each of the two families.
pub(crate) const PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_099;

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// One relay address of each family.
pub(crate) fn config() -> Config {
    Config {
        relays: vec![
            RelayAddress::new(addr("192.0.2.1:0").ip(), PORTS),
            RelayAddress::new(addr("[2001:db8::1]:0").ip(), PORTS),
        ],
        ..Config::default()
    }
}

/// The default rules on a server that knows its own addresses.
pub(crate) fn rules() -> PeerRules {
    let relays = config().relays;
    PeerRules {
        own: OwnAddresses {
            interfaces: relays.iter().map(|relay| relay.bind).collect(),
            sockets: vec![addr("192.0.2.1:3478")],
            relays: relays
                .into_iter()
                .map(|relay| (relay.advertised, relay.ports))
                .collect(),
        },
        ..PeerRules::default()
    }
}

pub(crate) fn policy(rules: PeerRules) -> Arc<PeerPolicy> {
    Arc::new(PeerPolicy::new(rules))
}

#[expect(
    clippy::disallowed_methods,
    reason = "an origin for the tests' own time"
)]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

/// An attribute of any type and value, well-formed or not.
pub(crate) struct Raw<'a, const TYPE: u16>(pub(crate) &'a [u8]);

impl<'a, const TYPE: u16> Attribute<'a> for Raw<'a, TYPE> {
    const TYPE: AttributeType = AttributeType(TYPE);

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, AttributeError> {
        Ok(Self(value))
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut [u8], _: &TransactionId) {
        out.copy_from_slice(self.0);
    }
}
