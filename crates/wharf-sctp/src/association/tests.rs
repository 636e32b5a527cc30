use std::time::Duration;

use super::*;
use crate::testing::{Faults, Pair, client_address, message};
use crate::{Front, Options};

mod ends;

fn received(end: &mut Association, now: Instant) -> Vec<Message> {
    std::iter::from_fn(|| end.recv(now)).collect()
}

#[test]
fn a_handshake_opens_both_ends_in_four_packets() {
    let mut pair = Pair::new(Options::default());
    assert!(!pair.client.is_connected());
    pair.run(|pair| pair.client.is_connected());
    assert!(pair.server().is_connected());
    assert_eq!(pair.client.streams_out(), 64);
    assert_eq!(pair.client.unacknowledged(), 0);
    assert_eq!(pair.client.closed(), None);
}

#[test]
fn messages_of_every_size_arrive_whole_and_in_order() {
    for interleaving in [true, false] {
        let mut pair = Pair::connected(Options {
            interleaving,
            ..Options::default()
        });
        for len in [1, 2, 1000, 1200, 5000, 65_536, 256 << 10] {
            let sent = message(3, len);
            pair.client.send(pair.now, sent.clone()).unwrap();
            assert_eq!(pair.client.unacknowledged(), len);
            let mut got = vec![];
            pair.run(|pair| {
                let now = pair.now;
                got.extend(received(pair.server(), now));
                pair.client.unacknowledged() == 0
            });
            assert_eq!(got, [sent]);
        }
    }
}

#[test]
fn both_ends_send_on_many_streams_through_loss_reordering_and_duplicates() {
    let mut pair = Pair::connected(Options::default());
    pair.faults = Faults {
        loss: 5,
        reorder: 10,
        duplicate: 5,
        ..Faults::default()
    };
    let mut next = [0u32; 2];
    let mut got: [Vec<Message>; 2] = [vec![], vec![]];
    pair.run(|pair| {
        let now = pair.now;
        let server = pair.server.as_mut().unwrap();
        for (at, end) in [&mut pair.client, server].into_iter().enumerate() {
            while next[at] < 600 && end.can_send() {
                let count = next[at];
                let mut sent = message((count % 60) as u16, 1 + (count as usize * 37) % 4000);
                sent.ppid = count;
                sent.unordered = count % 5 == 0;
                end.send(now, sent).unwrap();
                next[at] += 1;
            }
            got[at].extend(received(end, now));
        }
        got.iter().all(|got| got.len() == 600)
    });
    for got in &got {
        let mut seen: Vec<_> = got.iter().map(|message| message.ppid).collect();
        for stream in 0..60 {
            let ordered: Vec<_> = got
                .iter()
                .filter(|message| message.stream == stream && message.ppid % 5 != 0)
                .map(|message| message.ppid)
                .collect();
            assert!(ordered.is_sorted(), "stream {stream}: {ordered:?}");
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..600));
        for message in got {
            let count = message.ppid;
            let len = 1 + (count as usize * 37) % 4000;
            assert_eq!(message.payload, super::tests::message(0, len).payload);
        }
    }
    let Faults {
        lost,
        reordered,
        duplicated,
        ..
    } = pair.faults;
    assert!(lost > 20 && reordered > 20 && duplicated > 20);
}

#[test]
fn an_unordered_message_overtakes() {
    let mut pair = Pair::connected(Options::default());
    let now = pair.now;
    pair.client.send(now, message(1, 100)).unwrap();
    // The first packet is lost; the second, with the unordered message, is not.
    let first = pair.client.poll_packet().unwrap();
    assert!(Packet::parse(&first).unwrap().has(chunk::DATA) || first.len() > 100);
    let mut urgent = message(1, 5);
    urgent.unordered = true;
    pair.client.send(now, urgent.clone()).unwrap();
    let mut got = vec![];
    pair.run(|pair| {
        let now = pair.now;
        got.extend(received(pair.server(), now));
        got.len() == 2
    });
    assert_eq!(got[0].payload, urgent.payload);
    assert_eq!(got[1].payload.len(), 100);
}

