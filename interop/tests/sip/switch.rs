//! Requests that are too long for UDP (RFC 3261 §18.1.1): kamailio gets them over TCP, and sipp, which has none,
//! over UDP all the same.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use wharf_interop::{Kamailio, PortBlock};
use wharf_sip::route::Cause;
use wharf_sip::{Transport, Uri};
use wharf_sip_transport::{Request, TableResolver};

use crate::client::Client;
use crate::served::until;
use crate::sipp::{Sipp, is_bound};

impl Client {
    /// Asks for OPTIONS in a request of so many bytes: over which transport that goes, and why.
    #[track_caller]
    fn asks(&self, to: SocketAddr, bytes: usize) -> (Transport, Cause) {
        let head = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP client.invalid;branch=z9hG4bK{bytes};rport\r\n\
             From: <sip:b@sip.test>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: {bytes}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\nSubject: "
        );
        let length = bytes - head.len() - 4;
        let message = Bytes::from(format!("{head}{:x<length$}\r\n\r\n", ""));
        assert_eq!(message.len(), bytes);
        let uri = format!("sip:{to}");
        let uri = Uri::parse(uri.as_bytes()).expect("a URI");
        let request = Request::to_uri(&uri).expect("a target");
        let mut sending = self.manager.request(request);
        let sent = self.served.runtime.block_on(sending.next(message));
        let sent = sent.expect("a server");
        let seen = self.record.next();
        assert!(seen.text.starts_with("SIP/2.0 200 "), "{}", seen.text);
        // The server has read what the Via says of the transport.
        let transport = sent.flow.flow.transport;
        let via = format!("Via: SIP/2.0/{} ", transport.name());
        assert!(seen.text.contains(&via), "{}", seen.text);
        assert_eq!((seen.transport, seen.remote), (transport, to));
        (transport, sent.cause)
    }
}

#[test]
fn c1_kamailio_gets_a_long_request_over_tcp() {
    let kamailio = Kamailio::start();
    let client = Client::start(TableResolver::default());
    let to = kamailio.address();
    assert_eq!(client.asks(to, 1300), (Transport::Udp, Cause::Asked));
    assert_eq!(client.asks(to, 1301), (Transport::Tcp, Cause::Size));
    assert_eq!(client.asks(to, 9000), (Transport::Tcp, Cause::Size));
    assert_eq!(client.served.sip.connections(), 1, "one for both");
}

#[test]
fn c2_sipp_without_tcp_gets_a_long_request_over_udp() {
    let mut ports = PortBlock::claim();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let phone = Sipp::asked(to.port(), 1);
    until("phone", || is_bound(Transport::Udp, to.port()));
    let client = Client::start(TableResolver::default());
    assert_eq!(client.asks(to, 2000), (Transport::Udp, Cause::TcpRefused));
    phone.finish(1);
}
