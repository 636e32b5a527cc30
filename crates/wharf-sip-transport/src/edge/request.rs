//! Requests: from clients to the upstream, and from the upstream to one client by a flow token.

use bytes::Bytes;
use wharf_sip::route::OwnRoutes;
use wharf_sip::{Edit, EditError, Editor, Priority, Scheme, StartLine, Transport, Uri, Via};

use super::Edge;
use super::names::Hop;
use super::refusal::{BAD_EXTENSION, Refusal, demands};
use super::tokens::Side;
use super::upstream::Way;
use crate::{FlowRef, ForwardError, Incoming, Outgoing, Sip, SipError, Taken};

/// What is changed in a request that goes on.
struct Changes {
    /// Routes that name the edge.
    own: usize,
    via: String,
    /// Fields to put on top, the last one uppermost.
    fields: Vec<(&'static str, String)>,
    stream: bool,
}

impl Changes {
    fn make(&self, edit: &mut Edit<'_>, incoming: &Incoming<'_>) -> Result<(), EditError> {
        edit.decrement_max_forwards()?
            .pop_routes(self.own)?
            .stamp_via(incoming.source)?;
        if self.stream {
            edit.ensure_content_length()?;
        }
        for (name, value) in &self.fields {
            edit.push_field(name, value)?;
        }
        edit.push_via(&self.via)?;
        Ok(())
    }
}

impl Edge {
    pub(super) fn request(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        if self.is_our_ack(incoming) {
            return Taken::Yes;
        }
        if self.is_for_us(incoming) {
            self.counters().answered.add(1);
            self.respond(incoming, out, Refusal(200, "OK"));
            return Taken::Yes;
        }
        let from = self.side(incoming, &out.sip());
        match self.onward(incoming, from, out) {
            Ok(Taken::Full) => return Taken::Full,
            Ok(Taken::Yes) if from == Side::Client => self.counters().to_upstream.add(1),
            Ok(Taken::Yes) => self.counters().to_clients.add(1),
            Err(refusal) => {
                self.counters().refused.add(1);
                self.respond(incoming, out, refusal);
            }
        }
        Taken::Yes
    }

    fn onward(
        &self,
        incoming: &Incoming<'_>,
        from: Side,
        out: &mut Outgoing<'_>,
    ) -> Result<Taken, Refusal> {
        if self.is_ours(incoming) {
            // RFC 3261 §16.3 step 4.
            return Err(Refusal(482, "Loop Detected"));
        }
        if demands(incoming).is_some() {
            return Err(BAD_EXTENSION);
        }
        let is_own = |uri: &Uri<'_>| self.is_own(uri, incoming);
        let own = OwnRoutes::of(incoming.message, incoming.scan, is_own);
        let own = own.map_err(|_| Refusal(400, "Bad Route"))?;
        let way = self.way(incoming, from, own.token, &out.sip())?;
        let hop = way.hop;
        let is_upstream = hop.side == Side::Upstream;
        if scheme(incoming) == Scheme::Sips && !hop.transport.is_secure() && is_upstream {
            // RFC 5630 §3.1.4: each hop is to be secure.
            return Err(Refusal(480, "SIPS Not Allowed"));
        }
        let changes = self.changes(incoming, from, own.count, hop, way.flow.as_ref());
        match way.flow {
            Some(flow) if !way.managed => {
                out.forward(incoming, &flow, |edit| changes.make(edit, incoming))?;
                Ok(Taken::Yes)
            }
            _ => self.deliver(incoming, &changes, out),
        }
    }

    /// Has the manager bring a request to the upstream.
    fn deliver(
        &self,
        incoming: &Incoming<'_>,
        changes: &Changes,
        out: &Outgoing<'_>,
    ) -> Result<Taken, Refusal> {
        let Some(place) = self.upstream().place() else {
            return Ok(Taken::Full);
        };
        let (mut editor, mut message) = (Editor::default(), Vec::new());
        let mut edit = editor.edit(incoming.message, incoming.scan);
        let changed = changes.make(&mut edit, incoming);
        changed
            .and_then(|()| edit.write(&mut message))
            .map_err(ForwardError::from)?;
        let (edge, sip) = (self.clone(), out.sip());
        let (scan, flow, source) = (*incoming.scan, back(incoming), incoming.source);
        let (request, tag) = (Bytes::copy_from_slice(incoming.message), self.tag(incoming));
        let failed = move |error: &SipError| {
            edge.counters().refused.add(1);
            let reply = Refusal::from(error).reply(&tag, Some(source));
            let (mut editor, mut answer) = (Editor::default(), Vec::new());
            let mut edit = editor.edit(&request, &scan);
            let written = edit
                .respond(&reply)
                .and_then(|edit| edit.write(&mut answer));
            if written.is_ok() {
                // The client may have left.
                let _ = sip.send(&flow, answer.into(), Priority::High);
            }
        };
        let seed = self.tokens().transaction(incoming.message, incoming.scan);
        self.bring(message.into(), seed, place, failed);
        Ok(Taken::Yes)
    }

