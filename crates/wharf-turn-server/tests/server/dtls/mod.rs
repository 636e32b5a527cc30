//! Clients over DTLS (RFC 7350), by the first byte on the sockets of plain UDP.

mod anew;
mod client;
mod ends;
mod flood;

use std::net::SocketAddr;
use std::time::Instant;

use wharf_dtls::{ClientOptions, Failure};
use wharf_stun::Method;
use wharf_stun::attribute::{ErrorCode, XorMappedAddress};
use wharf_turn_server::{Config, Counter, DropReason, DtlsOptions, RelayAddress};

use crate::client::{Client, Response, channel_data, relayed, transaction_id, udp};
use crate::support::{PATIENCE, config, fresh_ip, peer_v4, start, wait_for, wait_until};
use client::{Certificate, DtlsClient};

#[test]
fn d1_one_socket_speaks_both() {
    let certificate = Certificate::new();
    let address = SocketAddr::new(fresh_ip(), 0);
    let dtls = DtlsOptions::new(vec![address], certificate.context());
    let server = start(Config {
        listen: vec![address],
        dtls: Some(dtls),
        ..config()
    });
    let [address] = server.local_addrs() else {
        panic!("an address that is listed twice is one socket");
    };
    let mut plain = Client::at(*address, crate::client::Login::bob());
    let mut client = DtlsClient::new(*address, &certificate.client());
    client.handshake().unwrap();
    let peer = peer_v4();
    let to = peer.local_addr().unwrap();
    for channel in [0x4000, 0x4001] {
        plain.allocate();
        assert_eq!(plain.bind(channel, to), 0);
        client.allocate();
        assert_eq!(client.bind(channel, to), 0);
        client.round_trip(channel, &peer, b"over DTLS");
        plain.send_on(channel, b"plain");
        let (there, relay) = crate::support::read(&peer);
        peer.send_to(&there, relay).unwrap();
        assert_eq!(plain.data_on(), (channel, b"plain".to_vec()));
        plain.release();
        client.account.nonce = None;
        client = DtlsClient::new(*address, &certificate.client());
        client.handshake().unwrap();
    }
}

#[test]
fn d1_dtls_is_spoken_where_it_is_asked_for_alone() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let [plain, both] = *server.local_addrs() else {
        panic!("two addresses");
    };
    let mut client = DtlsClient::new(plain, &certificate.client());
    client.flush();
    wait_until("the hello is dropped", || {
        server
            .handle()
            .counters()
            .drops(DropReason::UnknownProtocol)
            == 1
    });
    assert_eq!(server.handle().counters().get(Counter::DtlsChallenged), 0);
    // What belongs to none of these protocols is dropped on either (RFC 7983 §7).
    for (address, first) in [
        (plain, 19),
        (plain, 80),
        (both, 19),
        (both, 80),
        (both, 255),
    ] {
        Client::at(address, crate::client::Login::alice()).send(&[first; 40]);
    }
    wait_until("it is dropped", || {
        server
            .handle()
            .counters()
            .drops(DropReason::UnknownProtocol)
            == 6
    });
    // Plain STUN is answered on both.
    for address in [plain, both] {
        let mut client = Client::at(address, crate::client::Login::alice());
        assert_eq!(client.ask(Method::BINDING, &|_| {}).code(), 0);
    }
    // DTLS without a session, and no hello.
    let stray = DtlsClient::new(both, &certificate.client());
    stray.socket.send(&[23; 40]).unwrap();
    wait_for(&server.handle(), Counter::DtlsIgnored, 1);
}

#[test]
fn d1_each_client_stays_with_its_worker() {
    let certificate = Certificate::new();
    let server = start(Config {
        workers: 4,
        dtls: Some(certificate.dtls()),
        relays: vec![RelayAddress::new(fresh_ip(), 20_000..=21_599)],
        ..config()
    });
    let peer = peer_v4();
    let mut clients: Vec<_> = (0..32).map(|_| certificate.connect(&server)).collect();
    for client in &mut clients {
        client.allocate();
        assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    }
    for client in &mut clients {
        client.round_trip(0x4000, &peer, b"steered");
    }
    let counters = server.handle().counters();
    assert_eq!(counters.get(Counter::DtlsSessions), 32);
    assert_eq!(counters.get(Counter::DtlsEstablished), 32);
    assert_eq!(counters.get(Counter::DtlsBadRecords), 0);
}

