//! The body of the target for the front of SCTP: whatever comes from wherever, it keeps nothing, answers
//! with little, and opens for exactly those who bring their cookie in time.

use std::mem::discriminant;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use wharf_sctp::{Answer, Association, Cookies, Front, Opening, Options};

use super::sctp_packet::{chunk, packet, tag};
use super::steps::steps;

/// The first and the last are the same peer.
const PEERS: [&str; 4] = [
    "192.0.2.1:1",
    "192.0.2.1:2",
    "[2001:db8::1]:1",
    "[::ffff:192.0.2.1]:1",
];
const PORT: u16 = 5000;
const LIFE: Duration = Duration::from_mins(1);
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const COOKIE_ECHO: u8 = 10;

/// A cookie that somebody was given.
struct Issued {
    peer: (IpAddr, u16),
    port: u16,
    at: Instant,
    /// The tag that its packets carry.
    tag: u32,
    cookie: Vec<u8>,
}

struct Model {
    now: Instant,
    cookies: Cookies,
    front: Front,
    issued: Vec<Issued>,
}

pub(crate) fn sctp_front(data: &[u8]) {
    let now = Instant::now();
    let cookies = Cookies::new([1; 32], now, LIFE);
    let mut model = Model {
        now,
        front: Front::new(PORT, Options::default(), cookies.clone()),
        cookies,
        issued: Vec::new(),
    };
    for (what, argument, bytes) in steps(data) {
        let from = PEERS[usize::from(argument) % PEERS.len()];
        let from: SocketAddr = from.parse().expect("an address");
        let port = 4000 + u16::from(argument >> 7);
        let ports = (port, PORT);
        let index = usize::from(argument >> 2 & 31).checked_rem(model.issued.len());
        let issued = index.map(|index| &model.issued[index]);
        match (what % 6, issued) {
            (0, _) => model.datagram(from, bytes),
            (1, _) => model.datagram(from, &packet(ports, u32::from(what / 6), bytes)),
            // What an INIT asks for, over what is good, and its parameters.
            (2, _) => {
                let mut value = vec![0, 0, 0, 7, 0, 1, 0, 0, 0, 9, 0, 9, 0, 0, 0, 5];
                value.resize(value.len().max(bytes.len()), 0);
                value
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(byte, other)| *byte ^= other);
                model.datagram(from, &packet(ports, 0, &chunk(INIT, &value)));
            }
            // A cookie and what comes with it.
            (3, Some(issued)) => {
                let chunks = [&chunk(COOKIE_ECHO, &issued.cookie), bytes].concat();
                let echo = packet(ports, issued.tag, &chunks);
                model.datagram(from, &echo);
            }
            // A cookie, or the tag before it, that is not quite what it was.
            (4, Some(issued)) => {
                let mut tagged = [&issued.tag.to_be_bytes(), &issued.cookie[..]].concat();
                let place = tagged.iter_mut().skip(usize::from(what / 6) * 2);
                place.zip(bytes).for_each(|(byte, other)| *byte ^= other);
                let (tag, cookie) = tagged.split_first_chunk().expect("four bytes");
                let cookie = &cookie[usize::from(what == 4)..];
                let echo = packet(ports, u32::from_be_bytes(*tag), &chunk(COOKIE_ECHO, cookie));
                model.datagram(from, &echo);
            }
            _ => model.now += Duration::from_millis(250) * u32::from(argument),
        }
    }
}

