//! Hellos from an address that has a session, and what one source may hold.

use std::net::{SocketAddr, UdpSocket};

use bytes::Bytes;
use wharf_turn_server::Counter;

use super::client::{Certificate, DtlsClient};
use crate::support::{peer_v4, wait_for};

/// Another client of the same host.
fn neighbour(client: &DtlsClient, certificate: &Certificate, server: SocketAddr) -> DtlsClient {
    let mut other = DtlsClient::new(server, &certificate.client());
    let ip = client.socket.local_addr().unwrap().ip();
    other.socket = UdpSocket::bind((ip, 0)).unwrap();
    other.socket.connect(server).unwrap();
    other
}

/// A client that has sent its cookie, and nothing since.
fn half(certificate: &Certificate, server: SocketAddr) -> DtlsClient {
    let mut client = DtlsClient::new(server, &certificate.client());
    client.flush();
    client.pump();
    client
}

#[test]
fn d5_a_copy_of_a_hello_ends_nothing() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = DtlsClient::new(server.local_addrs()[1], &certificate.client());
    let first = client.written().concat();
    client.socket.send(&first).unwrap();
    let challenge = Bytes::from(client.datagram().expect("a challenge"));
    let now = std::time::Instant::now();
    client.session.handle_datagram(now, challenge);
    let second = client.written().concat();
    // The network doubles it while the handshake goes on, and it comes again, from whoever has seen it.
    for _ in 0..2 {
        client.socket.send(&second).unwrap();
    }
    client.handshake().expect("a handshake");
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    let before = handle.counters().get(Counter::DtlsBadRecords);
    for hello in [&second, &first, &second] {
        client.socket.send(hello).unwrap();
    }
    wait_for(&handle, Counter::DtlsBadRecords, before + 3);
    client.round_trip(0x4000, &peer, b"still here");
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::DtlsChallenged), 1);
    assert_eq!(counters.get(Counter::DtlsEstablished), 1);
    assert_eq!(counters.get(Counter::DtlsSessions), 1);
    assert_eq!(counters.get(Counter::DtlsReplaced), 0);
    assert_eq!(counters.get(Counter::Allocations), 1);
}

#[test]
fn d5_a_session_stays_when_another_is_refused() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.max_handshakes = 1);
    let handle = server.handle();
    let address = server.local_addrs()[1];
    let mut client = certificate.connect(&server);
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    let _half = half(&certificate, address);
    wait_for(&handle, Counter::DtlsHandshakes, 1);
    let another = DtlsClient::new(address, &certificate.client()).session;
    let old = std::mem::replace(&mut client.session, another);
    client.flush();
    client.pump();
    wait_for(&handle, Counter::DtlsRefused, 1);
    assert_eq!(handle.counters().get(Counter::DtlsReplaced), 0);
    client.session = old;
    client.round_trip(0x4000, &peer, b"still here");
}

#[test]
fn d5_a_client_begins_anew_in_its_handshake() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| {
        // The new handshake has the place of the old one.
        dtls.max_sessions = 1;
        dtls.max_handshakes = 1;
        dtls.max_sessions_per_prefix = 1;
        dtls.max_handshakes_per_prefix = 1;
    });
    let handle = server.handle();
    let mut client = half(&certificate, server.local_addrs()[1]);
    client.datagram().expect("the server's flight");
    client.begin_anew(&certificate.client());
    client.handshake().expect("another handshake");
    client.allocate();
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::DtlsReplaced), 1);
    assert_eq!(counters.get(Counter::DtlsTimedOut), 0);
    assert_eq!(counters.get(Counter::DtlsHandshakes), 0);
    assert_eq!(counters.get(Counter::DtlsSessions), 1);
}

#[test]
fn d6_the_sessions_of_a_source_are_limited() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.max_sessions_per_prefix = 1);
    let handle = server.handle();
    let mut first = certificate.connect(&server);
    // One in the place of another is not one more.
    first.begin_anew(&certificate.client());
    first.handshake().expect("another handshake");
    let mut second = neighbour(&first, &certificate, server.local_addrs()[1]);
    second.flush();
    second.pump();
    wait_for(&handle, Counter::DtlsRefused, 1);
    certificate.connect(&server);
    first.session.close();
    first.flush();
    wait_for(&handle, Counter::DtlsClosed, 1);
    second.handshake().expect("a place is free");
}

#[test]
fn d6_the_handshakes_of_a_source_are_limited() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.max_handshakes_per_prefix = 1);
    let handle = server.handle();
    let address = server.local_addrs()[1];
    let mut first = half(&certificate, address);
    wait_for(&handle, Counter::DtlsHandshakes, 1);
    let mut second = neighbour(&first, &certificate, address);
    second.flush();
    second.pump();
    wait_for(&handle, Counter::DtlsRefused, 1);
    certificate.connect(&server);
    first.handshake().expect("a handshake");
    second
        .handshake()
        .expect("a handshake, with a hello that is sent again");
}

#[test]
fn d6_a_source_without_limits_of_its_own() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| {
        dtls.max_sessions_per_prefix = 0;
        dtls.max_handshakes_per_prefix = 0;
    });
    let first = certificate.connect(&server);
    for _ in 0..2 {
        let mut other = neighbour(&first, &certificate, server.local_addrs()[1]);
        other.handshake().expect("a handshake");
    }
    let counters = server.handle().counters();
    assert_eq!(counters.get(Counter::DtlsSessions), 3);
}
