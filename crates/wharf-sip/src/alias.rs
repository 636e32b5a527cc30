//! Connections that may be used in both directions (RFC 5923).
//!
//! A peer that connects from an ephemeral port and writes `;alias` into its Via offers this connection
//! for requests to itself. Over TLS on which it has shown its certificate the offer is taken, for the
//! domains in that certificate; over plain TCP never, since anybody can write `;alias`.
//!
//! ```
//! use wharf_sip::alias::{AliasOffer, AliasTable, AliasWanted};
//! use wharf_sip::flow::FlowId;
//! use wharf_sip::identity::{CertificateNames, Identities, Wildcards};
//! use wharf_sip::{Transport, Via};
//!
//! let names = CertificateNames {
//!     has_alternatives: true,
//!     uris: &["sip:example.com"],
//!     dns: &[],
//!     common_name: None,
//! };
//! let identities = Identities::of(&names);
//! let flow = FlowId::default();
//!
//! let mut table = AliasTable::new(1000, Wildcards::Refuse);
//! table
//!     .offer(&AliasOffer {
//!         via: Via::parse(b"SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1;alias").unwrap(),
//!         transport: Transport::Tls,
//!         source: [192, 0, 2, 1].into(),
//!         local: None,
//!         identities: &identities,
//!         flow,
//!     })
//!     .unwrap();
//! let domain = "example.com".parse().unwrap();
//! let address = "192.0.2.1:5061".parse().unwrap();
//! let wanted =
//!     AliasWanted { transport: Transport::Tls, address, domain: &domain, local: None };
//! assert_eq!(table.find(&wanted), Some(flow));
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::flow::FlowId;
use crate::identity::{Identities, Wildcards};
use crate::{Domain, Transport, Via};

/// Addresses that one connection may be an alias for: those of a host with a few listeners.
const PER_FLOW: usize = 4;
/// Connections for one address: the oldest makes room for the newest.
const PER_ADDRESS: usize = 8;

/// A request that has come, as far as it offers its connection.
#[derive(Debug, Clone, Copy)]
pub struct AliasOffer<'a> {
    /// Its topmost Via.
    pub via: Via<'a>,
    /// The transport it came over.
    pub transport: Transport,
    /// The address it came from.
    pub source: IpAddr,
    /// The domain of this element that the peer asked for by SNI, where there are several (§9.2).
    pub local: Option<&'a Domain>,
    /// What the certificate of the peer proves; empty when it has shown none.
    pub identities: &'a Identities,
    /// The connection.
    pub flow: FlowId,
}

/// Why an offer is not taken. The connection stays what it was: responses go over it, requests do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AliasRefusal {
    /// The Via has no `alias`.
    #[error("the request offers no alias")]
    NotOffered,
    /// The transport is not TLS (§5, §10).
    #[error("a connection without TLS is no alias")]
    NotSecure,
    /// The peer has shown no certificate with a domain in it (§5).
    #[error("the peer has not shown who it is")]
    NotAuthenticated,
    /// The connection is an alias for four addresses already.
    #[error("the connection is an alias for enough addresses")]
    TooMany,
    /// The table is full.
    #[error("there is no room for another alias")]
    Full,
}

/// A request that is to go out, once its address is known.
#[derive(Debug, Clone, Copy)]
pub struct AliasWanted<'a> {
    /// The transport to the address.
    pub transport: Transport,
    /// The address that the domain was resolved to.
    pub address: SocketAddr,
    /// The domain, as it was before NAPTR and SRV.
    pub domain: &'a Domain,
    /// The domain of this element on whose behalf the request goes, where there are several.
    pub local: Option<&'a Domain>,
}

type Key = (Transport, SocketAddr);

/// The aliases of the connections that are open.
///
/// Bounded: a connection has at most four, and all together at most as many as the table was made for;
/// what does not fit is refused and costs a connection in the other direction.
#[derive(Debug)]
pub struct AliasTable {
    capacity: usize,
    wildcards: Wildcards,
    aliases: BTreeMap<Key, Vec<Alias>>,
    by_flow: BTreeMap<FlowId, Vec<Key>>,
    count: usize,
}

