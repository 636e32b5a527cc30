//! Responses: back over the flow that the branch of the edge's own Via names.

use wharf_sip::flow::SealedFlow;
use wharf_sip::route::{ResponseRoute, ResponseRules, ResponseStep};
use wharf_sip::{Transport, Via};

use super::Edge;
use super::tokens::{Side, Token};
use crate::{FlowRef, ForwardError, Incoming, Outgoing, SendError, Sip};

impl Edge {
    pub(super) fn response(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) {
        let stats = self.counters();
        let sip = out.sip();
        let Some((token, below)) = self.asked_for(incoming, &sip) else {
            return stats.strays.add(1);
        };
        let Ok(flow) = sip.find(&token.sealed) else {
            return stats.gone.add(1);
        };
        let flow = as_the_via_says(flow, &token.sealed, below);
        let stream = matches!(flow.flow.transport, Transport::Tcp | Transport::Tls);
        let sent = out.forward(incoming, &flow, |edit| {
            edit.pop_via()?;
            if stream {
                edit.ensure_content_length()?;
            }
            Ok(())
        });
        match sent {
            Ok(()) => stats.responses.add(1),
            Err(ForwardError::Send(SendError::FlowGone)) => stats.gone.add(1),
            Err(_) => stats.lost.add(1),
        }
    }

    /// Where the response goes, and the Via of whom it goes to; `None` for one that the edge has not asked
    /// for (RFC 3261 §16.7 step 3, §18.1.2), or that a client sends to another.
    fn asked_for<'a>(&self, incoming: &Incoming<'a>, sip: &Sip) -> Option<(Token, Via<'a>)> {
        let vias = incoming.scan.via?;
        let own = Via::parse(vias.top.of(incoming.message)).ok()?;
        let below = Via::parse(vias.next?.of(incoming.message)).ok()?;
        let token = self.tokens().in_branch(&own)?;
        let allowed = token.side == Side::Upstream || self.side(incoming, sip) == Side::Upstream;
        (allowed && self.names().is_host(own.host)).then_some((token, below))
    }
}

/// Over UDP a response goes to the port of sent-by, unless `rport` asks for that which the request came from
/// (RFC 3261 §18.2.2, RFC 3581 §4); and never to another address than that.
fn as_the_via_says(flow: FlowRef, sealed: &SealedFlow, below: Via<'_>) -> FlowRef {
    if flow.flow.transport != Transport::Udp {
        return flow;
    }
    let rules = ResponseRules {
        follow_maddr: false,
        try_elsewhere: false,
    };
    let remote = sealed.flow.remote;
    match ResponseRoute::new(Transport::Udp, below, rules).next() {
        Some(ResponseStep::Datagram { address, .. })
            if address.ip() == remote.ip().to_canonical() =>
        {
            let remote = (remote.ip(), address.port()).into();
            FlowRef::datagrams(flow.flow.local, remote)
        }
        _ => flow,
    }
}
