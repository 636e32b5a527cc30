//! Single datagrams: what is sent is what arrives, with its addresses and class.

use std::net::{SocketAddr, UdpSocket};

use crate::common::{V4, V6, bind, plain, receive, send, wait};
use wharf_udp::{Full, ReceiveBatch, SLOT_SIZE, SendBatch, SocketOptions};

#[test]
fn both_families_echo() {
    for address in [V4, V6] {
        let (server, client) = (bind(address, &plain()), bind(address, &plain()));
        let report = send(&client, server.local_addr(), &[b"one", b"three"]);
        assert_eq!((report.sent, report.sent_bytes, report.failed), (2, 8, 0));
        let (got, slots) = receive(&server, 2);
        assert_eq!(
            (got[0].bytes.as_slice(), got[1].bytes.as_slice()),
            (&b"one"[..], &b"three"[..])
        );
        assert_eq!(
            (got[0].from, got[0].local, got[0].tos, slots),
            (client.local_addr(), None, 0, 2)
        );
        assert_eq!(send(&server, got[0].from, &[b"back"]).sent, 1);
        assert_eq!(receive(&client, 1).0[0].bytes, b"back");
    }
}

#[test]
fn an_empty_datagram_arrives_as_one_empty_segment() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    // Empty ones can neither join a message nor be joined.
    let report = send(&client, server.local_addr(), &[b"", b"", b"x", b""]);
    assert_eq!((report.sent, report.sent_bytes), (4, 1));
    let lengths: Vec<_> = receive(&server, 4)
        .0
        .iter()
        .map(|d| d.bytes.len())
        .collect();
    assert_eq!(lengths, [0, 0, 1, 0]);
}

#[test]
fn the_largest_datagram_is_neither_cut_nor_refused() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let big: Vec<u8> = (0..65_507_u32).map(|i| (i * 7 % 251) as u8).collect();
    let feeder = UdpSocket::bind("127.0.0.1:0").unwrap();
    feeder.send_to(&big, client.local_addr()).unwrap();
    wait(&client);
    let mut arena = ReceiveBatch::new(1);
    assert_eq!(client.receive(&mut arena, 9).unwrap(), 1);
    assert!(arena.is_full() && !arena.get(0).truncated);
    assert_eq!(client.receive(&mut arena, 9).unwrap(), 0, "no slot is free");

    let mut batch = SendBatch::new(1, 1);
    batch
        .push(
            server.local_addr(),
            None,
            0,
            b"",
            Some((0, 0..big.len())),
            0,
        )
        .unwrap();
    assert_eq!(batch.flush(&client, &arena).sent_bytes, 65_507);
    assert_eq!(receive(&server, 1).0[0].bytes, big);
}

#[test]
fn an_empty_batch_has_room_for_the_largest_datagram() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let (mut batch, none) = (SendBatch::new(1, 1), ReceiveBatch::new(0));
    // 65,535 less the headers of UDP and IPv4.
    let largest: Vec<u8> = (0..65_507_u32).map(|index| index as u8).collect();
    for _ in 0..2 {
        batch
            .push_bytes(server.local_addr(), None, 0, &largest)
            .unwrap();
        assert_eq!(batch.flush(&client, &none).sent, 1);
        assert_eq!(receive(&server, 1).0[0].bytes, largest);
    }
}

#[test]
fn header_payload_and_padding_are_put_together() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let feeder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut arena = ReceiveBatch::new(4);
    for text in [&b"abcdefgh"[..], b"ijklmnop"] {
        feeder.send_to(text, client.local_addr()).unwrap();
        wait(&client);
        assert_eq!(client.receive(&mut arena, 4).unwrap(), 1);
    }
    assert_eq!(
        (arena.get(0).data, arena.get(1).data),
        (&b"abcdefgh"[..], &b"ijklmnop"[..])
    );
    let to = server.local_addr();
    let mut batch = SendBatch::new(8, 8);
    batch
        .push(to, None, 0, b"HEAD", Some((0, 2..5)), 1)
        .unwrap();
    batch
        .push(to, None, 0, b"head", Some((1, 0..3)), 1)
        .unwrap();
    batch.push(to, None, 0, b"", Some((1, 3..8)), 3).unwrap();
    batch.push(to, None, 0, b"only", None, 0).unwrap();
    // These ranges follow on from each other, but in different slots.
    batch.push(to, None, 0, b"", Some((0, 0..4)), 0).unwrap();
    batch.push(to, None, 0, b"", Some((1, 4..8)), 0).unwrap();
    let report = batch.flush(&client, &arena);
    assert_eq!(
        (report.sent, report.sent_bytes, batch.is_empty()),
        (6, 36, true)
    );
    let got: Vec<_> = receive(&server, 6).0.into_iter().map(|d| d.bytes).collect();
    assert_eq!(
        got,
        [
            &b"HEADcde\0"[..],
            b"headijk\0",
            b"lmnop\0\0\0",
            b"only",
            b"abcd",
            b"mnop"
        ]
    );
}

