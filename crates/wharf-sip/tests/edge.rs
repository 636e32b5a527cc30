//! A stateless edge made of the crate's parts: a phone on a WebSocket calls one on UDP, and is called
//! back over the connection that it opened. Only the sockets are missing.

#![allow(
    clippy::disallowed_methods,
    reason = "the time a test begins at may be any"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use wharf_sip::delivery::{Delivery, DeliveryStep};
use wharf_sip::destinations::{DestinationRules, Destinations};
use wharf_sip::flow::{Flow, FlowError, FlowId, FlowTable, FlowTokens};
use wharf_sip::locate::{LocateRules, Locator, Target, seed_of};
use wharf_sip::route::{Onward, ResponseRoute, ResponseRules, ResponseStep, SentBy, SizeSwitch};
use wharf_sip::{Editor, Host, Limits, OwnedHost, Scan, Transport, Via};

/// Where the edge sends a message.
#[derive(Debug, PartialEq)]
enum Way {
    Flow(FlowId),
    Datagram(SocketAddr),
}

struct Edge {
    name: SentBy,
    flows: FlowTable,
    tokens: FlowTokens,
    destinations: Destinations,
    editor: Editor,
}

impl Edge {
    fn new() -> Self {
        let name = OwnedHost::new(Host::Name("edge.example")).unwrap();
        Self {
            name: SentBy::new(name, None).unwrap(),
            flows: FlowTable::new(100),
            tokens: FlowTokens::new(&[7; 32]),
            destinations: Destinations::new(DestinationRules::default()),
            editor: Editor::default(),
        }
    }

    /// Forwards a request that came over `flow`: where to, and the message as it goes there.
    fn request(
        &mut self,
        message: &str,
        flow: &Flow,
        id: FlowId,
    ) -> Result<(Way, String), FlowError> {
        let message = message.as_bytes();
        let scan = Scan::of(message, &Limits::default()).unwrap();
        let onward = Onward::of(message, &scan, |uri| self.name.is_in(uri)).unwrap();
        let token = onward
            .token
            .map(|token| self.tokens.open(token))
            .transpose()?;
        let way = if let Some(sealed) = token {
            Way::Flow(self.flows.find(&sealed)?)
        } else {
            Way::Datagram(self.locate(&onward, &scan, message))
        };
        // The response finds its way back by the token in the branch, since nothing is kept here.
        let token = self.tokens.seal(id, flow);
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bK{token}", self.name);
        let route = format!("<sip:{token}@{};lr>", self.name);
        let mut out = Vec::new();
        let mut edit = self.editor.edit(message, &scan);
        for _ in 0..onward.own {
            edit.pop_route().unwrap();
        }
        edit.stamp_via(flow.remote).unwrap();
        edit.push_via(&via)
            .unwrap()
            .push_record_route(&route)
            .unwrap();
        edit.decrement_max_forwards()
            .unwrap()
            .write(&mut out)
            .unwrap();
        Ok((way, String::from_utf8(out).unwrap()))
    }

    fn locate(&mut self, onward: &Onward<'_>, scan: &Scan, message: &[u8]) -> SocketAddr {
        let via = Via::parse(scan.via.unwrap().top.of(message)).unwrap();
        let seed = seed_of(&[1; 16], via.branch().unwrap());
        let target = Target::of(&onward.next).unwrap();
        let locator = Locator::new(&target, Arc::new(LocateRules::default()), seed).unwrap();
        let mut delivery = Delivery::new(locator, message.len(), SizeSwitch::default());
        match delivery.next(Instant::now(), &mut self.destinations, |_| None) {
            DeliveryStep::Send(send) => send.attempt.destination,
            other => panic!("the target is an address: {other:?}"),
        }
    }

    /// Forwards a response: none when it is not for this edge.
    fn response(&mut self, message: &str) -> Option<(Result<Way, FlowError>, String)> {
        let message = message.as_bytes();
        let scan = Scan::of(message, &Limits::default()).unwrap();
        let vias = scan.via.unwrap();
        let own = Via::parse(vias.top.of(message)).unwrap();
        if !self.name.wrote(&own) {
            return None;
        }
        let token = own.branch()?.strip_prefix(b"z9hG4bK")?;
        let sealed = self.tokens.open(str::from_utf8(token).ok()?);
        let below = Via::parse(vias.next?.of(message)).unwrap();
        let transport = below.transport().unwrap();
        let step = ResponseRoute::new(transport, below, ResponseRules::default()).next()?;
        let way = match step {
            ResponseStep::Connection => sealed
                .and_then(|sealed| self.flows.find(&sealed))
                .map(Way::Flow),
            ResponseStep::Datagram { address, .. } => Ok(Way::Datagram(address)),
            other => panic!("{other:?}"),
        };
        let mut out = Vec::new();
        self.editor
            .edit(message, &scan)
            .pop_via()
            .unwrap()
            .write(&mut out)
            .unwrap();
        Some((way, String::from_utf8(out).unwrap()))
    }
}