    /// Where a request goes: to which side, and how.
    fn way(
        &self,
        incoming: &Incoming<'_>,
        from: Side,
        token: Option<&str>,
        sip: &Sip,
    ) -> Result<Way, Refusal> {
        let token = token.map(|token| self.tokens().open(token)).transpose()?;
        let upstream = || self.upstream().way(sip, incoming.message.len());
        match (from, token) {
            (Side::Upstream, Some(token)) if token.side == Side::Client => {
                Ok(Way::over(Side::Client, sip.find(&token.sealed)?))
            }
            // To nobody but those who have connected, or sent, to the edge themselves.
            (Side::Upstream, _) => Err(Refusal(403, "No Flow Token")),
            // The server that the dialog is with; another one, should the connection be gone.
            (Side::Client, Some(token)) if token.side == Side::Upstream => {
                let there = sip.find(&token.sealed).ok();
                let there = there.map(|flow| Way::over(Side::Upstream, flow));
                Ok(there.map_or_else(upstream, Ok)?)
            }
            // RFC 5626 §5.3.1: one that comes over the flow of its token goes the other way.
            (Side::Client, Some(token)) if token.sealed.flow != incoming.flow.flow => {
                Err(Refusal(403, "Not Your Flow"))
            }
            (Side::Client, _) => Ok(upstream()?),
        }
    }

    fn changes(
        &self,
        incoming: &Incoming<'_>,
        from: Side,
        own: usize,
        hop: Hop,
        flow: Option<&FlowRef>,
    ) -> Changes {
        let (names, tokens) = (self.names(), self.tokens());
        let back = tokens.seal(from, &incoming.flow);
        let scheme = scheme(incoming);
        let mut fields = Vec::new();
        match incoming.scan.method(incoming.message) {
            // RFC 3327 §5.2, RFC 5626 §5.1: `ob` from the first that the client's request came to.
            Some(b"REGISTER") if from == Side::Client => {
                let first = incoming.scan.via.is_some_and(|via| via.next.is_none());
                let parameters = if first { ";ob" } else { "" };
                fields.push(("Path", names.route(hop, scheme, &back, parameters)));
            }
            // RFC 3261 §12.1, RFC 6665 §4.4.1, RFC 3515 §2.4.4: what may form a dialog.
            Some(b"INVITE" | b"SUBSCRIBE" | b"NOTIFY" | b"REFER") => {
                // RFC 5658 §3.2: one for each side, and in each what leads to the other.
                let forth = flow.map_or_else(String::new, |flow| tokens.seal(hop.side, flow));
                let here = Hop::of(from, &incoming.flow.flow);
                fields.push(("Record-Route", names.route(here, scheme, &forth, "")));
                fields.push(("Record-Route", names.route(hop, scheme, &back, "")));
            }
            _ => {}
        }
        let branch = tokens.branch(incoming.message, incoming.scan, &back);
        Changes {
            own,
            via: names.via(hop, &branch),
            fields,
            stream: matches!(hop.transport, Transport::Tcp | Transport::Tls),
        }
    }

    /// Whether the request has come back to the edge without anybody in between.
    fn is_ours(&self, incoming: &Incoming<'_>) -> bool {
        let top = incoming.scan.via.map(|via| via.top.of(incoming.message));
        let via = top.and_then(|top| Via::parse(top).ok());
        via.is_some_and(|via| {
            self.names().is_host(via.host) && self.tokens().in_branch(&via).is_some()
        })
    }

    /// Whether a Route names the edge: one of its own, or one that a client has been given.
    fn is_own(&self, uri: &Uri<'_>, incoming: &Incoming<'_>) -> bool {
        let names = self.names();
        let user = || uri.user.and_then(|user| str::from_utf8(user).ok());
        names.is_in(uri, &incoming.flow.flow)
            || names.is_host(uri.host)
                && user().is_some_and(|user| self.tokens().open(user).is_ok())
    }

    /// Whether it asks the edge itself whether it is there (RFC 3261 §11).
    fn is_for_us(&self, incoming: &Incoming<'_>) -> bool {
        let StartLine::Request { method, target } = incoming.scan.start else {
            return false;
        };
        method.of(incoming.message) == b"OPTIONS"
            && Uri::parse(target.of(incoming.message)).is_ok_and(|uri| {
                uri.user.is_none() && self.names().is_in(&uri, &incoming.flow.flow)
            })
    }
}

/// The flow of an answer that is sent later on: over UDP to the port of sent-by, unless `rport` asks for the one
/// that the request came from (RFC 3261 §18.2.2, RFC 3581 §4).
fn back(incoming: &Incoming<'_>) -> FlowRef {
    let FlowRef { flow, .. } = incoming.flow;
    let via = incoming.scan.via.map(|via| via.top.of(incoming.message));
    match via.and_then(|via| Via::parse(via).ok()) {
        Some(via) if flow.transport == Transport::Udp && via.rport().is_none() => {
            let port = via.port.unwrap_or(Transport::Udp.default_port());
            FlowRef::datagrams(flow.local, (flow.remote.ip(), port).into())
        }
        _ => incoming.flow,
    }
}

/// The scheme that the way of a request has to have.
fn scheme(incoming: &Incoming<'_>) -> Scheme {
    let target = incoming.scan.target(incoming.message);
    let uri = target.and_then(|target| Uri::parse(target).ok());
    uri.map_or(Scheme::Sip, |uri| uri.scheme)
}
