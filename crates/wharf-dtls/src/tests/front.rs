//! The front: cookies, and what it does not answer.

use std::time::Duration;

use bytes::Bytes;

use super::net::{LIFETIME, Pair, client_address, clock, next, options};
use crate::{Front, Ignored, Outcome, hello_random};

/// A first hello, and the same one with the cookie of `front`.
fn hellos(front: &mut Front, pair: &mut Pair) -> (Bytes, Bytes) {
    let first = next(&mut pair.client).unwrap();
    let Outcome::Challenge(challenge) = front.handle(pair.now, client_address(), &first) else {
        panic!("a hello without a cookie is challenged");
    };
    assert!(challenge.len() < first.len());
    let challenge = Bytes::copy_from_slice(challenge);
    pair.client.handle_datagram(pair.now, challenge);
    let second = next(&mut pair.client).unwrap();
    (first, second)
}

fn setup() -> (Front, Pair) {
    let (server, client) = options();
    let pair = Pair::new(&server, &client);
    (Front::new(&[9; 32], LIFETIME, pair.now), pair)
}

fn is_verified(front: &mut Front, pair: &Pair, after: Duration, hello: &[u8]) -> bool {
    match front.handle(pair.now + after, client_address(), hello) {
        Outcome::Verified(_) => true,
        Outcome::Challenge(_) => false,
        Outcome::Ignored(reason) => panic!("{reason}"),
    }
}

#[test]
fn a_cookie_is_good_for_one_address_one_hello_and_two_slots() {
    let (mut front, mut pair) = setup();
    let (_, mut second) = hellos(&mut front, &mut pair);
    let slot = LIFETIME;
    assert!(is_verified(&mut front, &pair, Duration::ZERO, &second));
    assert!(is_verified(
        &mut front,
        &pair,
        slot + slot.mul_f32(0.99),
        &second
    ));
    assert!(!is_verified(&mut front, &pair, slot * 2, &second));
    // After 256 slots the byte that tells the slot is the same again; the code is not.
    assert!(!is_verified(&mut front, &pair, slot * 256, &second));
    for other in ["192.0.2.7:40001", "192.0.2.8:40000", "[2001:db8::7]:40000"] {
        let outcome = front.handle(pair.now, other.parse().unwrap(), &second);
        assert!(matches!(outcome, Outcome::Challenge(_)), "{other}");
    }
    // An IPv4 peer of a socket for both families is the same peer.
    let mapped = "[::ffff:192.0.2.7]:40000".parse().unwrap();
    assert!(matches!(
        front.handle(pair.now, mapped, &second),
        Outcome::Verified(_)
    ));
    // Another random, and a cookie with a bit turned.
    for at in [13 + 12 + 2, 13 + 12 + 2 + 32 + 1 + 1 + 5] {
        let mut bytes = second.to_vec();
        bytes[at] ^= 1;
        assert!(
            !is_verified(&mut front, &pair, Duration::ZERO, &bytes),
            "byte {at}"
        );
    }
    let mut stranger = Front::new(&[8; 32], LIFETIME, pair.now);
    assert!(!is_verified(&mut stranger, &pair, Duration::ZERO, &second));
    // What follows the record is not looked at.
    second = [&second[..], b"more"].concat().into();
    assert!(is_verified(&mut front, &pair, Duration::ZERO, &second));
}

#[test]
fn an_old_secret_is_good_for_its_slot_and_the_next() {
    let (mut front, mut pair) = setup();
    let (first, second) = hellos(&mut front, &mut pair);
    front.rotate(&[3; 32], pair.now);
    front.rotate(&[4; 32], pair.now);
    assert!(is_verified(&mut front, &pair, Duration::ZERO, &second));
    assert!(is_verified(&mut front, &pair, LIFETIME, &second));
    assert!(!is_verified(&mut front, &pair, LIFETIME * 2, &second));

    // In the next slot the newest secret is the one that makes them.
    let cookie =
        |front: &mut Front| match front.handle(pair.now + LIFETIME, client_address(), &first) {
            Outcome::Challenge(challenge) => challenge.to_vec(),
            other => panic!("{other:?}"),
        };
    let mut newest = Front::new(&[4; 32], LIFETIME, pair.now);
    assert_eq!(cookie(&mut front), cookie(&mut newest));
    front.rotate(&[5; 32], pair.now + LIFETIME);
    assert_eq!(
        cookie(&mut front),
        cookie(&mut newest),
        "the slot's secret stays"
    );
}

#[test]
fn a_secret_in_each_slot_leaves_each_cookie_its_time() {
    let (mut front, mut pair) = setup();
    let began = pair.now;
    front.rotate(&[3; 32], began);
    let (_, second) = hellos(&mut front, &mut pair);
    front.rotate(&[4; 32], began + LIFETIME);
    assert!(is_verified(&mut front, &pair, LIFETIME, &second));
    front.rotate(&[5; 32], began + LIFETIME * 2);
    assert!(!is_verified(&mut front, &pair, LIFETIME * 2, &second));
}

