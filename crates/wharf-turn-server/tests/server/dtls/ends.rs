//! How sessions of DTLS end, and what keeps one from beginning.

use std::time::Duration;

use wharf_dtls::Failure;
use wharf_stun::Method;
use wharf_turn_server::{Config, Counter, PrefixLimits};

use super::client::{Certificate, DtlsClient};
use crate::support::{config, peer_v4, wait_for, wait_until};

#[test]
fn d5_close_notify_ends_the_allocation_at_once() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = certificate.connect(&server);
    client.allocate();
    assert_eq!(handle.allocations(), 1);
    client.session.close();
    client.flush();
    // The server says goodbye too (RFC 5246 §7.2.1).
    assert_eq!(client.receive(), None);
    wait_for(&handle, Counter::DtlsClosed, 1);
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::Disconnected), 1);
    assert_eq!(counters.get(Counter::Allocations), 0);
    assert_eq!(counters.get(Counter::DtlsSessions), 0);
    assert_eq!(counters.get(Counter::FreePorts), 400);
}

#[test]
fn d5_a_client_that_begins_anew_ends_its_old_session() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = certificate.connect(&server);
    client.allocate();
    // A hello without a cookie ends nothing, whoever sends it (RFC 6347 §4.2.8).
    let mut forged = DtlsClient::new(server.local_addrs()[1], &certificate.client());
    let hello = forged.written().concat();
    client.socket.send(&hello).unwrap();
    wait_for(&handle, Counter::DtlsChallenged, 2);
    assert_eq!(handle.allocations(), 1);
    client.begin_anew(&certificate.client());
    client.handshake().expect("another handshake");
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::DtlsReplaced), 1);
    assert_eq!(counters.get(Counter::DtlsSessions), 1);
    assert_eq!(counters.get(Counter::Allocations), 0);
    client.allocate();
}

#[test]
fn d5_an_idle_session_ends_unless_it_has_an_allocation() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.idle = Duration::from_millis(100));
    let handle = server.handle();
    let mut busy = certificate.connect(&server);
    busy.allocate();
    let mut idle = certificate.connect(&server);
    assert_eq!(idle.receive(), None);
    wait_for(&handle, Counter::DtlsIdle, 1);
    let peer = peer_v4();
    assert_eq!(busy.bind(0x4000, peer.local_addr().unwrap()), 0);
    busy.round_trip(0x4000, &peer, b"still here");
    // Without its allocation it is as idle as the other.
    let end = crate::client::with(wharf_stun::attribute::Lifetime(0));
    assert_eq!(busy.request(Method::REFRESH, &end).code(), 0);
    assert_eq!(busy.receive(), None);
    wait_for(&handle, Counter::DtlsIdle, 2);
}

#[test]
fn d6_a_handshake_has_its_time() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| {
        dtls.handshake_timeout = Duration::from_millis(50);
        dtls.max_handshakes = 2;
    });
    let handle = server.handle();
    let address = server.local_addrs()[1];
    let mut half = DtlsClient::new(address, &certificate.client());
    half.flush();
    half.pump();
    // The cookie has come back, and nothing more comes.
    wait_for(&handle, Counter::DtlsTimedOut, 1);
    wait_for(&handle, Counter::DtlsHandshakes, 0);
    assert_eq!(handle.counters().get(Counter::DtlsEstablished), 0);
    // Its place is free, and so is its address.
    half.begin_anew(&certificate.client());
    half.handshake().expect("a handshake");
}

#[test]
fn d6_handshakes_are_limited() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.max_handshakes = 2);
    let handle = server.handle();
    let address = server.local_addrs()[1];
    let mut half: Vec<_> = (0..3)
        .map(|_| DtlsClient::new(address, &certificate.client()))
        .collect();
    for client in &mut half {
        client.flush();
        client.pump();
    }
    wait_for(&handle, Counter::DtlsRefused, 1);
    assert_eq!(handle.counters().get(Counter::DtlsHandshakes), 2);
    // One that is complete leaves its place.
    half[0].handshake().expect("a handshake");
    half[2]
        .handshake()
        .expect("a handshake, with a hello that is sent again");
    assert_eq!(handle.counters().get(Counter::DtlsSessions), 2);
}

#[test]
fn d6_sessions_are_limited() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.max_sessions = 1);
    let handle = server.handle();
    let mut first = certificate.connect(&server);
    let mut second = DtlsClient::new(server.local_addrs()[1], &certificate.client());
    second.flush();
    second.pump();
    wait_for(&handle, Counter::DtlsRefused, 1);
    first.session.close();
    first.flush();
    second.handshake().expect("a place is free");
}

