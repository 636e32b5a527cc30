//! A stateless proxy (RFC 3261 §16.11) with one place to go: what it needs of a response, its Via says.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, OnceLock};

use wharf_sip::flow::FlowTokens;
use wharf_sip::{StartLine, Via};
use wharf_sip_transport::{FlowRef, Incoming, Outgoing, Sip, Taken, Upper};

use crate::served::Served;

/// Sends each request on over one flow, and each response back over the flow that its request came on.
#[derive(Clone)]
pub(crate) struct Forwarder {
    tokens: FlowTokens,
    onward: Arc<OnceLock<(Sip, FlowRef)>>,
}

/// What every branch begins with (RFC 3261 §8.1.1.7), and the hash of the one before it.
const COOKIE: &str = "z9hG4bK";
const HASH: usize = 16;

impl Forwarder {
    pub(crate) fn new() -> Self {
        Self {
            tokens: FlowTokens::new(&[9; 32]),
            onward: Arc::default(),
        }
    }

    /// Where requests go from now on; none came before.
    pub(crate) fn lead(&self, served: &Served, onward: FlowRef) {
        let led = self.onward.set((served.sip.clone(), onward));
        assert!(led.is_ok(), "led twice");
    }

    fn request(&self, incoming: &Incoming<'_>, onward: &FlowRef, out: &mut Outgoing<'_>) {
        let (message, came) = (incoming.message, &incoming.flow);
        let via = incoming.scan.via.expect("a Via").top.of(message);
        // A retransmission gets the same branch, another transaction another one.
        let before = Via::parse(via).expect("a Via").parameters;
        let before = before.get("branch").expect("a branch");
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(before.value);
        let token = self.tokens.seal(came.id, &came.flow);
        let name = onward.flow.transport.name();
        let local = onward.flow.local;
        let own = format!("SIP/2.0/{name} {local};branch={COOKIE}{hash:016x}{token};rport");
        let sent = out.forward(incoming, onward, |edit| {
            edit.stamp_via(incoming.source)?
                .decrement_max_forwards()?
                .push_via(&own)?;
            Ok(())
        });
        sent.expect("forwarded");
    }

    fn response(&self, incoming: &Incoming<'_>, sip: &Sip, out: &mut Outgoing<'_>) {
        let via = incoming.scan.via.expect("a Via").top.of(incoming.message);
        let branch = Via::parse(via).expect("our Via").parameters.get("branch");
        let branch = branch.and_then(|branch| std::str::from_utf8(branch.value?).ok());
        let token = &branch.expect("our branch")[COOKIE.len() + HASH..];
        let sealed = self.tokens.open(token).expect("our token");
        // A caller that has hung up in the meantime is no failure.
        let Ok(flow) = sip.find(&sealed) else { return };
        let sent = out.forward(incoming, &flow, |edit| edit.pop_via().map(drop));
        sent.expect("forwarded");
    }
}

impl Upper for Forwarder {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let (sip, onward) = self.onward.get().expect("a place to go");
        match incoming.scan.start {
            StartLine::Request { .. } => self.request(incoming, onward, out),
            StartLine::Response { .. } => self.response(incoming, sip, out),
        }
        Taken::Yes
    }
}