#[test]
fn a_full_queue_takes_no_more_until_the_peer_has_acknowledged() {
    let mut pair = Pair::connected(Options {
        max_message: 1000,
        receive_window: 8192,
        send_queue: 4000,
        ..Options::default()
    });
    let now = pair.now;
    for _ in 0..4 {
        pair.client.send(now, message(0, 1000)).unwrap();
    }
    assert!(!pair.client.can_send());
    assert_eq!(pair.client.send(now, message(0, 1)), Err(SendError::Full));
    pair.run(|pair| pair.client.can_send());
    pair.client.send(pair.now, message(0, 1)).unwrap();
}

#[test]
fn bad_messages_are_refused_by_name() {
    let mut pair = Pair::connected(Options {
        streams_in: 5,
        ..Options::default()
    });
    let now = pair.now;
    assert_eq!(pair.client.send(now, message(0, 0)), Err(SendError::Empty));
    let (len, limit) = ((256 << 10) + 1, 256 << 10);
    let refused = pair.client.send(now, message(0, len));
    assert_eq!(refused, Err(SendError::TooLarge { len, limit }));
    let refused = pair.client.send(now, message(5, 1));
    assert_eq!(
        refused,
        Err(SendError::NoSuchStream {
            stream: 5,
            streams: 5
        })
    );
    pair.client.send(now, message(4, 1)).unwrap();
    assert_eq!(pair.client.unacknowledged(), 1);
}

#[test]
fn a_reader_that_stops_for_minutes_loses_nothing() {
    let mut pair = Pair::connected(Options {
        max_message: 1000,
        receive_window: 20_000,
        heartbeat: Duration::ZERO,
        ..Options::default()
    });
    let mut sent = 0;
    while pair.client.can_send() && sent < 200 {
        pair.client.send(pair.now, message(0, 1000)).unwrap();
        sent += 1;
    }
    // Much longer than a dead peer is waited for.
    pair.run_for(Duration::from_mins(5));
    let waiting = pair.client.unacknowledged();
    assert!((175_000..190_000).contains(&waiting), "{waiting} wait");
    assert!(pair.client.is_connected());
    let now = pair.now;
    let mut got = received(pair.server(), now).len();
    assert!(got > 10);
    let news = pair.server().poll_packet().expect("news of an open window");
    let news = Packet::parse(&news).unwrap().first();
    assert_eq!(news.kind, chunk::SACK);
    assert!(crate::packet::u32_at(news.value, 4) >= 10_000);
    pair.run(|pair| {
        let now = pair.now;
        got += received(pair.server(), now).len();
        got == 200
    });
    assert!(pair.now - now < Duration::from_secs(20));
    assert!(pair.client.is_connected());
}

#[test]
fn streams_begin_anew_after_a_reset() {
    let mut pair = Pair::connected(Options::default());
    pair.client.send(pair.now, message(2, 10)).unwrap();
    pair.run(|pair| pair.client.unacknowledged() == 0);
    pair.client.reset_streams(pair.now, &[2]).unwrap();
    let mut done = None;
    pair.run(|pair| {
        done = done.take().or_else(|| pair.client.poll_reset());
        done.is_some()
    });
    assert_eq!(done, Some(Reset::Done(vec![2])));
    assert_eq!(pair.server().poll_reset(), Some(Reset::ByPeer(vec![2])));
    pair.client.send(pair.now, message(2, 20)).unwrap();
    pair.run(|pair| pair.client.unacknowledged() == 0);
    let now = pair.now;
    assert_eq!(received(pair.server(), now).len(), 2);
    let mut fresh = Pair::new(Options::default());
    let early = fresh.client.reset_streams(fresh.now, &[2]);
    assert_eq!(early, Err(ResetError::NotConnected));
}