#[test]
fn a_datagram_that_cannot_be_sent_is_counted_and_its_neighbours_go() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let feeder = UdpSocket::bind("127.0.0.1:0").unwrap();
    feeder.send_to(b"1234", client.local_addr()).unwrap();
    wait(&client);
    let mut arena = ReceiveBatch::new(2);
    client.receive(&mut arena, 2).unwrap();
    let to = server.local_addr();
    let mut batch = SendBatch::new(16, 16);
    let far = usize::MAX - 1..usize::MAX;
    let inverted = std::ops::Range { start: 3, end: 1 };
    let bad = [
        (0, 2..5),
        (1, 0..1),
        (usize::MAX, 0..1),
        (0, far),
        (0, inverted),
        (0, 0..usize::MAX),
    ];
    for payload in bad.clone() {
        batch.push(to, None, 0, b"", Some(payload), 0).unwrap();
    }
    batch
        .push(to, None, 0, &vec![0; SLOT_SIZE + 1], None, 0)
        .unwrap();
    batch.push(to, None, 0, b"", None, 4).unwrap();
    batch
        .push(to, Some("::1".parse().unwrap()), 0, b"x", None, 0)
        .unwrap();
    batch
        .push(
            "[::1]:9".parse().unwrap(),
            None,
            0,
            b"other family",
            None,
            0,
        )
        .unwrap();
    batch.push(to, None, 0, b"", Some((0, 1..3)), 0).unwrap();
    let report = batch.flush(&client, &arena);
    assert_eq!((report.sent, report.failed), (1, bad.len() as u64 + 4));
    assert!(report.last_error.is_some());
    assert_eq!(receive(&server, 1).0[0].bytes, b"23");
}

#[test]
fn a_full_batch_says_so_and_loses_nothing() {
    let (server, client) = (bind(V4, &plain()), bind(V4, &plain()));
    let mut batch = SendBatch::new(2, 2);
    let to = server.local_addr();
    // Growing lengths cannot share a message.
    batch.push_bytes(to, None, 0, b"1").unwrap();
    batch.push_bytes(to, None, 0, b"22").unwrap();
    assert_eq!(batch.push_bytes(to, None, 0, b"333"), Err(Full));
    let none = ReceiveBatch::new(0);
    assert_eq!(batch.flush(&client, &none).sent, 2);
    batch.push_bytes(to, None, 0, b"333").unwrap();
    assert_eq!(batch.flush(&client, &none).sent, 1);
    assert_eq!(receive(&server, 3).0[2].bytes, b"333");
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let options = SocketOptions {
        packet_info: true,
        ..plain()
    };
    for (wildcard, asked, client) in [("0.0.0.0:0", "127.0.0.2", V4), ("[::]:0", "::1", V6)] {
        let (server, client) = (bind(wildcard, &options), bind(client, &plain()));
        let asked = SocketAddr::new(asked.parse().unwrap(), server.local_addr().port());
        send(&client, asked, &[b"who are you"]);
        let (got, _) = receive(&server, 1);
        assert_eq!(got[0].local, Some(asked.ip()));

        let mut batch = SendBatch::new(4, 4);
        batch
            .push_bytes(got[0].from, got[0].local, 0, b"me")
            .unwrap();
        assert_eq!(batch.flush(&server, &ReceiveBatch::new(0)).sent, 1);
        assert_eq!(receive(&client, 1).0[0].from, asked);
    }
}

#[test]
fn the_traffic_class_is_set_and_seen() {
    let options = SocketOptions {
        receive_tos: true,
        ..plain()
    };
    for address in [V4, V6] {
        let (server, client) = (bind(address, &options), bind(address, &plain()));
        let mut batch = SendBatch::new(4, 4);
        // Expedited forwarding and ECT(0); then neither; equal lengths must not join these.
        batch
            .push_bytes(server.local_addr(), None, 0xB8 | 2, b"a")
            .unwrap();
        batch
            .push_bytes(server.local_addr(), None, 0, b"b")
            .unwrap();
        assert_eq!(batch.flush(&client, &ReceiveBatch::new(0)).sent, 2);
        let (got, _) = receive(&server, 2);
        assert_eq!((got[0].tos, got[1].tos), (0xBA, 0));
    }
}
