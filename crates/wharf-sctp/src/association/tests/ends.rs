//! How associations end.

use super::*;
use crate::packet::{make_chunk, write_packet};
use crate::testing::PORTS;

#[test]
fn a_shutdown_loses_no_queued_message_of_either_end() {
    for (of_client, of_server, both, loss) in [
        (3, 3, false, 0),
        (3, 3, true, 0),
        (0, 3, false, 0),
        (3, 0, false, 20),
        (0, 3, false, 20),
        (3, 3, true, 20),
    ] {
        let mut pair = Pair::connected(Options::default());
        pair.faults.loss = loss;
        let now = pair.now;
        for _ in 0..of_client {
            pair.client.send(now, message(0, 100_000)).unwrap();
        }
        for _ in 0..of_server {
            pair.server().send(now, message(0, 100_000)).unwrap();
        }
        pair.client.shutdown(now);
        let late = pair.client.send(now, message(0, 1));
        assert_eq!(late, Err(SendError::Closing));
        if both {
            pair.server().shutdown(now);
        }
        let mut got = [0; 2];
        pair.run(|pair| {
            let now = pair.now;
            got[0] += received(pair.server(), now).len();
            got[1] += received(&mut pair.client, now).len();
            pair.client.closed().is_some() && pair.server().closed().is_some()
        });
        assert_eq!(got, [of_client, of_server]);
        assert_eq!(pair.client.closed(), Some(&Closed::Finished));
        assert_eq!(pair.server().closed(), Some(&Closed::Finished));
        assert_eq!(pair.client.deadline(), None);
        assert!(loss == 0 || pair.faults.lost > 0);
    }
}

#[test]
fn a_stranger_ends_nothing_and_empties_no_window() {
    let options = Options {
        max_message: 4 << 10,
        receive_window: 8 << 10,
        ..Options::default()
    };
    let mut pair = Pair::connected(options);
    let now = pair.now;
    // To the client; the tag is not its own.
    let stranger = |kind, value: &[u8]| {
        let mut packet = Vec::new();
        write_packet(
            PORTS.1,
            PORTS.0,
            1,
            &make_chunk(kind, 0, value),
            &mut packet,
        );
        packet
    };
    let endings = [
        stranger(chunk::SHUTDOWN, &[0; 4]),
        stranger(chunk::ABORT, &[]),
    ];
    pair.client.send(now, message(0, 4000)).unwrap();
    for packet in &endings {
        assert_eq!(pair.client.handle_packet(now, packet), Ok(()));
    }
    pair.client.send(now, message(0, 4000)).unwrap();
    for _ in 0..20 {
        pair.server().send(now, message(0, 4000)).unwrap();
    }
    for _ in 0..20 {
        pair.run_for(Duration::from_secs(1));
        for packet in &endings {
            pair.deliver(false, packet);
        }
    }
    assert!(pair.client.is_connected());
    let unread: usize = received(&mut pair.client, now)
        .iter()
        .map(|message| message.payload.len())
        .sum();
    assert!((4000..=20_000).contains(&unread), "{unread} bytes unread");
}

#[test]
fn what_arrived_before_the_end_can_be_read_after_it() {
    let mut pair = Pair::connected(Options::default());
    for _ in 0..10 {
        pair.client.send(pair.now, message(0, 500)).unwrap();
    }
    pair.client.shutdown(pair.now);
    pair.run(|pair| pair.server().closed().is_some());
    let now = pair.now;
    assert_eq!(received(pair.server(), now).len(), 10);
}

#[test]
fn an_abort_is_told_and_a_silent_peer_found_out() {
    let mut pair = Pair::connected(Options::default());
    pair.client.abort(pair.now);
    assert_eq!(pair.client.closed(), Some(&Closed::Aborted));
    pair.run(|pair| pair.server().closed().is_some());
    assert!(matches!(pair.server().closed(), Some(Closed::ByPeer(_))));

    let mut pair = Pair::connected(Options {
        peer_timeout: Duration::from_secs(8),
        ..Options::default()
    });
    pair.faults.loss = 100;
    pair.client.send(pair.now, message(0, 1)).unwrap();
    let begun = pair.now;
    pair.run(|pair| pair.client.closed().is_some());
    assert!(matches!(pair.client.closed(), Some(Closed::TimedOut(_))));
    assert_eq!(pair.now - begun, Duration::from_secs(8));
    assert!(pair.faults.lost >= 4);

    // An idle one: found out by its heartbeats.
    let mut pair = Pair::connected(Options::default());
    pair.run_for(Duration::from_mins(10));
    assert!(pair.client.is_connected());
    pair.faults.loss = 100;
    pair.run(|pair| pair.client.closed().is_some());
    assert!(matches!(pair.client.closed(), Some(Closed::TimedOut(_))));

    let mut pair = Pair::new(Options {
        init_attempts: 2,
        ..Options::default()
    });
    pair.faults.loss = 100;
    pair.run(|pair| pair.client.closed().is_some());
    assert!(matches!(pair.client.closed(), Some(Closed::TimedOut(_))));
    assert_eq!(pair.faults.lost, 3);
}

#[test]
fn an_idle_association_closes_itself_when_asked_to() {
    let autoclose = Some(Duration::from_secs(5));
    let mut pair = Pair::connected(Options {
        autoclose,
        ..Options::default()
    });
    pair.run_for(Duration::from_secs(3));
    pair.client.send(pair.now, message(0, 1)).unwrap();
    let sent = pair.now;
    pair.run(|pair| pair.client.closed().is_some());
    assert_eq!(pair.client.closed(), Some(&Closed::Finished));
    assert!(pair.now >= sent + Duration::from_secs(2));
    pair.run(|pair| pair.server().closed().is_some());
}
