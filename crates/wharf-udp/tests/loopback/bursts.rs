//! Bursts: GSO cuts what GRO joins.

use crate::common::{V4, V6, bind, plain, receive, send, wait};
use wharf_udp::{ReceiveBatch, SendBatch, SocketOptions};

fn burst(count: u8, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| vec![i; length]).collect()
}

#[test]
fn a_burst_is_one_slot_with_gro_and_single_datagrams_without() {
    let gro = SocketOptions {
        gro: true,
        ..plain()
    };
    for address in [V4, V6] {
        for (options, expected) in [(&gro, 1), (&plain(), 16)] {
            let (server, client) = (bind(address, options), bind(address, &plain()));
            let sent = burst(16, 172);
            let payloads: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
            let report = send(&client, server.local_addr(), &payloads);
            assert_eq!((report.sent, report.sent_bytes), (16, 16 * 172));
            let (got, slots) = receive(&server, 16);
            let got: Vec<_> = got.into_iter().map(|d| d.bytes).collect();
            assert_eq!(got, sent);
            assert_eq!(slots, expected);
        }
    }
}

#[test]
fn the_last_datagram_of_a_burst_may_be_shorter() {
    let server = bind(
        V4,
        &SocketOptions {
            gro: true,
            ..plain()
        },
    );
    let client = bind(V4, &plain());
    let payloads: [&[u8]; 5] = [b"aaaa", b"bbbb", b"cc", b"dddd", b"ee"];
    assert_eq!(send(&client, server.local_addr(), &payloads).sent, 5);
    // The short "cc" ends the first burst; "dddd" and "ee" are the second.
    let (got, slots) = receive(&server, 5);
    let got: Vec<_> = got.into_iter().map(|d| d.bytes).collect();
    assert_eq!(
        (got.as_slice(), slots),
        (&payloads.map(<[u8]>::to_vec)[..], 2)
    );
}

#[test]
fn bursts_beyond_the_limits_of_a_message_are_spread_over_several() {
    let gro = SocketOptions {
        gro: true,
        receive_buffer: Some(4 << 20),
        ..plain()
    };
    // 64 datagrams, or 65,000 bytes, are the most. The kernel may decline to cut a large message up when
    // it is short of memory, and everything arrives singly: then once more.
    for (count, length, messages) in [(200, 100, 4), (100, 2000, 4)] {
        let slots = (0..5).map(|_| slots_of_burst(&gro, &burst(count, length)));
        assert_eq!(slots.min(), Some(messages));
    }
}

/// Sends a burst, makes sure that all of it arrives in order, and says in how many pieces.
fn slots_of_burst(options: &SocketOptions, sent: &[Vec<u8>]) -> usize {
    let (server, client) = (bind(V4, options), bind(V4, &plain()));
    let mut batch = SendBatch::new(128, 256);
    for payload in sent {
        batch
            .push_bytes(server.local_addr(), None, 0, payload)
            .unwrap();
    }
    let report = batch.flush(&client, &ReceiveBatch::new(0));
    assert_eq!(report.sent, sent.len() as u64);
    let (got, slots) = receive(&server, sent.len());
    assert!(got.into_iter().map(|d| d.bytes).eq(sent.iter().cloned()));
    slots
}

#[test]
fn a_joined_burst_is_forwarded_with_a_header_on_each_datagram() {
    let gro = SocketOptions {
        gro: true,
        ..plain()
    };
    let (client, relay, peer) = (bind(V4, &plain()), bind(V4, &gro), bind(V4, &gro));
    let sent = burst(16, 101);
    let payloads: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
    send(&client, relay.local_addr(), &payloads);

    wait(&relay);
    let mut arena = ReceiveBatch::new(4);
    assert_eq!(relay.receive(&mut arena, 4).unwrap(), 1);
    let mut batch = SendBatch::new(4, 32);
    let received = arena.get(0);
    assert_eq!((received.segment, received.data.len()), (101, 16 * 101));
    for range in received.segments() {
        batch
            .push(peer.local_addr(), None, 0, b"HEAD", Some((0, range)), 3)
            .unwrap();
    }
    assert_eq!(batch.flush(&relay, &arena).sent_bytes, 16 * 108);
    // Without headers the ranges are neighbours, and one part serves for all.
    for range in received.segments() {
        batch
            .push(peer.local_addr(), None, 0, b"", Some((0, range)), 0)
            .unwrap();
    }
    assert_eq!(batch.flush(&relay, &arena).sent_bytes, 16 * 101);

    let (got, slots) = receive(&peer, 32);
    assert_eq!(slots, 2);
    for (index, datagram) in got.iter().enumerate() {
        let payload = &sent[index % 16];
        let framed = [b"HEAD", payload.as_slice(), &[0; 3]].concat();
        assert_eq!(&datagram.bytes, if index < 16 { &framed } else { payload });
    }
}