#[test]
fn d6_a_source_begins_so_many_handshakes() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    handle.set_unauthenticated_limit(PrefixLimits {
        per_second: 1,
        burst: 1,
        ipv4_prefix: 8,
        ..PrefixLimits::default()
    });
    // The worker takes it when it is woken next, which a hello may precede.
    let mut clients = Vec::new();
    wait_until("a handshake is refused", || {
        let mut client = DtlsClient::new(server.local_addrs()[1], &certificate.client());
        client.flush();
        client.pump();
        clients.push(client);
        handle.counters().get(Counter::DtlsRefused) > 0
    });
}

#[test]
fn a_broken_session_ends_and_forgeries_do_not_break_one() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = certificate.connect(&server);
    client.allocate();
    // Application data and alerts that nobody has protected, garbage, and a replay.
    let request = client
        .account
        .write(Method::BINDING, crate::client::transaction_id(), &|_| {});
    client.session.send(&request).unwrap();
    let record = client.written().concat();
    let mut forged = record.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut alert = record.clone();
    alert[0] = 21;
    let garbage = [22; 60].to_vec();
    for datagram in [&record, &record, &forged, &alert, &garbage] {
        client.socket.send(datagram).unwrap();
    }
    assert!(client.receive().is_some(), "the answer to the first");
    wait_for(&handle, Counter::DtlsBadRecords, 4);
    assert_eq!(client.ask(Method::BINDING, &|_| {}).code(), 0);
    let counters = handle.counters();
    assert_eq!(counters.get(Counter::DtlsSessions), 1);
    assert_eq!(counters.get(Counter::Allocations), 1);
    assert_eq!(counters.get(Counter::Panics), 0);
}

#[test]
fn a_stop_tells_the_clients() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut open = certificate.connect(&server);
    open.allocate();
    server.stop();
    assert_eq!(open.receive(), None);
}

#[test]
fn a_drain_ends_sessions_with_their_allocations() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let [mut busy, mut idle] = [certificate.connect(&server), certificate.connect(&server)];
    busy.allocate();
    handle.drain();
    assert_eq!(idle.receive(), None);
    // A later one is served, and told that there is none to be had.
    let mut late = certificate.connect(&server);
    let allocate = late.request(Method::ALLOCATE, &crate::client::udp);
    assert_eq!(allocate.code(), 508);
    let peer = peer_v4();
    assert_eq!(busy.bind(0x4000, peer.local_addr().unwrap()), 0);
    busy.round_trip(0x4000, &peer, b"still here");
    let end = crate::client::with(wharf_stun::attribute::Lifetime(0));
    assert_eq!(busy.request(Method::REFRESH, &end).code(), 0);
    assert_eq!(busy.receive(), None);
    assert!(server.wait_drained(crate::support::PATIENCE));
    wait_for(&handle, Counter::DtlsDrained, 2);
}

#[test]
fn a_successor_hands_back_the_records_of_sessions_that_it_does_not_know() {
    let certificate = Certificate::new();
    let mut dtls = certificate.dtls();
    let first = crate::support::start(Config {
        dtls: Some(dtls.clone()),
        ..config()
    });
    let mut client = certificate.connect(&first);
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    let [plain, address] = *first.local_addrs() else {
        panic!("two addresses");
    };
    dtls.listen = vec![address];
    let second = crate::support::start(Config {
        listen: vec![plain],
        dtls: Some(dtls),
        legacy: Some(first.legacy().unwrap()),
        ..config()
    });
    first.handle().leave();
    for number in 0..10 {
        client.round_trip(0x4000, &peer, &[number; 100]);
    }
    // A session that begins now is the successor's.
    let mut other = certificate.connect(&second);
    other.allocate();
    assert_eq!(second.handle().counters().get(Counter::DtlsSessions), 1);
    assert_eq!(first.handle().counters().get(Counter::DtlsSessions), 1);
    client.session.close();
    client.flush();
    assert!(first.wait_drained(crate::support::PATIENCE));
}

#[test]
fn a_session_that_fails_is_told_of() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let options = wharf_dtls::ClientOptions {
        ciphers: Some("ECDHE-ECDSA-AES128-SHA".to_owned()),
        ..certificate.client()
    };
    let mut client = DtlsClient::new(server.local_addrs()[1], &options);
    assert_eq!(client.handshake(), Err(Failure::PeerAlert(40)));
    wait_for(&server.handle(), Counter::DtlsHandshakes, 0);
}