#[test]
fn a_client_whose_cookie_expired_gets_another_and_in() {
    let (server, client) = options();
    let mut pair = Pair::new(&server, &client);
    pair.collect();
    let first = pair.to_server.pop_front().unwrap();
    pair.serve(first);
    let challenge = pair.to_client.pop_front().unwrap();
    pair.client.handle_datagram(pair.now, challenge);
    pair.now += LIFETIME * 2;
    pair.handshake();
    assert!(pair.client.is_open() && pair.server().is_open());
}

#[test]
fn garbage_has_a_reason_and_no_answer() {
    let (mut front, mut pair) = setup();
    let (first, second) = hellos(&mut front, &mut pair);
    let mut reason = |datagram: &[u8]| match front.handle(pair.now, client_address(), datagram) {
        Outcome::Ignored(reason) => Some(reason),
        Outcome::Challenge(_) | Outcome::Verified(_) => None,
    };
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = first.to_vec();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    for length in 0..first.len() {
        assert_eq!(reason(&first[..length]), Some(Ignored::NotDtls), "{length}");
    }
    assert_eq!(
        reason(&[0, 1, 0, 0].repeat(20)),
        Some(Ignored::NotDtls),
        "STUN"
    );
    assert_eq!(reason(&changed(1, &[3])), Some(Ignored::NotDtls), "TLS");
    assert_eq!(
        reason(&changed(0, &[23])),
        Some(Ignored::NotHello),
        "application data"
    );
    assert_eq!(
        reason(&changed(4, &[1])),
        Some(Ignored::NotHello),
        "another epoch"
    );
    assert_eq!(
        reason(&changed(13, &[2])),
        Some(Ignored::NotHello),
        "a ServerHello"
    );
    assert_eq!(
        reason(&changed(21, &[1])),
        Some(Ignored::Fragmented),
        "not the first fragment"
    );
    assert_eq!(
        reason(&changed(24, &[1])),
        Some(Ignored::Fragmented),
        "the first fragment"
    );
    assert_eq!(reason(&changed(17, &[0, 9])), Some(Ignored::Sequence));
    assert_eq!(
        reason(&changed(11, &[0, 12])),
        Some(Ignored::Malformed),
        "a header alone"
    );
    assert_eq!(
        reason(&changed(13 + 12 + 34, &[33])),
        Some(Ignored::Malformed),
        "session id"
    );
    let mut repeated = second.to_vec();
    repeated[10] = 0;
    assert_eq!(
        reason(&repeated),
        Some(Ignored::Sequence),
        "a second hello in a first record"
    );
    assert_eq!(reason(&first), None);
}

#[test]
fn no_change_of_a_byte_confuses_it() {
    let (mut front, mut pair) = setup();
    let (_, second) = hellos(&mut front, &mut pair);
    for at in 0..second.len() {
        for turn in [1, 0x80, 0xff] {
            let mut bytes = second.to_vec();
            bytes[at] ^= turn;
            let outcome = front.handle(pair.now, client_address(), &bytes);
            // Record and message numbers, the record's minor version and the extensions are no part
            // of what the cookie is for.
            if let Outcome::Verified(verified) = outcome {
                let session = crate::Session::accept(&pair.server_context, &verified, pair.now);
                assert!(!session.unwrap().is_open());
            }
        }
    }
}

#[test]
fn a_flood_is_answered_from_one_buffer() {
    let (mut front, mut pair) = setup();
    let (first, _) = hellos(&mut front, &mut pair);
    let mut hello = first.to_vec();
    let mut challenged = 0_u32;
    let before = resident();
    for number in 0..1_000_000_u32 {
        hello[13 + 12 + 2..13 + 12 + 6].copy_from_slice(&number.to_be_bytes());
        let outcome = front.handle(clock(), client_address(), &hello);
        challenged += u32::from(matches!(outcome, Outcome::Challenge(_)));
    }
    assert_eq!(challenged, 1_000_000);
    let grown = resident().saturating_sub(before);
    // Other tests run in this process: a million states of even 100 bytes would be 100 MB.
    assert!(grown < 50_000_000, "{grown} bytes");
}

/// The process's resident memory in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_random_tells_a_copy_from_another_hello() {
    let (mut front, mut pair) = setup();
    let (first, second) = hellos(&mut front, &mut pair);
    let Outcome::Verified(verified) = front.handle(pair.now, client_address(), &second) else {
        panic!("its cookie is good");
    };
    assert_eq!(hello_random(&first), Some(verified.random()));
    assert_eq!(hello_random(&second), Some(verified.random()));
    // RFC 5246 §7.4.1.2: behind the headers and the version.
    assert_eq!(first[13 + 12 + 2..][..32], *verified.random());
    let (_, mut other) = setup();
    let other = next(&mut other.client).unwrap();
    assert!(hello_random(&other).is_some_and(|random| random != verified.random()));
    for garbage in [&first[..first.len() - 1], &first[..40], b"GET /", b""] {
        assert_eq!(hello_random(garbage), None);
    }
}