impl Model {
    fn datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        let now = self.now;
        let good = self.has_good_cookie(from, datagram);
        let mut fresh = Front::new(PORT, Options::default(), self.cookies.clone());
        let stateless = fresh.handle(now, from, datagram);
        let answer = self.front.handle(now, from, datagram);
        assert_eq!(
            discriminant(&answer),
            discriminant(&stateless),
            "something was kept"
        );
        match answer {
            Answer::Ignore(_) => assert!(!good, "a good cookie is ignored"),
            Answer::Open(opening) => {
                assert!(good, "a cookie that is not good opens");
                self.open(opening);
            }
            Answer::Reply(reply) => {
                let Answer::Reply(other) = stateless else {
                    unreachable!("they are of a kind")
                };
                assert_eq!(reply.len(), other.len(), "something was kept");
                assert!(!good, "a good cookie is answered");
                let reply = reply.to_vec();
                self.replied(from, datagram, &reply);
            }
        }
    }

    fn has_good_cookie(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some((header, [COOKIE_ECHO, _, high, low, rest @ ..])) = datagram.split_at_checked(12)
        else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(cookie) = length.checked_sub(4).and_then(|length| rest.get(..length)) else {
            return false;
        };
        let port = u16::from_be_bytes([header[0], header[1]]);
        let mut sealed = datagram.to_vec();
        super::sctp_packet::seal(&mut sealed);
        let is_sound =
            sealed == datagram && chunks(datagram).is_some_and(|kinds| may_follow(&kinds));
        is_sound
            && header[2..4] == PORT.to_be_bytes()
            && self.issued.iter().any(|issued| {
                issued.peer == (from.ip().to_canonical(), from.port())
                    && (issued.port, issued.tag) == (port, tag(datagram))
                    && issued.cookie == cookie
                    && self.now < issued.at + LIFE
            })
    }

    fn replied(&mut self, from: SocketAddr, datagram: &[u8], reply: &[u8]) {
        let kinds = chunks(reply).expect("a whole packet");
        assert_eq!(kinds.len(), 1);
        let is_cookie = kinds[0] == INIT_ACK;
        let most = if is_cookie {
            Front::LONGEST
        } else {
            datagram.len()
        };
        assert!(
            reply.len() <= most,
            "{} bytes for {}",
            reply.len(),
            datagram.len()
        );
        let asked = chunks(datagram).expect("only whole packets are answered");
        assert!(!asked.contains(&ABORT), "an ABORT is answered");
        assert_eq!(
            (&reply[..2], &reply[2..4]),
            (&datagram[2..4], &datagram[..2])
        );
        if !is_cookie {
            return;
        }
        let mut parameters = &reply[32..];
        while parameters[..2] != [0, 7] {
            let length = usize::from(u16::from_be_bytes([parameters[2], parameters[3]]));
            parameters = &parameters[length.next_multiple_of(4)..];
        }
        let length = usize::from(u16::from_be_bytes([parameters[2], parameters[3]]));
        self.issued.push(Issued {
            peer: (from.ip().to_canonical(), from.port()),
            port: u16::from_be_bytes([reply[2], reply[3]]),
            at: self.now,
            tag: u32::from_be_bytes([reply[16], reply[17], reply[18], reply[19]]),
            cookie: parameters[4..length].to_vec(),
        });
    }

    /// What a good cookie makes is established, or says why it is not.
    fn open(&self, opening: Opening) {
        let (options, cookies) = (Options::default(), self.cookies.clone());
        let mut association = Association::accept(self.now, opening, options, cookies);
        assert!(association.is_connected() || association.closed().is_some());
        while let Some(packet) = association.poll_packet() {
            assert!(packet.len() <= association.options().mtu && chunks(&packet).is_some());
        }
    }
}

/// The types of the chunks, when they fill the packet.
fn chunks(packet: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut kinds) = (packet.get(12..)?, Vec::new());
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let padded = length.next_multiple_of(4).min(rest.len());
        if length < 4 || length > rest.len() {
            return None;
        }
        kinds.push(rest[0]);
        rest = &rest[padded..];
    }
    (!kinds.is_empty()).then_some(kinds)
}

/// Whether these chunks may come together: some must be alone or the first, and an ABORT is judged
/// before everything else (RFC 9260 §3.3.2, §3.3.11, §8.4).
fn may_follow(kinds: &[u8]) -> bool {
    let later = kinds.iter().skip(1);
    let mut wrong = later.filter(|kind| matches!(**kind, INIT | INIT_ACK | 10 | 14));
    wrong.next().is_none() && !kinds.contains(&ABORT)
}