#[test]
fn a_peer_that_starts_anew_takes_its_place() {
    let mut pair = Pair::connected(Options::default());
    let now = pair.now;
    pair.server().send(now, message(0, 5)).unwrap();
    pair.run(|pair| pair.server().unacknowledged() == 0);
    // The same addresses and ports, another life.
    let theirs = Cookies::new([3; 32], pair.now, Duration::from_mins(1));
    let (options, ports) = (pair.options.clone(), crate::testing::PORTS);
    let server = crate::testing::server_address();
    pair.client = Association::connect(pair.now, server, ports, options, theirs);
    pair.run(|pair| pair.client.is_connected());
    pair.client.send(pair.now, message(0, 77)).unwrap();
    let now = pair.now;
    pair.server().send(now, message(0, 78)).unwrap();
    let mut got = [0; 2];
    pair.run(|pair| {
        let now = pair.now;
        got[0] += received(pair.server(), now).len();
        got[1] += received(&mut pair.client, now).len();
        got == [1, 1]
    });
    assert!(pair.server().is_connected());
}

#[test]
fn wrong_tags_ports_checksums_and_streams_change_nothing() {
    let mut pair = Pair::connected(Options::default());
    pair.client.send(pair.now, message(9, 100)).unwrap();
    let data = pair.client.poll_packet().unwrap();
    let now = pair.now;
    let wrong = |at: usize, to: u8| {
        let mut packet = data.clone();
        packet[at] = to;
        crate::packet::seal(&mut packet);
        packet
    };
    let server = pair.server();
    let mut broken = data.clone();
    broken[40] ^= 1;
    assert_eq!(server.handle_packet(now, &broken), Err(Ignored::Checksum));
    assert_eq!(server.handle_packet(now, &wrong(0, 99)), Err(Ignored::Port));
    assert_eq!(server.handle_packet(now, &wrong(2, 99)), Err(Ignored::Port));
    // The stream of a DATA or I-DATA chunk: bytes 8 and 9 of it.
    assert_eq!(
        server.handle_packet(now, &wrong(21, 64)),
        Err(Ignored::Stream)
    );
    let tag = data[7].wrapping_add(1);
    assert_eq!(server.handle_packet(now, &wrong(7, tag)), Ok(()));
    assert_eq!(server.recv(now), None);
    assert_eq!(server.handle_packet(now, &data), Ok(()));
    assert_eq!(server.recv(now).unwrap().payload.len(), 100);
}

#[test]
fn garbage_with_a_good_checksum_never_panics_in_any_state() {
    let mut random = fastrand::Rng::with_seed(7);
    let opened = |random: &mut fastrand::Rng| match random.u8(..4) {
        0 => Pair::new(Options::default()),
        1 => {
            let mut pair = Pair::connected(Options::default());
            pair.client.send(pair.now, message(0, 100_000)).unwrap();
            pair.client.shutdown(pair.now);
            pair
        }
        _ => Pair::connected(Options::default()),
    };
    let mut survived = 0;
    for _ in 0..300 {
        let mut pair = opened(&mut random);
        for _ in 0..40 {
            pair.step();
            let to_server = random.bool();
            let mut packet = pair.last[usize::from(!to_server)].clone();
            if packet.is_empty() {
                continue;
            }
            for _ in 0..random.usize(1..4) {
                let at = random.usize(12..packet.len());
                packet[at] = random.u8(..);
            }
            if random.u8(..4) == 0 {
                packet.extend_from_slice(&[random.u8(..16), random.u8(..2), 0, 8, 0, 0, 0, 1]);
            }
            crate::packet::seal(&mut packet);
            pair.deliver(to_server, &packet);
        }
        survived += u32::from(pair.client.is_connected());
    }
    assert!(survived > 10, "{survived} survived");
}

#[test]
fn an_opening_serves_its_peer_only() {
    let mut pair = Pair::new(Options::default());
    pair.run(|pair| {
        Packet::parse(&pair.last[0]).is_ok_and(|packet| packet.has(chunk::COOKIE_ECHO))
    });
    let echo = pair.last[0].clone();
    let mut other = client_address();
    other.set_port(1);
    let mut front = Front::new(5000, Options::default(), pair.cookies.clone());
    let answer = front.handle(pair.now, other, &echo);
    assert!(matches!(answer, crate::Answer::Ignore(Ignored::Cookie)));
    let answer = front.handle(pair.now, client_address(), &echo);
    assert!(matches!(answer, crate::Answer::Open(_)));
}
