//! Handshakes on a network that loses, doubles and reorders.

use std::time::Duration;

use super::net::{Fate, Pair, clock, next, options};

/// Numbers that are different each time and the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn doubled_and_late_datagrams_do_no_harm() {
    let (mut server, mut client) = options();
    // Flights of several datagrams.
    (server.mtu, client.mtu) = (256, 256);
    let (mut doubled, mut late) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut pair = Pair::new(&server, &client).with_fate(move |_| match dice.roll(3) {
            0 => Fate::Double,
            1 => Fate::Late,
            _ => Fate::Pass,
        });
        pair.handshake();
        assert!(
            pair.client.is_open() && pair.server().is_open(),
            "seed {seed}"
        );
        doubled += pair.doubled;
        late += pair.late;
    }
    assert!(doubled > 50 && late > 50, "{doubled} doubled, {late} late");
}

/// Each datagram of a handshake is lost once, and the third after it too. Waits, for OpenSSL's timer
/// goes by the machine's clock: all handshakes at once, so that they wait together.
#[test]
fn lost_flights_are_sent_again() {
    let (mut server, mut client) = options();
    (server.mtu, client.mtu) = (256, 256);
    let mut pairs: Vec<_> = (0..12)
        .map(|which| {
            let mut count = 0;
            Pair::new(&server, &client).with_fate(move |_| {
                count += 1;
                if count == which + 1 || count == which + 4 {
                    Fate::Lose
                } else {
                    Fate::Pass
                }
            })
        })
        .collect();
    let began = clock();
    let is_open = |pair: &Pair| {
        pair.client.is_open() && pair.server.as_ref().is_some_and(crate::Session::is_open)
    };
    loop {
        for pair in &mut pairs {
            pair.now = clock();
            pair.client.handle_timeout(pair.now);
            if let Some(server) = &mut pair.server {
                server.handle_timeout(pair.now);
            }
            pair.handshake();
        }
        let waiting = pairs.iter().filter(|pair| !is_open(pair));
        let Some(next) = waiting
            .filter_map(|pair| {
                let server = pair.server.as_ref().and_then(crate::Session::deadline);
                pair.client.deadline().into_iter().chain(server).min()
            })
            .min()
        else {
            break;
        };
        assert!(began.elapsed() < Duration::from_mins(1), "handshakes end");
        std::thread::sleep(next.saturating_duration_since(clock()));
    }
    assert!(pairs.iter().all(is_open));
    let lost: usize = pairs.iter().map(|pair| pair.lost).sum();
    assert!(lost >= 12, "{lost} were lost");
    // Nobody waits for a timer that is not needed any more.
    assert!(pairs.iter().all(|pair| pair.client.deadline().is_none()));
}

#[test]
fn a_lost_first_hello_does_not_cost_the_server_hello() {
    // The hello with the cookie then has record number 2, and the ServerHello is to have it too:
    // with number 1, which the challenge had, the client would drop it.
    let (server, client) = options();
    let mut pair = Pair::new(&server, &client);
    let mut lost = next(&mut pair.client).unwrap().to_vec();
    // The retransmission, without the wait for it.
    lost[10] = 1;
    pair.to_server.push_back(lost.into());
    pair.collect();
    let hello = pair.to_server.pop_front().unwrap();
    pair.serve(hello);
    let challenge = pair.to_client.pop_front().unwrap();
    assert_eq!(challenge[5..11], [0, 0, 0, 0, 0, 1]);
    pair.client.handle_datagram(pair.now, challenge);
    let mut second = next(&mut pair.client).unwrap().to_vec();
    second[10] = 2;
    pair.serve(second.into());
    let flight = pair.server().transmit().unwrap();
    assert_eq!(flight[5..11], [0, 0, 0, 0, 0, 2]);
}
