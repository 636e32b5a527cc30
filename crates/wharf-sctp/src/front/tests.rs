use std::time::Duration;

use super::*;
use crate::Association;
use crate::testing::{PORTS, client_address, server_address, start};

struct Setup {
    now: Instant,
    front: Front,
    init: Vec<u8>,
}

fn setup() -> Setup {
    let now = start();
    let cookies = Cookies::new([9; 32], now, Duration::from_mins(1));
    let mut client = Association::connect(
        now,
        server_address(),
        PORTS,
        Options::default(),
        cookies.clone(),
    );
    Setup {
        now,
        front: Front::new(PORTS.1, Options::default(), cookies),
        init: client.poll_packet().expect("an INIT"),
    }
}

impl Setup {
    fn answer(&mut self, packet: &[u8]) -> Answer<'_> {
        self.front.handle(self.now, client_address(), packet)
    }

    fn reply(&mut self, packet: &[u8]) -> Vec<u8> {
        match self.answer(packet) {
            Answer::Reply(reply) => reply.to_vec(),
            other => panic!("{other:?} is no reply"),
        }
    }

    fn ignored(&mut self, packet: &[u8]) -> Ignored {
        match self.answer(packet) {
            Answer::Ignore(ignored) => ignored,
            other => panic!("{other:?} is not to be ignored"),
        }
    }

    /// The COOKIE ECHO that answers the INIT ACK.
    fn echo(&mut self) -> Vec<u8> {
        let init = self.init.clone();
        let reply = self.reply(&init);
        let ack = Packet::parse(&reply).unwrap();
        let value = ack.first().value;
        // The cookie is the last parameter.
        let at = value
            .windows(4)
            .rposition(|at| at == [0, 7, 0, 80])
            .unwrap();
        let echo = make_chunk(chunk::COOKIE_ECHO, 0, &value[at + 4..at + 80]);
        let mut packet = Vec::new();
        write_packet(PORTS.0, PORTS.1, u32_at(value, 0), &echo, &mut packet);
        packet
    }
}

fn sealed(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    crate::packet::seal(&mut packet);
    packet
}

#[test]
fn an_init_is_answered_with_other_tags_each_time_and_nothing_grows() {
    let mut setup = setup();
    let init = setup.init.clone();
    let mut tags = std::collections::HashSet::new();
    let mut room = None;
    for count in 0..20_000 {
        let reply = setup.reply(&init);
        assert!(
            reply.len() <= Front::LONGEST,
            "an answer of {} bytes",
            reply.len()
        );
        tags.insert(u32_at(Packet::parse(&reply).unwrap().first().value, 0));
        if count == 10 {
            room = Some(setup.front.reply.capacity());
        }
    }
    assert!(tags.len() > 19_990);
    assert_eq!(room, Some(setup.front.reply.capacity()));
    assert!(std::mem::size_of::<Front>() < 512);
}

#[test]
fn a_good_cookie_opens_and_each_bad_one_does_not() {
    let mut setup = setup();
    let echo = setup.echo();
    assert!(matches!(setup.answer(&echo), Answer::Open(_)));
    for at in 16..echo.len() {
        let forged = sealed(echo.clone(), |packet| packet[at] ^= 1);
        assert_eq!(setup.ignored(&forged), Ignored::Cookie, "byte {at}");
    }
    // Nobody was given the cookie with this tag: it would open an association that never begins.
    let other = sealed(echo.clone(), |packet| packet[7] ^= 1);
    assert_eq!(setup.ignored(&other), Ignored::Cookie);
    let short = sealed(echo.clone(), |packet| {
        packet.truncate(28);
        packet[15] = 16;
    });
    assert_eq!(setup.ignored(&short), Ignored::Cookie);
}

#[test]
fn what_comes_with_a_good_cookie_does_not_spoil_it() {
    let mut setup = setup();
    let (now, echo) = (setup.now, setup.echo());
    // DATA without all that it must have: the engine drops a packet with it.
    let packet = sealed(echo, |packet| packet.extend([0, 0, 0, 4]));
    let Answer::Open(opening) = setup.answer(&packet) else {
        panic!("the cookie is good");
    };
    let cookies = setup.front.cookies.clone();
    let mut association = Association::accept(now, opening, Options::default(), cookies);
    assert!(association.is_connected());
    let answer = association.poll_packet().expect("a COOKIE ACK");
    assert_eq!(
        Packet::parse(&answer).unwrap().first().kind,
        chunk::COOKIE_ACK
    );
}

