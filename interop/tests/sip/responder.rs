//! A user agent server that answers each request by itself, and tells the test what it saw.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use wharf_sip::{Reply, Transport};
use wharf_sip_transport::{Incoming, Outgoing, Taken, Upper};

use crate::served::SOON;

/// Answers 200 to each request but an ACK, without keeping anything of it (RFC 3261 §8.2.7). The answer has the
/// Record-Route of its request, and a Contact: that of a REGISTER is the one to be registered, that of others
/// this server's. Whoever registers a flow is asked for a keep-alive every two seconds (RFC 5626 §6).
pub(crate) struct Responder {
    seen: Mutex<Sender<Seen>>,
    /// What was dropped once, where the first copy of each request is.
    dropped: Option<Mutex<HashSet<Vec<u8>>>>,
}

/// A message that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The method of a request; of a response its CSeq's.
    pub(crate) method: String,
    pub(crate) transport: Transport,
    /// Who sent it, as the layer says it.
    pub(crate) source: SocketAddr,
    /// Whom the socket is connected to.
    pub(crate) remote: SocketAddr,
    /// The length of its body.
    pub(crate) body: usize,
    pub(crate) text: String,
}

/// What a responder saw, in order.
pub(crate) struct Record(Receiver<Seen>);

impl Seen {
    pub(crate) fn of(incoming: &Incoming<'_>) -> Self {
        let (message, scan) = (incoming.message, incoming.scan);
        let method = scan.method(message).or_else(|| scan.cseq_method(message));
        Self {
            method: String::from_utf8_lossy(method.unwrap_or_default()).into_owned(),
            transport: incoming.flow.flow.transport,
            source: incoming.source,
            remote: incoming.flow.flow.remote,
            body: message.len() - scan.head as usize,
            text: String::from_utf8_lossy(message).into_owned(),
        }
    }
}

impl Record {
    /// The next message, when it has come.
    #[track_caller]
    pub(crate) fn next(&self) -> Seen {
        self.0.recv_timeout(SOON).expect("a message")
    }

    /// What has come so far and was not looked at.
    pub(crate) fn so_far(&self) -> Vec<Seen> {
        self.0.try_iter().collect()
    }
}

/// How many there are of each method.
pub(crate) fn methods(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut methods = BTreeMap::new();
    for seen in seen {
        *methods.entry(seen.method.as_str()).or_default() += 1;
    }
    methods
}

impl Responder {
    pub(crate) fn new() -> (Self, Record) {
        let (seen, record) = mpsc::channel();
        let responder = Self {
            seen: Mutex::new(seen),
            dropped: None,
        };
        (responder, Record(record))
    }

    /// One that acts as if the first copy of each request were lost on its way: neither answered nor recorded.
    pub(crate) fn losing_first() -> (Self, Record) {
        let (responder, record) = Self::new();
        let responder = Self {
            dropped: Some(Mutex::default()),
            ..responder
        };
        (responder, record)
    }

    fn loses(&self, incoming: &Incoming<'_>) -> bool {
        let Some(dropped) = &self.dropped else {
            return false;
        };
        let mut dropped = dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.insert(incoming.message.to_vec())
    }
}

impl Upper for Responder {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        if self.loses(incoming) {
            return Taken::Yes;
        }
        let seen = Seen::of(incoming);
        if incoming.scan.method(incoming.message).is_some() && seen.method != "ACK" {
            answer(&seen, incoming, out);
        }
        let sender = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The test may have seen enough and be over.
        let _ = sender.send(seen);
        Taken::Yes
    }
}

fn answer(seen: &Seen, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) {
    let flow = incoming.flow.flow;
    let transport = in_uri(flow.transport);
    let own = format!("<sip:{};transport={transport}>", flow.local);
    let mut fields = vec![("Server", "responder")];
    if seen.method == "REGISTER" {
        if seen.text.contains(";reg-id=") {
            fields.extend([("Require", "outbound"), ("Flow-Timer", "2")]);
        }
    } else {
        fields.push(("Contact", own.as_str()));
    }
    for field in incoming.scan.fields(incoming.message) {
        let value = std::str::from_utf8(field.value).expect("peers write UTF-8");
        if field.is("Record-Route", None) {
            fields.push(("Record-Route", value));
        } else if field.is("Contact", Some(b'm')) && seen.method == "REGISTER" {
            fields.push(("Contact", value));
        }
    }
    let reply = Reply {
        code: 200,
        reason: "OK",
        tag: "responder",
        source: None,
        fields: &fields,
    };
    out.respond(incoming, &reply).expect("a request with a Via");
}

/// How a URI has a transport. RFC 7118 §5: a WebSocket is `ws`, over TLS too.
pub(crate) fn in_uri(transport: Transport) -> String {
    match transport {
        Transport::Wss => "ws".to_owned(),
        other => other.name().to_ascii_lowercase(),
    }
}