#[test]
fn d1_a_wildcard_answers_from_where_it_was_asked() {
    let certificate = Certificate::new();
    let server = certificate.start(|dtls| dtls.listen = vec!["0.0.0.0:0".parse().unwrap()]);
    let port = server.local_addrs()[1].port();
    let address = SocketAddr::new(fresh_ip(), port);
    // The client's socket is connected: it hears nobody else.
    let mut client = DtlsClient::new(address, &certificate.client());
    client.handshake().unwrap();
    let own = client.socket.local_addr().unwrap();
    let mapped = client.ask(Method::BINDING, &|_| {});
    assert_eq!(mapped.get(), Some(XorMappedAddress(own)));
}

#[test]
fn d2_a_request_that_is_sent_again_gets_the_same_answer() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut client = certificate.connect(&server);
    client.challenge();
    let request = client
        .account
        .write(Method::ALLOCATE, transaction_id(), &udp);
    client.send(&request);
    let first = Response(client.receive().unwrap());
    client.send(&request);
    let second = Response(client.receive().unwrap());
    assert_eq!(relayed(&first), relayed(&second));
    assert_eq!(first.0[..20], second.0[..20]);
    assert_eq!(server.handle().allocations(), 1);
}

#[test]
fn d3_a_protocol_is_selected_if_it_is_offered() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let offering = |names: &[&str]| {
        let mut client = DtlsClient::new(
            server.local_addrs()[1],
            &ClientOptions {
                alpn: names.iter().map(|name| (*name).into()).collect(),
                ..certificate.client()
            },
        );
        client.handshake()?;
        Ok(client.session.info().unwrap().alpn)
    };
    for (offered, selected) in [
        (&["stun.turn"][..], Some("stun.turn")),
        (
            &["http/1.1", "stun.nat-discovery"],
            Some("stun.nat-discovery"),
        ),
        (&[], None),
    ] {
        assert_eq!(offering(offered), Ok(selected.map(Into::into)));
    }
    // no_application_protocol (RFC 7301 §3.2).
    assert_eq!(offering(&["http/1.1"]), Err(Failure::PeerAlert(120)));
    wait_for(&server.handle(), Counter::DtlsFailed, 1);
}

#[test]
fn d4_a_record_is_one_message() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let handle = server.handle();
    let mut client = certificate.connect(&server);
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    // Odd lengths, and more than any MTU.
    for length in [0, 1, 2, 3, 1_200, 1_500, 9_000, (1 << 14) - 4] {
        client.round_trip(0x4000, &peer, &vec![7; length]);
    }
    // Two records in one datagram are two messages.
    for data in [&b"one"[..], b"two"] {
        client.session.send(&channel_data(0x4000, data)).unwrap();
    }
    let both = client.written().concat();
    client.socket.send(&both).unwrap();
    assert_eq!(crate::support::read(&peer).0, b"one");
    assert_eq!(crate::support::read(&peer).0, b"two");
    // Two messages in one record are none.
    let request = client
        .account
        .write(Method::BINDING, transaction_id(), &|_| {});
    client.send(&[&request[..], &request].concat());
    wait_until("it is dropped", || {
        handle.counters().drops(DropReason::Malformed) == 1
    });
}

#[test]
fn d4_what_no_record_carries_is_dropped_and_counted() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut client = certificate.connect(&server);
    let peer = peer_v4();
    let relay = client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    peer.send_to(&vec![7; 20_000], relay).unwrap();
    wait_until("it is dropped", || {
        server.handle().counters().drops(DropReason::TooLarge) == 1
    });
    client.round_trip(0x4000, &peer, b"the session goes on");
}

