//! What the edge answers itself.

use std::net::SocketAddr;

use wharf_sip::Reply;
use wharf_sip::flow::FlowError;

use super::Edge;
use crate::{ForwardError, Incoming, Outgoing, SendError, SipError};

/// Why a request is refused: the status to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

impl Refusal {
    pub(super) fn reply<'a>(&self, tag: &'a str, source: Option<SocketAddr>) -> Reply<'a> {
        Reply {
            code: self.0,
            reason: self.1,
            tag,
            source,
            fields: &[],
        }
    }
}

impl From<&SipError> for Refusal {
    fn from(error: &SipError) -> Self {
        match error {
            SipError::Message(_) | SipError::Unreadable(_) => Self(400, "Bad Request"),
            SipError::Send(error) => (*error).into(),
            // RFC 3261 §16.9: as if the upstream had said so.
            _ => Self(503, "Upstream Unreachable"),
        }
    }
}

impl From<FlowError> for Refusal {
    /// RFC 5626 §5.3.
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Forged => Self(403, "Bad Flow Token"),
            FlowError::Gone => Self(430, "Flow Failed"),
        }
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        ForwardError::from(error).into()
    }
}

impl From<ForwardError> for Refusal {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Edit(error) => {
                let (code, reason) = error.status().unwrap_or((400, "Bad Request"));
                Self(code, reason)
            }
            ForwardError::Send(SendError::FlowGone) => FlowError::Gone.into(),
            // RFC 3261 §21.5.7.
            ForwardError::Send(SendError::TooLarge(_)) => Self(513, "Message Too Large"),
            ForwardError::Send(_) => Self(503, "Service Unavailable"),
        }
    }
}

/// RFC 3261 §16.3 step 5.
pub(super) const BAD_EXTENSION: Refusal = Refusal(420, "Bad Extension");

impl Edge {
    /// Answers; an ACK has no answer.
    pub(super) fn respond(
        &self,
        incoming: &Incoming<'_>,
        out: &mut Outgoing<'_>,
        refusal: Refusal,
    ) {
        let tag = self.tag(incoming);
        let unsupported = demands(incoming).filter(|_| refusal == BAD_EXTENSION);
        let fields = unsupported.as_deref().map(|all| ("Unsupported", all));
        let reply = Reply {
            fields: fields.as_slice(),
            ..refusal.reply(&tag, None)
        };
        // Nothing can be said to what has no Via.
        let _ = out.respond(incoming, &reply);
    }

    /// The tag of answers to this request: the same for each retransmission.
    pub(super) fn tag(&self, incoming: &Incoming<'_>) -> String {
        let transaction = self.tokens().transaction(incoming.message, incoming.scan);
        format!("edge-{transaction:016x}")
    }

    /// Whether it is the ACK of an answer of the edge's own, which goes nowhere (RFC 3261 §17.1.1.3).
    pub(super) fn is_our_ack(&self, incoming: &Incoming<'_>) -> bool {
        let (message, scan) = (incoming.message, incoming.scan);
        if scan.method(message) != Some(b"ACK") {
            return false;
        }
        let tag = self.tag(incoming);
        let to = scan
            .fields(message)
            .find(|field| field.is("To", Some(b't')));
        to.is_some_and(|to| to.value.ends_with(tag.as_bytes()))
    }
}

/// What a request demands of proxies (RFC 3261 §20.29), all of which this one does not have; those that
/// concern a request under way demand nothing (§8.2.2.3, §9.1).
pub(super) fn demands(incoming: &Incoming<'_>) -> Option<String> {
    let (message, scan) = (incoming.message, incoming.scan);
    if matches!(scan.method(message), Some(b"ACK" | b"CANCEL")) {
        return None;
    }
    let fields = scan
        .fields(message)
        .filter(|field| field.is("Proxy-Require", None));
    let values = fields.map(|field| String::from_utf8_lossy(field.value).into_owned());
    let all = values
        .collect::<Vec<_>>()
        .join(",")
        .replace(['\r', '\n'], "");
    (!all.is_empty()).then_some(all)
}