#[test]
fn an_expired_cookie_is_answered_with_its_age() {
    let mut setup = setup();
    let echo = setup.echo();
    setup.now += Duration::from_mins(1) + Duration::from_millis(250);
    let reply = setup.reply(&echo);
    let packet = Packet::parse(&reply).unwrap();
    let error = packet.first();
    assert_eq!(
        (error.kind, packet.tag()),
        (chunk::ERROR, u32_at(&setup.init, 16))
    );
    assert_eq!(error.value[..4], [0, 3, 0, 8]);
    assert_eq!(u32_at(error.value, 4), 250_000);
}

#[test]
fn inits_that_cannot_be_served_are_aborted_or_ignored() {
    let mut setup = setup();
    let init = setup.init.clone();
    let changed = |at: usize, bytes: &[u8]| {
        sealed(init.clone(), |packet| {
            packet[at..at + bytes.len()].copy_from_slice(bytes);
        })
    };
    // Tag of the packet, initiate tag.
    assert_eq!(setup.ignored(&changed(4, &[1])), Ignored::Malformed);
    assert_eq!(setup.ignored(&changed(16, &[0; 4])), Ignored::Tag);
    // Window, streams out, streams in.
    for (at, bytes) in [(20, &[0, 0, 5, 219][..]), (24, &[0, 0]), (26, &[0, 0])] {
        let reply = setup.reply(&changed(at, bytes));
        let packet = Packet::parse(&reply).unwrap();
        assert_eq!(
            (packet.first().kind, packet.tag()),
            (chunk::ABORT, u32_at(&init, 16))
        );
    }
    // Not alone, too long, for another port, from port 0.
    let more = make_chunk(chunk::ERROR, 0, &[]);
    let bundled = sealed(init.clone(), |packet| packet.extend_from_slice(&more));
    assert_eq!(setup.ignored(&bundled), Ignored::Malformed);
    let long = make_chunk(chunk::INIT, 0, &[1; 3000]);
    let long = sealed(init[..12].to_vec(), |packet| {
        packet.extend_from_slice(&long);
    });
    assert_eq!(setup.ignored(&long), Ignored::Length);
    assert_eq!(setup.ignored(&changed(2, &[9])), Ignored::Port);
    assert_eq!(setup.ignored(&changed(0, &[0, 0])), Ignored::Port);
}

#[test]
fn strays_are_answered_as_the_rfc_says() {
    let mut setup = setup();
    let stray = |kind: u8| {
        let mut packet = Vec::new();
        write_packet(
            PORTS.0,
            PORTS.1,
            0xabcd,
            &make_chunk(kind, 0, &[]),
            &mut packet,
        );
        packet
    };
    for kind in [
        chunk::ABORT,
        chunk::SHUTDOWN_COMPLETE,
        chunk::COOKIE_ACK,
        chunk::ERROR,
        chunk::INIT_ACK,
    ] {
        assert_eq!(setup.ignored(&stray(kind)), Ignored::Stray, "{kind}");
    }
    // An ABORT anywhere in the packet.
    let abort = make_chunk(chunk::ABORT, 0, &[]);
    let hidden = sealed(stray(chunk::DATA), |packet| {
        packet.extend_from_slice(&abort);
    });
    assert_eq!(setup.ignored(&hidden), Ignored::Stray);
    for (kind, answer) in [
        (chunk::SHUTDOWN_ACK, chunk::SHUTDOWN_COMPLETE),
        (chunk::DATA, chunk::ABORT),
        (chunk::SACK, chunk::ABORT),
        (200, chunk::ABORT),
    ] {
        let sent = stray(kind);
        let reply = setup.reply(&sent);
        assert!(reply.len() <= sent.len());
        let packet = Packet::parse(&reply).unwrap();
        assert_eq!((packet.first().kind, packet.tag()), (answer, 0xabcd));
        assert_eq!(reply[13], REFLECTED);
        assert_eq!(
            (packet.source_port(), packet.destination_port()),
            (PORTS.1, PORTS.0)
        );
    }
}

#[test]
fn random_bytes_and_broken_inits_never_panic() {
    let mut setup = setup();
    let mut random = fastrand::Rng::with_seed(1);
    let mut replies = 0;
    for _ in 0..20_000 {
        let mut packet = setup.init.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(12..packet.len());
            packet[at] = random.u8(..);
        }
        packet.truncate(random.usize(0..packet.len() * 4).max(12).min(packet.len()));
        crate::packet::seal(&mut packet);
        replies += u32::from(matches!(setup.answer(&packet), Answer::Reply(_)));
        random.fill(&mut packet);
        assert_eq!(
            setup.ignored(&packet),
            if packet.len() < 16 {
                Ignored::Length
            } else {
                Ignored::Checksum
            }
        );
    }
    assert!(replies > 1000, "{replies} replies");
}
