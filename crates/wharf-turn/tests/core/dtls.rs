//! Clients over DTLS: datagrams as over UDP, in a connection as over a stream.

use wharf_policy::PrefixLimits;
use wharf_stun::attribute::{ErrorCode, RequestedTransport};
use wharf_stun::{ChannelData, Message, Method};
use wharf_turn::{Command, Config, DropReason, Event, FreedBy, Output, Transport};

use crate::support::{Client, Host, PEER, Reaction, addr, config};

fn over_dtls(host: &mut Host, name: &str, port: u16) -> Client {
    let mut client = Client::new(host, name, port);
    client.path.transport = Transport::Dtls;
    client
}

/// A message without attributes whose cookie is another one.
fn without_cookie(method: u8, class: u8) -> [u8; 20] {
    let mut bytes = [9; 20];
    bytes[..8].copy_from_slice(&[0, method | class, 0, 0, 1, 2, 3, 4]);
    bytes
}

/// The bytes of the answer to such a request and its error code, which must agree.
fn answer(host: &mut Host, client: &Client, request: &[u8]) -> (Vec<u8>, Option<u16>) {
    let output = host.server.handle_client(host.now, &client.path, request);
    let Output::Reply(reply) = output else {
        panic!("not a reply: {output:?}");
    };
    let (bytes, error) = (reply.bytes.to_vec(), reply.error);
    // But for the place of the cookie it is a message.
    let mut with_cookie = bytes.clone();
    with_cookie[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    let message = Message::parse(&with_cookie).expect("a message");
    let code = message
        .get::<ErrorCode<'_>>()
        .map(|code| code.unwrap().code);
    assert_eq!(code, error);
    (bytes, error)
}

#[test]
fn s13_a_request_without_the_cookie_gets_a_500_over_dtls_alone() {
    let mut host = Host::default();
    let mut client = over_dtls(&mut host, "alice", 1);
    for method in [1, 3] {
        let request = without_cookie(method, 0);
        let (bytes, error) = answer(&mut host, &client, &request);
        assert_eq!(error, Some(500));
        assert_eq!(bytes[..2], [1, 0x10 | method]);
        // The whole transaction id of RFC 3489, with the cookie's place.
        assert_eq!(bytes[4..20], request[4..]);
    }
    let malformed = Reaction::Dropped(DropReason::Malformed);
    let indication = without_cookie(1, 0x10);
    assert_eq!(host.client(&client.path, &indication), malformed);
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        client.path.transport = transport;
        let request = without_cookie(1, 0);
        assert_eq!(host.client(&client.path, &request), malformed);
    }
}

#[test]
fn s13_such_answers_are_limited_as_others_are() {
    let mut host = Host::new(Config {
        unauthenticated: PrefixLimits {
            per_second: 1,
            burst: 1,
            ..PrefixLimits::default()
        },
        ..config()
    });
    let client = over_dtls(&mut host, "alice", 1);
    let request = without_cookie(1, 0);
    assert_eq!(answer(&mut host, &client, &request).1, Some(500));
    let limited = Reaction::Dropped(DropReason::RateLimited);
    assert_eq!(host.client(&client.path, &request), limited);
}

#[test]
fn d4_channel_data_is_not_padded() {
    let mut host = Host::default();
    let mut client = over_dtls(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    for len in 0..=9_u8 {
        let data: Vec<u8> = (1..=len).collect();
        let expected = [&ChannelData::header(0x4000, len.into())[..], &data].concat();
        let there = host.client(&client.path, &expected).into_peer();
        assert_eq!(there, (addr(PEER), data.clone()));
        let back = host.peer(relay, addr(PEER), &data).into_client();
        assert_eq!(back, expected);
    }
}

#[test]
fn d4_what_no_record_carries_is_dropped() {
    let mut host = Host::default();
    let mut client = over_dtls(&mut host, "alice", 1);
    let relay = client.allocate(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    let largest = vec![7; (1 << 14) - 4];
    let back = host.peer(relay, addr(PEER), &largest).into_client();
    assert_eq!(back.len(), 1 << 14);
    let larger = vec![7; (1 << 14) - 3];
    let dropped = Reaction::Dropped(DropReason::TooLarge);
    assert_eq!(host.peer(relay, addr(PEER), &larger), dropped);
}

#[test]
fn d2_a_request_that_cannot_be_looked_up_is_sent_again_by_the_client() {
    let mut host = Host::new(Config {
        max_look_ups: 0,
        ..config()
    });
    let mut client = over_dtls(&mut host, "alice", 1);
    let request = client.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP).map(drop)
    });
    let dropped = Reaction::Dropped(DropReason::LookUpsFull);
    assert_eq!(host.client(&client.path, &request), dropped);
}

#[test]
fn d5_the_allocation_ends_with_the_session_and_is_another_than_that_over_udp() {
    let mut host = Host::default();
    let mut plain = Client::new(&mut host, "alice", 1);
    let mut client = over_dtls(&mut host, "alice", 1);
    assert_eq!(plain.path.client, client.path.client);
    plain.allocate(&mut host);
    client.allocate(&mut host);
    assert_eq!(host.server.allocations(), 2);
    host.forget();
    host.server.handle_client_closed(&client.path);
    assert_eq!(host.server.allocations(), 1);
    let closed = host.server.poll_command();
    assert!(
        matches!(closed, Some(Command::CloseRelay { .. })),
        "{closed:?}"
    );
    let freed = Event::Freed {
        path: client.path,
        user: "alice".into(),
        by: FreedBy::Disconnect,
    };
    assert_eq!(host.server.poll_event(), Some(freed));
}