#[derive(Debug)]
struct Alias {
    flow: FlowId,
    local: Option<Domain>,
    identities: Identities,
}

impl AliasTable {
    /// A table for at most `capacity` aliases. `wildcards` are as for a connection of one's own.
    pub fn new(capacity: usize, wildcards: Wildcards) -> Self {
        let (aliases, by_flow) = (BTreeMap::new(), BTreeMap::new());
        Self {
            capacity,
            wildcards,
            aliases,
            by_flow,
            count: 0,
        }
    }

    /// Takes the offer of a request, if it makes one that may be taken. The address is that of sent-by,
    /// or the source where sent-by is a name, with the port of sent-by (§8.2). An offer that was taken
    /// before is taken again without any effect.
    pub fn offer(&mut self, offer: &AliasOffer<'_>) -> Result<(), AliasRefusal> {
        if !offer.via.has_alias() {
            return Err(AliasRefusal::NotOffered);
        }
        if !matches!(offer.transport, Transport::Tls | Transport::TlsSctp) {
            return Err(AliasRefusal::NotSecure);
        }
        if offer.identities.is_empty() {
            return Err(AliasRefusal::NotAuthenticated);
        }
        let ip = offer.via.host.ip().unwrap_or(offer.source);
        let port = offer.via.port.unwrap_or(offer.transport.default_port());
        let key = (offer.transport, SocketAddr::new(ip, port));
        let of_flow = self.by_flow.get(&offer.flow).map_or(&[][..], Vec::as_slice);
        if of_flow.contains(&key) {
            return Ok(());
        }
        if of_flow.len() >= PER_FLOW {
            return Err(AliasRefusal::TooMany);
        }
        let crowded = self
            .aliases
            .get(&key)
            .is_some_and(|aliases| aliases.len() >= PER_ADDRESS);
        if crowded {
            self.forget_oldest(key);
        } else if self.count >= self.capacity {
            return Err(AliasRefusal::Full);
        }
        let (flow, local) = (offer.flow, offer.local.cloned());
        let identities = offer.identities.clone();
        self.aliases.entry(key).or_default().push(Alias {
            flow,
            local,
            identities,
        });
        self.by_flow.entry(flow).or_default().push(key);
        self.count += 1;
        Ok(())
    }

    /// The newest connection to use for this request instead of a new one: an alias for its address,
    /// whose peer has proved the domain of the request to this element's own domain of the request.
    pub fn find(&self, wanted: &AliasWanted<'_>) -> Option<FlowId> {
        let aliases = self.aliases.get(&(wanted.transport, wanted.address))?;
        let fits = |alias: &&Alias| {
            alias.local.as_ref() == wanted.local
                && alias.identities.prove(wanted.domain, self.wildcards)
        };
        aliases.iter().rev().find(fits).map(|alias| alias.flow)
    }

    /// The connection is closed: it is an alias for nothing any more.
    pub fn close(&mut self, flow: FlowId) {
        for key in self.by_flow.remove(&flow).unwrap_or_default() {
            self.remove(key, flow);
        }
    }

    /// How many aliases there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn forget_oldest(&mut self, key: Key) {
        let oldest = self
            .aliases
            .get(&key)
            .and_then(|aliases| aliases.first())
            .map(|one| one.flow);
        let Some(flow) = oldest else { return };
        self.remove(key, flow);
        if let Some(keys) = self.by_flow.get_mut(&flow) {
            keys.retain(|one| *one != key);
            if keys.is_empty() {
                self.by_flow.remove(&flow);
            }
        }
    }

    fn remove(&mut self, key: Key, flow: FlowId) {
        let Some(aliases) = self.aliases.get_mut(&key) else {
            return;
        };
        let before = aliases.len();
        aliases.retain(|alias| alias.flow != flow);
        self.count -= before - aliases.len();
        if aliases.is_empty() {
            self.aliases.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
