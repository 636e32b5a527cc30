//! Open sessions: messages, replays, garbage, and both ways to end.

use bytes::{Bytes, BytesMut};

use super::net::{Pair, drain, next, options};
use crate::{MAX_MESSAGE, Received, SendError, Session};

fn open() -> Pair {
    let (server, client) = options();
    Pair::open(&server, &client)
}

/// What a session has written, one datagram each.
fn written(session: &mut Session) -> Vec<Bytes> {
    std::iter::from_fn(|| next(session)).collect()
}

#[test]
fn messages_keep_their_boundaries_both_ways() {
    let mut pair = open();
    let now = pair.now;
    let largest = pair.client.max_message();
    let messages: Vec<_> = [1, 2, 100, largest]
        .map(|length| vec![length as u8; length])
        .into();
    for message in &messages {
        pair.client.send(message).unwrap();
    }
    let mut arrived = Vec::new();
    for datagram in written(&mut pair.client) {
        assert!(datagram.len() <= 1200);
        pair.server().handle_datagram(now, datagram);
        arrived.extend(drain(pair.server()).0);
    }
    assert_eq!(arrived, messages);
    pair.server().send(b"back").unwrap();
    let datagram = written(pair.server()).remove(0);
    pair.client.handle_datagram(now, datagram);
    assert_eq!(
        drain(&mut pair.client),
        (vec![b"back".to_vec()], Ok(Received::Nothing))
    );
}

#[test]
fn several_records_in_a_datagram_are_several_messages() {
    let mut pair = open();
    let now = pair.now;
    for message in [&b"one"[..], b"two", b"three"] {
        pair.client.send(message).unwrap();
    }
    let datagram = written(&mut pair.client).concat();
    pair.server().handle_datagram(now, datagram.into());
    let expected = [&b"one"[..], b"two", b"three"].map(<[u8]>::to_vec).to_vec();
    assert_eq!(drain(pair.server()), (expected, Ok(Received::Nothing)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut pair = open();
    let largest = pair.client.max_message();
    assert_eq!(largest, 1200 - 13 - 8 - 16);
    assert_eq!(pair.client.send(b""), Err(SendError::Empty));
    let large = vec![0; largest + 1];
    assert_eq!(
        pair.client.send(&large),
        Err(SendError::TooLarge(largest + 1, largest))
    );
    assert!(written(&mut pair.client).is_empty());
    let (server, client) = options();
    let mut young = Pair::new(&server, &client);
    assert_eq!(young.client.send(b"x"), Err(SendError::NotOpen));
    assert_eq!((young.client.max_message(), young.client.info()), (0, None));
}

#[test]
fn messages_over_the_mtu_go_where_they_may() {
    let mut pair = open();
    let now = pair.now;
    pair.server().exceed_mtu();
    assert_eq!(pair.server().max_message(), MAX_MESSAGE);
    let largest = vec![7; MAX_MESSAGE];
    pair.server().send(&largest).unwrap();
    let datagram = written(pair.server()).remove(0);
    pair.client.handle_datagram(now, datagram);
    assert_eq!(
        drain(&mut pair.client),
        (vec![largest], Ok(Received::Nothing))
    );
}

#[test]
fn a_replayed_record_is_dropped() {
    let mut pair = open();
    let now = pair.now;
    pair.client.send(b"once").unwrap();
    let datagram = written(&mut pair.client).remove(0);
    pair.server().handle_datagram(now, datagram.clone());
    assert_eq!(drain(pair.server()).0.len(), 1);
    pair.server().handle_datagram(now, datagram);
    assert_eq!(drain(pair.server()), (Vec::new(), Ok(Received::Nothing)));
}

#[test]
fn reordered_records_all_arrive() {
    let mut pair = open();
    let now = pair.now;
    for number in 0..20_u8 {
        pair.client.send(&[number]).unwrap();
    }
    let mut arrived = Vec::new();
    for datagram in written(&mut pair.client).into_iter().rev() {
        pair.server().handle_datagram(now, datagram);
        arrived.extend(drain(pair.server()).0);
    }
    assert_eq!(
        arrived,
        (0..20).rev().map(|number| vec![number]).collect::<Vec<_>>()
    );
}

#[test]
fn garbage_and_forgeries_change_nothing() {
    let mut pair = open();
    let now = pair.now;
    pair.client.send(b"true").unwrap();
    let good = written(&mut pair.client).remove(0);
    let mut bad: Vec<Vec<u8>> = vec![Vec::new(), vec![0; 100], b"GET / HTTP/1.1".to_vec()];
    for at in 0..good.len() {
        let mut forged = good.to_vec();
        forged[at] ^= 0x55;
        bad.push(forged);
        bad.push(good[..at].to_vec());
    }
    for datagram in bad {
        pair.server().handle_datagram(now, datagram.into());
        assert_eq!(drain(pair.server()), (Vec::new(), Ok(Received::Nothing)));
    }
    pair.server().handle_datagram(now, good);
    assert_eq!(drain(pair.server()).0, [b"true"]);
}

#[test]
fn garbage_during_the_handshake_is_dropped() {
    let (server, client) = options();
    let garbage = [
        &b"\x16\xfe\xfd\0\0\0\0\0\0\0\x63\0\x44abcd"[..],
        b"",
        &[0x80; 200],
        &[22; 64],
    ];
    // After each of the datagrams of the handshake, on both sides.
    for disturbed in 0..6 {
        let mut pair = Pair::new(&server, &client);
        for _ in 0..disturbed {
            pair.collect();
            if let Some(datagram) = pair.to_server.pop_front() {
                pair.serve(datagram);
            } else if let Some(datagram) = pair.to_client.pop_front() {
                pair.client.handle_datagram(pair.now, datagram);
            }
        }
        for bytes in garbage {
            pair.serve(Bytes::from_static(
                b"\x17\xfe\xfd\0\x01\0\0\0\0\0\x09\0\x03abc",
            ));
            pair.serve(Bytes::copy_from_slice(bytes));
            pair.client
                .handle_datagram(pair.now, Bytes::copy_from_slice(bytes));
        }
        pair.handshake();
        assert!(
            pair.client.is_open() && pair.server().is_open(),
            "{disturbed}"
        );
    }
}

/// Bytes of memory of this process.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn records_before_their_keys_take_little_memory() {
    let (server, client) = options();
    // Of handshakes, of the epoch after the first, and as long as a record may be.
    let early: Vec<Bytes> = (0..100_u8)
        .map(|number| {
            let header = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, number, 0x3e, 0x80];
            [&header[..], &[number; 16_000]].concat().into()
        })
        .collect();
    let before = resident();
    let mut pairs = Vec::new();
    for _ in 0..64 {
        let mut pair = Pair::new(&server, &client);
        while pair.server.is_none() {
            pair.collect();
            if let Some(datagram) = pair.to_server.pop_front() {
                pair.serve(datagram);
            } else if let Some(datagram) = pair.to_client.pop_front() {
                pair.client.handle_datagram(pair.now, datagram);
            }
        }
        for datagram in &early {
            pair.serve(datagram.clone());
        }
        pairs.push(pair);
    }
    // All of them would be 107 MB; the handshakes alone take some 10 MB.
    let grown = resident().saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes");
}

