//! What an element can do, and how far it goes to locate a server.

use super::Address;
use super::choice::Chance;
use crate::Transport;

/// The settings of a [`Locator`](super::Locator), shared by all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocateRules {
    /// The transports in use. The order is that of the SRV queries where NAPTR decides nothing. No
    /// other is ever asked for. Default TLS, TCP, UDP.
    pub transports: Vec<Transport>,
    /// Whether NAPTR records are asked for (RFC 3263 §4.1). Default true. Turn it off behind a name
    /// server that fails on them: such a failure ends the search, since it does not say that there
    /// are no records.
    pub naptr: bool,
    /// The families of addresses in use and their order. Default [`AddressOrder::AsGiven`].
    pub addresses: AddressOrder,
    /// Questions for one target at most. Default 32.
    pub max_queries: u32,
    /// Records of one answer that are used, the first in order. Default 64.
    pub max_records: usize,
    /// Candidates for one target at most. Default 64.
    pub max_candidates: usize,
}

impl Default for LocateRules {
    fn default() -> Self {
        Self {
            transports: vec![Transport::Tls, Transport::Tcp, Transport::Udp],
            naptr: true,
            addresses: AddressOrder::AsGiven,
            max_queries: 32,
            max_records: 64,
            max_candidates: 64,
        }
    }
}

impl LocateRules {
    /// The transports in use that a target which names none may lead to: for `sips` those over TLS.
    pub(super) fn suitable(&self, secure: bool) -> impl Iterator<Item = Transport> {
        let transports = self.transports.iter().copied();
        transports.filter(move |transport| transport.is_secure() || !secure)
    }

    /// The transport where neither the target nor DNS names one: UDP for `sip` and TLS for `sips`
    /// (RFC 3263 §4.1); an element without UDP takes the one that reaches most servers.
    pub(super) fn usual(&self, secure: bool) -> Option<Transport> {
        let usual = [Transport::Udp, Transport::Tcp, Transport::Tls];
        usual
            .into_iter()
            .find(|&usual| self.suitable(secure).any(|transport| transport == usual))
    }
}

/// Which addresses of a server are used, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOrder {
    /// Both families, in the order of the answer: that of RFC 6724, where the resolver sorts by it
    /// (RFC 7984 §4.1 asks for it).
    AsGiven,
    /// Both families, IPv6 first; by chance within each.
    Ipv6First,
    /// Both families, IPv4 first; by chance within each.
    Ipv4First,
    /// IPv6 alone, by chance.
    Ipv6Only,
    /// IPv4 alone, by chance.
    Ipv4Only,
}

impl AddressOrder {
    /// Whether addresses of IPv4 are used.
    pub fn ipv4(self) -> bool {
        self != Self::Ipv6Only
    }

    /// Whether addresses of IPv6 are used.
    pub fn ipv6(self) -> bool {
        self != Self::Ipv4Only
    }

    /// Brings addresses into this order, without those of a family not in use.
    pub(super) fn apply(self, addresses: &mut Vec<Address>, mut chance: Chance) {
        addresses.retain(|address| {
            if address.ip.is_ipv6() {
                self.ipv6()
            } else {
                self.ipv4()
            }
        });
        if self == Self::AsGiven {
            return;
        }
        // Sorted first, so that a seed decides and not the rotation of the server (RFC 3263 §4.4).
        addresses.sort_unstable();
        chance.shuffle(addresses);
        addresses.sort_by_key(|address| address.ip.is_ipv6() != (self == Self::Ipv6First));
    }
}
