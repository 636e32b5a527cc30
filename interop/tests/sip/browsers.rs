//! Phones of browsers: `SIP.js` and `JsSIP` reach a UDP phone through an edge, and are reached by it, over
//! WebSockets. Their registrar and proxy is kamailio; the edge alone knows their connections.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};
use wharf_interop::{Kamailio, PortBlock, Process, chromium, node_modules, tool};
use wharf_sip::locate::Target;
use wharf_sip::{Host, OwnedHost, Transport, Uri};
use wharf_sip_transport::edge::{Edge, EdgeOptions};

use crate::pki::Authority;
use crate::served::{SOON, Served, until};
use crate::sipp::{Sipp, is_bound};

/// The directory with the scripts.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");

/// An edge before kamailio.
struct Scene {
    ca: Authority,
    kamailio: Kamailio,
    edge: Edge,
    served: Served,
}

impl Scene {
    fn new() -> Self {
        let ca = Authority::new();
        let kamailio = Kamailio::start();
        let host = OwnedHost::new(Host::Ip(Ipv4Addr::LOCALHOST.into())).expect("a host");
        let upstream = format!("sip:{};transport=udp", kamailio.address());
        let upstream = Uri::parse(upstream.as_bytes()).expect("a URI");
        let upstream = Target::of(&upstream).expect("a target");
        let edge = Edge::new(EdgeOptions::new(host, upstream)).expect("an edge");
        let served = Served::all(edge.clone(), &ca.issue("127.0.0.1"));
        Self {
            ca,
            kamailio,
            edge,
            served,
        }
    }

    /// Where the edge has its WebSockets.
    fn url(&self, transport: Transport) -> String {
        let scheme = transport.name().to_ascii_lowercase();
        format!("{scheme}://{}", self.served.address(&scheme))
    }

    /// A phone in Node on `library` that does what this script of `interop/node` says.
    fn node(&self, script: &str, library: &str, transport: Transport, peer: &str) -> Process {
        let mut node = tool("node");
        node.arg(format!("{SCRIPTS}/{script}"))
            .arg(node_modules())
            .args([library, &self.url(transport), "alice"])
            .arg(self.ca.file())
            .arg(peer);
        Process::spawn(&node)
    }

    /// A phone in a page of Chromium, which converses with `peer` and then calls another of the page, with
    /// sound and picture (`interop/node/page.mjs`).
    fn browser(&self, transport: Transport, peer: &str) -> Process {
        let page = self.ca.path().join("page.html");
        let text = format!(
            "<meta charset=utf-8><script type=module>\
             import * as SIP from \"file://{}/sip.js/lib/index.js\";\
             import {{ run }} from \"file://{SCRIPTS}/page.mjs\";\
             run(SIP, \"{}\", \"{peer}\");</script>",
            node_modules().display(),
            self.url(transport)
        );
        fs::write(&page, text).expect("a file");
        let mut chromium = chromium(&self.ca.path().join("profile"));
        chromium
            .args([
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                "--allow-file-access-from-files",
                "--enable-logging=stderr",
            ])
            .arg(format!("file://{}", page.display()));
        Process::spawn(&chromium)
    }

    /// The conversation of `interop/node/conversation.mjs`, seen from both sides and from the edge.
    fn converse(&self, start: impl FnOnce(&str) -> Process) -> Process {
        let mut ports = PortBlock::claim();
        let port = ports.pair();
        let asked = Sipp::asked(port, 6);
        until("phone", || is_bound(Transport::Udp, port));
        let phone = start(&format!("sip:phone@127.0.0.1:{port}"));
        phone.wait_for_line(SOON, |line| line.contains("to be called"));
        Sipp::asking("alice", self.kamailio.address()).finish(1);
        asked.finish(6);
        let expected = json!({
            "asked": { "OPTIONS": 200, "MESSAGE": 200 },
            "heard": ["grüße"],
            "calling": {
                "we hang up": "ended here", "you hang up": "ended there", "be busy": 486, "ring": 487,
            },
            "called": {
                "we hang up": "ended there", "you hang up": "ended here", "be busy": "refused",
                "ring": "cancelled",
            },
        });
        assert_eq!(report(&phone, "seen"), expected);
        phone
    }

    /// What came was for the edge, and went where it had to.
    fn assert_all_went_through(&self) {
        let stats = self.edge.stats();
        let astray = [stats.refused, stats.strays, stats.gone, stats.lost];
        assert_eq!(astray, [0; 4], "{stats:?}");
        // REGISTER twice, OPTIONS, MESSAGE, and of four calls each INVITE, ACK and BYE.
        let both = stats.to_upstream + stats.to_clients;
        assert!(both >= 18, "{stats:?}");
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

/// What a phone has to say after `word`: JSON, which Chromium's console puts into quotes and its source
/// behind.
#[track_caller]
fn report(phone: &Process, word: &str) -> Value {
    let line = phone.wait_for_line(SOON, |line| line.contains(&format!("{word} {{")));
    let (from, to) = (line.find('{'), line.rfind('}'));
    let (from, to) = from.zip(to).expect("JSON has braces");
    serde_json::from_str(&line[from..=to]).expect("JSON")
}

fn phone_in_node(library: &str, transport: Transport) {
    let scene = Scene::new();
    let phone = scene.converse(|peer| scene.node("phone.mjs", library, transport, peer));
    let ended = phone.finish(SOON);
    assert!(ended.status.success(), "{}", ended.output);
    scene.assert_all_went_through();
    // JsSIP sends no pings of its own. SIP.js has waited for two pongs.
    let pings = scene.served.sip.stats().pings;
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
    let scene = Scene::new();
    let browser = scene.converse(|peer| scene.browser(Transport::Wss, peer));
    let mut media = report(&browser, "media");
    let offer = media["offer"].take().as_u64();
    assert!(offer > Some(4_000), "{offer:?}");
    let expected = json!({
        "subject": "to be seen", "offer": null, "alice": "here", "bob": "there",
    });
    assert_eq!(media, expected);
    scene.assert_all_went_through();
}

/// RFC 5626 §4.2, §5.3: the registrar learns at once that the flow it has is gone, and its next registration
/// takes the place of that which the phone had over the other flow.
#[test]
fn a_phone_that_comes_back_is_reached_over_its_new_connection() {
    let scene = Scene::new();
    let says = |phone: &Process, word: &str| {
        phone.wait_for_line(SOON, |line| line.trim_end() == word);
    };
    let phone = scene.node("comes-back.mjs", "sip-js", Transport::Ws, "");
    says(&phone, "here");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");

    phone.signal("HUP");
    says(&phone, "away");
    until("end of it", || scene.served.sip.connections() == 0);
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 430 Flow Failed");
    assert_eq!(scene.edge.stats().refused, 1);

    phone.signal("HUP");
    says(&phone, "back");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
    assert_eq!(scene.edge.stats().refused, 1, "there is one way to it");
}
