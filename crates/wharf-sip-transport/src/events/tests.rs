use wharf_sip::Limits;
use wharf_sip::identity::CertificateNames;

use super::*;
use crate::outgoing::{Way, with_outgoing};
use crate::{CloseReason, Sip, SipOptions};

struct Nowhere;

impl Way for Nowhere {
    fn send(&mut self, _message: &[u8]) {}

    fn direct(&mut self, _to: &FlowRef, _message: &[u8]) -> bool {
        true
    }
}

/// Lanes whose layer has somebody else above it.
struct Site {
    lanes: Lanes,
    sip: Sip,
}

struct Nobody;

impl Upper for Nobody {
    fn message(&self, _incoming: &Incoming<'_>, _out: &mut Outgoing<'_>) -> Taken {
        Taken::Yes
    }
}

fn site(capacity: usize) -> (Site, Arrivals) {
    let (lanes, arrivals) = lanes(capacity);
    let sip = Sip::new(SipOptions::default(), Nobody);
    (Site { lanes, sip }, arrivals)
}

fn flow() -> FlowRef {
    let address = |text: &str| text.parse().unwrap();
    FlowRef::datagrams(address("192.0.2.1:5060"), address("192.0.2.2:5060"))
}

impl Site {
    fn message(&self, line: &str) -> Taken {
        self.message_of(line, None)
    }

    fn message_of(&self, line: &str, identities: Option<&Identities>) -> Taken {
        let message = format!("{line}\r\nVia: SIP/2.0/UDP a\r\n\r\n");
        let scan = Scan::of(message.as_bytes(), &Limits::default()).unwrap();
        let incoming = Incoming {
            message: message.as_bytes(),
            scan: &scan,
            flow: flow(),
            source: flow().flow.remote,
            at: tokio::time::Instant::now().into_std(),
            connection: None,
            identities,
        };
        with_outgoing(self.sip.layer(), &mut Nowhere, |out| {
            self.lanes.message(&incoming, out)
        })
    }
}

/// What an arrival is, in a word.
async fn next(arrivals: &mut Arrivals) -> String {
    match arrivals.recv().await.unwrap() {
        Arrival::Event(Event::Opened(_)) => "opened".to_owned(),
        Arrival::Event(Event::Closed(..)) => "closed".to_owned(),
        Arrival::Event(other) => panic!("{other:?}"),
        Arrival::Missed(count) => format!("missed {count}"),
        Arrival::Message(message) => {
            let line = message.scan.method(&message.bytes);
            line.map_or("response".to_owned(), |method| {
                String::from_utf8_lossy(method).into_owned()
            })
        }
    }
}

#[tokio::test]
async fn events_come_before_messages_and_the_end_of_a_call_before_new_ones() {
    let (site, mut arrivals) = site(4);
    for line in [
        "INVITE sip:a SIP/2.0",
        "OPTIONS sip:a SIP/2.0",
        "BYE sip:a SIP/2.0",
        "SIP/2.0 200 OK",
    ] {
        assert_eq!(site.message(line), Taken::Yes);
    }
    site.lanes.event(Event::Opened(flow()));
    for expected in ["opened", "BYE", "response", "INVITE", "OPTIONS"] {
        assert_eq!(next(&mut arrivals).await, expected);
    }
}

#[tokio::test]
async fn a_message_tells_whom_its_peer_has_proven_to_be() {
    let (site, mut arrivals) = site(2);
    let proven = Identities::of(&CertificateNames {
        has_alternatives: true,
        uris: &["sip:example.com"],
        dns: &[],
        common_name: None,
    });
    let line = "INVITE sip:a SIP/2.0";
    assert_eq!(site.message_of(line, Some(&proven)), Taken::Yes);
    assert_eq!(site.message_of(line, None), Taken::Yes);
    for expected in [Some(proven), None] {
        let Some(Arrival::Message(message)) = arrivals.recv().await else {
            panic!("a message");
        };
        assert_eq!(message.identities, expected);
    }
}

#[tokio::test]
async fn a_full_lane_pushes_back_until_there_is_room_and_holds_up_no_other() {
    let (site, mut arrivals) = site(1);
    assert_eq!(site.message("INVITE sip:a SIP/2.0"), Taken::Yes);
    assert_eq!(site.message("INVITE sip:b SIP/2.0"), Taken::Full);
    assert_eq!(site.message("BYE sip:a SIP/2.0"), Taken::Yes);
    site.lanes.event(Event::Opened(flow()));
    let mut room = site.lanes.room();
    let waits = futures_util::poll!(&mut room);
    assert!(waits.is_pending());
    for expected in ["opened", "BYE", "INVITE"] {
        assert_eq!(next(&mut arrivals).await, expected);
    }
    room.await;
    assert_eq!(site.message("INVITE sip:b SIP/2.0"), Taken::Yes);
}

#[tokio::test]
async fn who_waits_for_room_keeps_it_from_nobody() {
    let (site, mut arrivals) = site(1);
    assert_eq!(site.message("INVITE sip:a SIP/2.0"), Taken::Yes);
    let (mut first, mut second) = (site.lanes.room(), site.lanes.room());
    for one in [&mut first, &mut second] {
        assert!(futures_util::poll!(one).is_pending());
    }
    assert_eq!(site.message("BYE sip:a SIP/2.0"), Taken::Yes);
    for expected in ["BYE", "INVITE"] {
        assert_eq!(next(&mut arrivals).await, expected);
    }
    first.await;
    assert_eq!(site.message("INVITE sip:b SIP/2.0"), Taken::Yes);
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(next(&mut arrivals).await, "INVITE");
    second.await;
    assert_eq!(site.message("INVITE sip:c SIP/2.0"), Taken::Yes);
}

#[tokio::test]
async fn events_that_found_no_room_are_told_by_their_number() {
    let (site, mut arrivals) = site(1);
    site.lanes.event(Event::Opened(flow()));
    site.lanes.event(Event::Closed(flow(), CloseReason::Peer));
    site.lanes.event(Event::Closed(flow(), CloseReason::Peer));
    assert_eq!(next(&mut arrivals).await, "missed 2");
    assert_eq!(next(&mut arrivals).await, "opened");
    drop(site);
    assert!(arrivals.recv().await.is_none());
}

#[tokio::test]
async fn nobody_is_held_up_when_nobody_takes_any_more() {
    let (site, arrivals) = site(1);
    assert_eq!(site.message("INVITE sip:a SIP/2.0"), Taken::Yes);
    let mut waits = site.lanes.room();
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(arrivals);
    waits.await;
    for _ in 0..3 {
        assert_eq!(site.message("INVITE sip:a SIP/2.0"), Taken::Yes);
    }
    site.lanes.room().await;
}