/// The value of the first header field of this name.
fn field(message: &str, name: &str) -> String {
    let scan = Scan::of(message.as_bytes(), &Limits::default()).unwrap();
    let mut fields = scan.fields(message.as_bytes());
    let field = fields.find(|field| field.is(name, None)).unwrap();
    String::from_utf8(field.value.to_vec()).unwrap()
}

const INVITE: &str = "INVITE sip:bob@192.0.2.7 SIP/2.0\r\n\
    Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\n\
    Max-Forwards: 70\r\nRoute: <sip:edge.example;lr>\r\n\
    From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
    Call-ID: c1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

/// The answer of a phone: it copies the Vias and the Record-Route.
fn answer(request: &str) -> String {
    let kept = request.lines().filter(|line| {
        ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .any(|name| line.starts_with(&format!("{name}:")))
    });
    let kept = kept.collect::<Vec<_>>().join("\r\n");
    format!("SIP/2.0 200 OK\r\n{kept}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn a_websocket_phone_and_a_udp_phone_reach_each_other_through_a_stateless_edge() {
    let mut edge = Edge::new();
    let alice = Flow {
        transport: Transport::Ws,
        local: "192.0.2.1:80".parse().unwrap(),
        remote: "198.51.100.9:49152".parse().unwrap(),
    };
    let id = edge.flows.insert(alice).unwrap();

    let (way, invite) = edge.request(INVITE, &alice, id).unwrap();
    assert_eq!(way, Way::Datagram("192.0.2.7:5060".parse().unwrap()));
    assert!(
        !invite.contains("\r\nRoute:"),
        "the edge took its own away: {invite}"
    );
    assert!(invite.contains("df7jal23ls0d.invalid;branch=z9hG4bK56sdasks;received=198.51.100.9"));
    assert_eq!(field(&invite, "Max-Forwards"), "69");

    let (way, ok) = edge.response(&answer(&invite)).unwrap();
    assert_eq!(way, Ok(Way::Flow(id)));
    assert_eq!(
        field(&ok, "Via"),
        "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks;received=198.51.100.9"
    );

    // Bob hangs up: his Route is the Record-Route of the edge.
    let bob = Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.7:5060".parse().unwrap(),
    };
    let bye = format!(
        "BYE sip:alice@df7jal23ls0d.invalid;transport=ws SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKbob;rport\r\nMax-Forwards: 70\r\nRoute: {}\r\n\
         From: <sip:bob@example.com>;tag=2\r\nTo: <sip:alice@example.com>;tag=1\r\n\
         Call-ID: c1\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        field(&ok, "Record-Route")
    );
    let (way, forwarded) = edge.request(&bye, &bob, FlowId::default()).unwrap();
    assert_eq!(way, Way::Flow(id));
    let (way, _) = edge.response(&answer(&forwarded)).unwrap();
    assert_eq!(way, Ok(Way::Datagram(bob.remote)));

    // K6: when Alice is gone, a request to her is answered with 430, and a response is dropped.
    edge.flows.remove(id);
    let gone = edge.request(&bye, &bob, FlowId::default()).unwrap_err();
    assert_eq!((gone, gone.status()), (FlowError::Gone, 430));
    assert_eq!(
        edge.response(&answer(&invite)).unwrap().0,
        Err(FlowError::Gone)
    );

    // Somebody who makes up a token reaches nobody.
    let forged = bye.replace("sip:AAAA", "sip:BAAA");
    assert_ne!(forged, bye);
    let refused = edge.request(&forged, &bob, FlowId::default()).unwrap_err();
    assert_eq!(refused.status(), 403);
    // C8: a response that the edge did not ask for is none of its business.
    let stray = answer(&invite).replace("SIP/2.0/UDP edge.example", "SIP/2.0/UDP 255.255.255.255");
    assert!(edge.response(&stray).is_none());
}