#[test]
fn close_notify_ends_both_sides_whoever_begins() {
    for client_first in [true, false] {
        let mut pair = open();
        let now = pair.now;
        let Pair { client, server, .. } = &mut pair;
        let server = server.as_mut().unwrap();
        let (first, second) = if client_first {
            (client, server)
        } else {
            (server, client)
        };
        first.send(b"last words").unwrap();
        first.close();
        assert_eq!(first.send(b"more"), Err(SendError::NotOpen));
        second.send(b"under way").unwrap();
        let under_way = written(second).remove(0);
        let mut heard = Vec::new();
        for datagram in written(first) {
            second.handle_datagram(now, datagram);
            let (messages, end) = drain(second);
            heard.push((messages.concat(), end.unwrap()));
        }
        assert_eq!(
            heard,
            [
                (b"last words".to_vec(), Received::Nothing),
                (Vec::new(), Received::Closed)
            ]
        );
        assert!(second.is_closed_by_peer() && !second.is_open());
        first.handle_datagram(now, under_way);
        assert_eq!(drain(first).0, [b"under way"]);
        let answer = written(second);
        assert_eq!(answer.len(), 1, "close_notify is answered");
        first.handle_datagram(now, answer[0].clone());
        assert_eq!(first.recv(&mut BytesMut::new()), Ok(Received::Closed));
        assert_eq!(second.recv(&mut BytesMut::new()), Ok(Received::Closed));
    }
}

#[test]
fn a_forged_close_is_dropped() {
    let mut pair = open();
    let now = pair.now;
    // In the clear, as before the handshake, and too short to be anything: close_notify and a
    // fatal alert.
    for epoch in [0, 1] {
        for alert in [b"\x01\0", b"\x02\x28"] {
            let mut record = b"\x15\xfe\xfd\0\0\0\0\0\0\0\x77\0\x02".to_vec();
            record[4] = epoch;
            record.extend_from_slice(alert);
            pair.server().handle_datagram(now, record.into());
            assert_eq!(
                drain(pair.server()),
                (Vec::new(), Ok(Received::Nothing)),
                "{epoch}"
            );
        }
    }
    pair.client.send(b"still").unwrap();
    let datagram = written(&mut pair.client).remove(0);
    pair.server().handle_datagram(now, datagram);
    assert_eq!(drain(pair.server()).0, [b"still"]);
}
