//! kamailio: we dial it and it reaches us over what we have dialled; it dials us.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use wharf_interop::{Kamailio, KamailioTls};
use wharf_sip::keep_alive::KeepAliveRules;
use wharf_sip::{Priority, Transport};
use wharf_sip_transport::{Event, FlowRef, Incoming, Outgoing, Taken, Upper};

use crate::pki::Authority;
use crate::responder::{Record, Responder, Seen, in_uri, methods};
use crate::served::{SOON, Served};
use crate::sipp::Sipp;

const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

/// A kamailio whose certificate `ca` has signed.
fn kamailio(ca: &Authority) -> Kamailio {
    let leaf = ca.issue("sip.test");
    Kamailio::start_with_tls(KamailioTls {
        certificate: &leaf.cert,
        key: &leaf.key,
        authority: &ca.file(),
    })
}

/// Kamailio has a transport of SIP and the WebSocket on it at one address.
fn dial(served: &Served, transport: Transport, kamailio: &Kamailio, ca: &Path) -> FlowRef {
    let to = match transport {
        Transport::Tls | Transport::Wss => kamailio.tls_address(),
        _ => kamailio.address(),
    };
    served.dial(transport, to, Some("sip.test"), ca)
}

/// Sends a request that `user`, reachable by this flow, has.
fn send(served: &Served, flow: &FlowRef, method: &str, target: &str, user: &str) {
    let (name, local) = (flow.flow.transport.name(), flow.flow.local);
    let transport = in_uri(flow.flow.transport);
    let request = format!(
        "{method} {target} SIP/2.0\r\n\
         Via: SIP/2.0/{name} {local};branch=z9hG4bK{method}{user};rport\r\n\
         From: <sip:{user}@sip.test>;tag=1\r\nTo: <sip:{user}@sip.test>\r\n\
         Call-ID: {method}-{user}-{local}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:{user}@{local};transport={transport}>\r\nContent-Length: 0\r\n\r\n"
    );
    let sent = served
        .sip
        .send(flow, Bytes::from(request), Priority::Normal);
    sent.expect("an open flow");
}

#[track_caller]
fn assert_is_ok(record: &Record, method: &str, flow: &FlowRef) -> Seen {
    let seen = record.next();
    let ok = seen.text.starts_with("SIP/2.0 200 ");
    assert!(ok && seen.method == method, "{}", seen.text);
    assert_eq!(
        (seen.transport, seen.remote),
        (flow.flow.transport, flow.flow.remote)
    );
    seen
}

/// Kamailio cannot dial a WebSocket: a browser's flow is the only way to it, as ours is here.
#[test]
fn we_dial_kamailio_and_are_called_over_what_we_have_dialled() {
    let ca = Authority::new();
    let kamailio = kamailio(&ca);
    let (responder, record) = Responder::new();
    let served = Served::plain(responder);
    for transport in TRANSPORTS {
        let flow = dial(&served, transport, &kamailio, &ca.file());
        send(&served, &flow, "OPTIONS", "sip:sip.test", "options");
        assert_is_ok(&record, "OPTIONS", &flow);
        let user = transport.name().to_ascii_lowercase();
        send(&served, &flow, "REGISTER", "sip:sip.test", &user);
        assert_is_ok(&record, "REGISTER", &flow);

        Sipp::calling(&user, kamailio.address(), "u1", 20).finish(20);
        let seen = record.so_far();
        let methods = methods(&seen);
        assert!(
            methods["INVITE"] >= 20 && methods["BYE"] >= 20,
            "{methods:?}"
        );
        for seen in seen {
            assert_eq!((seen.transport, seen.remote), (transport, flow.flow.remote));
        }
    }
    assert_eq!(served.sip.connections(), 4, "{}", kamailio.output());
}

#[test]
fn kamailio_dials_us_over_udp_tcp_and_tls() {
    let ca = Authority::new();
    let kamailio = kamailio(&ca);
    let (responder, record) = Responder::new();
    let served = Served::all(responder, &ca.issue("127.0.0.1"));
    for transport in &TRANSPORTS[..3] {
        let name = transport.name().to_ascii_lowercase();
        let user = format!("via-{}-{name}", served.address(&name).port());
        Sipp::calling(&user, kamailio.address(), "u1", 100).finish(100);
        let seen = record.so_far();
        let methods = methods(&seen);
        assert!(
            methods["INVITE"] >= 100 && methods["BYE"] >= 100,
            "{methods:?}"
        );
        assert!(methods["ACK"] >= 100, "{methods:?}");
        assert!(seen.iter().all(|seen| seen.transport == *transport));
    }
}

/// Tells the flow of each pong.
struct Pongs(Mutex<Sender<FlowRef>>);

impl Upper for Pongs {
    fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
        Taken::Yes
    }

    fn event(&self, event: Event) {
        if let Event::Pong(flow) = event {
            let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // The test may have seen enough and be over.
            let _ = sender.send(flow);
        }
    }
}

/// RFC 5626 §3.5: CRLFs on a connection and within a WebSocket, STUN on the port of SIP.
#[test]
fn kamailio_answers_the_keep_alives_of_each_transport() {
    let ca = Authority::new();
    let kamailio = kamailio(&ca);
    let (sender, pongs) = mpsc::channel();
    let served = Served::plain(Pongs(Mutex::new(sender)));
    let rules = KeepAliveRules {
        answer: SOON,
        // The shortest interval there is.
        ..KeepAliveRules::connection().every(5)
    };
    let mut silent = HashSet::new();
    for transport in TRANSPORTS {
        let flow = dial(&served, transport, &kamailio, &ca.file());
        served.sip.keep_alive(&flow, rules).expect("an open flow");
        silent.insert(flow);
    }
    while !silent.is_empty() {
        silent.remove(&pongs.recv_timeout(SOON).expect("a pong"));
    }
}
