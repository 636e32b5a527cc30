//! Connections that a peer has opened, used for requests to it as well (RFC 5923).

use std::sync::PoisonError;

use wharf_sip::alias::{AliasOffer, AliasRefusal, AliasTable, AliasWanted};
use wharf_sip::identity::Side;
use wharf_sip::{StartLine, Via};

use crate::flows::Entry;
use crate::layer::Inner;
use crate::{FlowRef, Incoming, Sip};

impl Sip {
    /// A connection that the peer has opened and offered for this request, by `;alias` in a request of its own
    /// over TLS with a certificate: to be used in place of a new one. None where there is no such connection.
    pub fn alias(&self, wanted: &AliasWanted<'_>) -> Option<FlowRef> {
        let layer = self.layer();
        let id = layer.with_aliases(|aliases| aliases.find(wanted))?;
        layer.flows.get(id).map(|entry| entry.flow)
    }

    /// How many aliases there are. One connection may have several.
    pub fn aliases(&self) -> usize {
        self.layer().with_aliases(|aliases| aliases.len())
    }
}

impl Inner {
    fn with_aliases<R>(&self, function: impl FnOnce(&mut AliasTable) -> R) -> R {
        function(&mut self.aliases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the offer of a request, if it makes one. Only a peer that has shown a certificate makes any: over
    /// plain TCP anybody can write `;alias` (RFC 5923 §10).
    pub(crate) fn take_offer(&self, entry: &Entry, incoming: &Incoming<'_>) {
        let Some(peer) = entry.peer.as_deref() else {
            return;
        };
        let is_request = matches!(incoming.scan.start, StartLine::Request { .. });
        if peer.side != Side::Client || !is_request {
            return;
        }
        let via = incoming.scan.via;
        let Some(via) = via.and_then(|via| Via::parse(via.top.of(incoming.message)).ok()) else {
            return;
        };
        let hosts = &self.options.virtual_hosts;
        let offer = AliasOffer {
            via,
            transport: entry.flow.flow.transport,
            source: entry.source().ip(),
            local: peer.asked.as_ref().filter(|asked| hosts.contains(asked)),
            identities: &peer.identities,
            flow: entry.flow.id,
        };
        let taken = self.with_aliases(|aliases| aliases.offer(&offer));
        if matches!(taken, Err(AliasRefusal::Full | AliasRefusal::TooMany)) {
            self.counters.aliases_refused.add(1);
        }
    }

    /// A connection has closed: it is an alias for nothing any more.
    pub(crate) fn forget_aliases(&self, entry: &Entry) {
        if entry.peer.is_some() {
            self.with_aliases(|aliases| aliases.close(entry.flow.id));
        }
    }
}
