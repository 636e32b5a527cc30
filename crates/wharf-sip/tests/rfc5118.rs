//! The messages of RFC 5118 §4, as far as their addresses go: IPv6 in targets, Vias and Routes.

use std::net::{IpAddr, SocketAddr};

use wharf_sip::{
    Boundary, Editor, Host, HostError, Limits, Scan, Transport, Uri, UriError, Via, packet,
};

/// A request of the RFC's kind with this target and these Vias.
fn request(target: &str, vias: &[&str]) -> String {
    let vias: String = vias.iter().flat_map(|via| ["Via: ", via, "\r\n"]).collect();
    format!(
        "REGISTER {target} SIP/2.0\r\nTo: sip:user@example.com\r\n\
         From: sip:user@example.com;tag=81x2\r\n{vias}Call-ID: SSG9559905523997077@hlau_4100\r\n\
         Max-Forwards: 70\r\nContact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
         CSeq: 98176 REGISTER\r\nContent-Length: 0\r\n\r\n"
    )
}

fn scan(message: &str) -> Scan {
    let frame = packet(message.as_bytes(), Boundary::Datagram, &Limits::default());
    assert_eq!(frame.expect("a message").end, message.len());
    Scan::of(message.as_bytes(), &Limits::default()).expect("a head")
}

fn top(message: &str) -> Via<'_> {
    let top = scan(message).via.expect("a Via").top;
    Via::parse(top.of(message.as_bytes())).expect("a Via")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const VIA: &str = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";

#[test]
fn rfc5118_4_1_an_address_stands_in_brackets() {
    let message = request("sip:[2001:db8::10]", &[VIA]);
    let target = scan(&message)
        .target(message.as_bytes())
        .expect("a request");
    assert_eq!(
        Uri::parse(target).expect("a URI").host,
        Host::Ip(ip("2001:db8::10"))
    );
    assert_eq!(top(&message).host, Host::Ip(ip("2001:db8::9:1")));
}

#[test]
fn rfc5118_4_2_without_brackets_it_is_no_address() {
    let message = request("sip:2001:db8::10", &[VIA]);
    let target = scan(&message)
        .target(message.as_bytes())
        .expect("a request")
        .to_vec();
    assert_eq!(
        Uri::parse(&target),
        Err(UriError::Host(HostError::Malformed))
    );
}

#[test]
fn rfc5118_4_3_and_4_4_a_port_stands_behind_the_brackets() {
    let with_port = Uri::parse(b"sip:[2001:db8::10]:5070").expect("a URI");
    assert_eq!(
        (with_port.host, with_port.port),
        (Host::Ip(ip("2001:db8::10")), Some(5070))
    );
    // §4.3: within them it is a part of the address, which is another one then.
    let within = Uri::parse(b"sip:[2001:db8::10:5070]").expect("a URI");
    assert_eq!(
        (within.host, within.port),
        (Host::Ip(ip("2001:db8::10:5070")), None)
    );
}

#[test]
fn rfc5118_4_5_received_may_have_brackets_and_is_written_without() {
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let via = format!("SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3-111");
        let message = request("sip:[2001:db8::10]", &[&via]);
        assert_eq!(top(&message).received(), Some(ip("2001:db8::9:255")));
    }
    let message = request("sip:[2001:db8::10]", &[VIA]);
    let source: SocketAddr = "[2001:db8::9:255]:5060".parse().expect("an address");
    let mut out = Vec::new();
    let mut editor = Editor::default();
    let (bytes, scan) = (message.as_bytes(), scan(&message));
    editor
        .edit(bytes, &scan)
        .stamp_via(source)
        .expect("a Via")
        .write(&mut out)
        .expect("one");
    let expected = message.replace(VIA, &format!("{VIA};received=2001:db8::9:255"));
    assert_eq!(out, expected.as_bytes());
}

#[test]
fn rfc5118_4_6_and_4_8_what_is_in_a_body_is_no_business_of_a_transport() {
    let message = format!(
        "{}v=0\r\nc=IN IP6 2001:db8::20\r\n",
        request("sip:[2001:db8::10]", &[VIA])
    );
    let message = message.replace("Content-Length: 0", "Content-Length: 28");
    assert_eq!(scan(&message).head as usize + 28, message.len());
}

#[test]
fn rfc5118_4_7_vias_of_both_families_stand_on_each_other() {
    let vias = [
        "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111",
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
        "SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
    ];
    let message = request("sip:user@example.com", &vias);
    let next = scan(&message)
        .via
        .and_then(|via| via.next)
        .expect("one below");
    assert_eq!(next.of(message.as_bytes()), vias[1].as_bytes());
    assert_eq!(
        (top(&message).host, top(&message).port),
        (Host::Ip(ip("2001:db8::9:1")), Some(6050))
    );
    let third = Via::parse(vias[2].as_bytes()).expect("a Via");
    assert_eq!(
        (third.transport(), third.received()),
        (Some(Transport::Tcp), Some(ip("192.0.2.200")))
    );
}

#[test]
fn rfc5118_4_9_and_4_10_an_address_of_ipv4_in_one_of_ipv6() {
    let (dotted, colons) = ("sip:[::ffff:192.0.2.10]:5060", "sip:[::ffff:c000:20a]:5060");
    assert_eq!(Uri::parse(dotted.as_bytes()), Uri::parse(colons.as_bytes()));
    // Three colons were in an erratum of a grammar and never in an address.
    let three = Uri::parse(b"sip:[2001:db8:::192.0.2.1]");
    assert_eq!(three, Err(UriError::Host(HostError::Malformed)));
}
