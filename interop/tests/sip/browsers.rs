//! Phones of browsers: `SIP.js` and `JsSIP` reach a UDP phone through an edge, and are reached by it, over
//! WebSockets. Their registrar and proxy is kamailio; the edge alone knows their connections.

mod daemon;
mod scene;

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use serde_json::json;
use wharf_interop::{Kamailio, Process};
use wharf_sip::locate::Target;
use wharf_sip::{Host, OwnedHost, Transport, Uri};
use wharf_sip_transport::edge::{Edge, EdgeOptions};

use self::scene::Scene;
use crate::pki;
use crate::served::{SOON, Served, until};

/// An edge in the test's process.
struct Within {
    edge: Edge,
    served: Served,
    _ca: pki::Authority,
}

impl Within {
    fn new() -> (Self, Scene) {
        let ca = pki::Authority::new();
        let kamailio = Kamailio::start();
        let host = OwnedHost::new(Host::Ip(Ipv4Addr::LOCALHOST.into())).expect("a host");
        let upstream = format!("sip:{};transport=udp", kamailio.address());
        let upstream = Uri::parse(upstream.as_bytes()).expect("a URI");
        let upstream = Target::of(&upstream).expect("a target");
        let edge = Edge::new(EdgeOptions::new(host, upstream)).expect("an edge");
        let served = Served::all(edge.clone(), &ca.issue("127.0.0.1"));
        let scene = Scene {
            kamailio,
            ws: served.address("ws"),
            wss: served.address("wss"),
            ca: ca.file(),
        };
        let within = Self {
            edge,
            served,
            _ca: ca,
        };
        (within, scene)
    }

    /// What came was for the edge, and went where it had to.
    fn assert_all_went_through(&self) {
        let stats = self.edge.stats();
        let astray = [stats.refused, stats.strays, stats.gone, stats.lost];
        assert_eq!(astray, [0; 4], "{stats:?}");
        // REGISTER twice, OPTIONS, MESSAGE, and of four calls INVITE, ACK and BYE or CANCEL, each way.
        assert!(stats.to_upstream >= 15, "{stats:?}");
        assert!(stats.to_clients >= 13, "{stats:?}");
    }
}

impl Drop for Within {
    /// A test that fails shows what the edge has done.
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{:?}\n{:?}", self.edge.stats(), self.served.sip.stats());
        }
    }
}

/// The status line of kamailio's answer to an OPTIONS for alice.
fn ask(kamailio: &Kamailio) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let local = socket.local_addr().expect("an address");
    let request = format!(
        "OPTIONS sip:alice@sip.test SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{local}\r\n\
         From: <sip:{local}>;tag=1\r\nTo: <sip:alice@sip.test>\r\nCall-ID: {local}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    let to = kamailio.address();
    socket.send_to(request.as_bytes(), to).expect("it is sent");
    let mut answer = [0; 2048];
    loop {
        let length = socket.recv(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]);
        let status = answer.lines().next().unwrap_or_default();
        if !status.starts_with("SIP/2.0 1") {
            return status.to_owned();
        }
    }
}

fn phone_in_node(library: &str, transport: Transport) {
    let (within, scene) = Within::new();
    let phone = scene.converse(|peer| scene.node("phone.mjs", library, transport, peer));
    let ended = phone.finish(SOON);
    assert!(ended.status.success(), "{}", ended.output);
    within.assert_all_went_through();
    // JsSIP sends no pings of its own. SIP.js has waited for two pongs.
    let pings = within.served.sip.stats().pings;
    assert!(library == "jssip" || pings >= 2, "{pings}");
}

#[test]
fn sip_js_over_a_websocket() {
    phone_in_node("sip-js", Transport::Ws);
}

#[test]
fn sip_js_over_a_secure_websocket() {
    phone_in_node("sip-js", Transport::Wss);
}

#[test]
fn jssip_over_a_websocket() {
    phone_in_node("jssip", Transport::Ws);
}

#[test]
fn jssip_over_a_secure_websocket() {
    phone_in_node("jssip", Transport::Wss);
}

/// Its offers are of several kilobytes.
#[test]
fn sip_js_in_chromium_calls_with_sound_and_picture() {
    let (within, scene) = Within::new();
    let mut media = scene.browser(&json!({ "iceServers": [] }));
    let offer = media["offer"].take().as_u64();
    assert!(offer > Some(4_000), "{offer:?}");
    let expected = json!({
        "subject": "to be seen", "offer": null, "ways": ["host", "host"],
        "alice": "here", "bob": "there",
    });
    assert_eq!(media, expected);
    within.assert_all_went_through();
}

/// RFC 5626 §4.2, §5.3: the registrar learns at once that the flow it has is gone, and its next registration
/// takes the place of that which the phone had over the other flow.
#[test]
fn a_phone_that_comes_back_is_reached_over_its_new_connection() {
    let (within, scene) = Within::new();
    let says = |phone: &Process, word: &str| {
        phone.wait_for_line(SOON, |line| line.trim_end() == word);
    };
    let phone = scene.node("comes-back.mjs", "sip-js", Transport::Ws, "");
    says(&phone, "here");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");

    phone.signal("HUP");
    says(&phone, "away");
    until("end of it", || within.served.sip.connections() == 0);
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 430 Flow Failed");
    assert_eq!(within.edge.stats().refused, 1);

    phone.signal("HUP");
    says(&phone, "back");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
    assert_eq!(within.edge.stats().refused, 1, "there is one way to it");
}