#[test]
fn d7_new_certificates_are_for_new_sessions() {
    let [old, new] = [Certificate::new(), Certificate::new()];
    let server = old.start(|_| {});
    let mut client = old.connect(&server);
    let peer = peer_v4();
    client.allocate();
    assert_eq!(client.bind(0x4000, peer.local_addr().unwrap()), 0);
    server.handle().set_dtls(&new.context()).unwrap();
    // The worker takes the new one when it is woken next, which a hello may precede.
    let address = server.local_addrs()[1];
    wait_until("the new certificate is shown", || {
        DtlsClient::new(address, &new.client()).handshake().is_ok()
    });
    let refused = DtlsClient::new(address, &old.client()).handshake();
    assert!(
        matches!(refused, Err(Failure::Certificate(_))),
        "{refused:?}"
    );
    client.round_trip(0x4000, &peer, b"a session of before");
}

#[test]
fn d8_old_suites_and_strangers_are_refused() {
    let [certificate, stranger] = [Certificate::new(), Certificate::new()];
    let server = certificate.start(|_| {});
    let address = server.local_addrs()[1];
    // RFC 9325 §4.2: neither CBC nor key transport.
    for ciphers in ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256"] {
        let options = ClientOptions {
            ciphers: Some(ciphers.to_owned()),
            ..certificate.client()
        };
        let refused = DtlsClient::new(address, &options).handshake();
        assert_eq!(refused, Err(Failure::PeerAlert(40)), "{ciphers}");
    }
    wait_for(&server.handle(), Counter::DtlsFailed, 2);
    let refused = DtlsClient::new(address, &stranger.client()).handshake();
    assert!(
        matches!(refused, Err(Failure::Certificate(_))),
        "{refused:?}"
    );
}

#[test]
fn s13_a_request_without_the_cookie_gets_a_500() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut client = certificate.connect(&server);
    let mut request = [9; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 1, 2, 3, 4]);
    let mut indication = request;
    indication[1] = 0x11;
    client.send(&indication);
    client.send(&request);
    let mut answer = client.receive().unwrap();
    assert_eq!(answer[4..20], request[4..]);
    answer[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    let error = wharf_stun::Message::parse(&answer).unwrap();
    let code = error.get::<ErrorCode<'_>>().unwrap().unwrap().code;
    assert_eq!(code, 500);
    let counters = server.handle().counters();
    assert_eq!(counters.replies(Method::BINDING, 500), 1);
    assert_eq!(counters.drops(DropReason::Malformed), 1);
}

#[test]
fn across_to_udp_and_to_another_session() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut clients = [certificate.connect(&server), certificate.connect(&server)];
    let [first, second] = &mut clients;
    let mut plain = Client::at(server.local_addrs()[0], crate::client::Login::bob());
    let relays = [first.allocate(), second.allocate(), plain.allocate()];
    assert_eq!(first.bind(0x4000, relays[1]), 0);
    assert_eq!(second.bind(0x4001, relays[0]), 0);
    first.send(&channel_data(0x4000, b"12345"));
    assert_eq!(second.data_on(), (0x4001, b"12345".to_vec()));
    assert_eq!(first.bind(0x4002, relays[2]), 0);
    assert_eq!(plain.bind(0x4003, relays[0]), 0);
    first.send(&channel_data(0x4002, b"abc"));
    assert_eq!(plain.data_on(), (0x4003, b"abc".to_vec()));
    plain.send_on(0x4003, b"de");
    assert_eq!(first.data_on(), (0x4002, b"de".to_vec()));
    assert_eq!(server.handle().counters().get(Counter::HandedAcross), 3);
}

#[test]
fn lost_flights_are_sent_again() {
    let certificate = Certificate::new();
    let server = certificate.start(|_| {});
    let mut client = DtlsClient::new(server.local_addrs()[1], &certificate.client());
    client.flush();
    // The challenge, and the hello with its cookie.
    client.pump();
    // The server's flight is lost, and the client sends nothing: the server's timer does it.
    let begun = Instant::now();
    let first = client.datagram().expect("a flight");
    client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut again = vec![0; 65_536];
    let length = client.socket.recv(&mut again).expect("it comes again");
    again.truncate(length);
    // The same message in a record with another number.
    assert_eq!(again[11..25], first[11..25]);
    assert!(again[5..11] > first[5..11]);
    assert!(begun.elapsed().as_millis() >= 900, "before its time");
    client.session.handle_datagram(Instant::now(), again.into());
    client.flush();
    client.handshake().expect("a handshake");
    assert_eq!(client.ask(Method::BINDING, &|_| {}).code(), 0);
}
