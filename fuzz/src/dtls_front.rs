//! The body of the target for the cookie front of DTLS: whatever comes from wherever, it keeps nothing,
//! answers with less than it got, and lets in exactly those who come back with a cookie.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use wharf_dtls::{Front, Outcome, Verified, refusal};

use super::steps::steps;

/// The first and the last are the same peer.
const PEERS: [&str; 4] = [
    "192.0.2.1:1",
    "192.0.2.1:2",
    "[2001:db8::1]:1",
    "[::ffff:192.0.2.1]:1",
];
const LIFETIME: Duration = Duration::from_secs(30);
/// Headers of a record and of a handshake message, version and random.
const SESSION_ID: usize = 13 + 12 + 2 + 32;

struct Issued {
    peer: (IpAddr, u16),
    at: Instant,
    /// A hello without a cookie and the same one with it.
    hello: Vec<u8>,
    parameters: Vec<u8>,
    cookie: Vec<u8>,
}

struct Model {
    began: Instant,
    now: Instant,
    front: Front,
    /// When the secret was changed.
    rotated: Vec<Instant>,
    issued: Vec<Issued>,
}

pub(crate) fn dtls_front(data: &[u8]) {
    let began = Instant::now();
    let mut model = Model {
        began,
        now: began,
        front: front(began, &[]),
        rotated: Vec::new(),
        issued: Vec::new(),
    };
    for (what, argument, bytes) in steps(data) {
        let from = PEERS[usize::from(argument) % PEERS.len()];
        let from = from.parse().expect("an address");
        match what % 6 {
            0 => model.datagram(from, bytes),
            1 => model.datagram(from, &hello(argument >> 2, bytes)),
            // Comes back, as it should or not quite.
            2 | 3 => {
                let Some(issued) = usize::from(argument >> 2)
                    .checked_rem(model.issued.len())
                    .map(|index| &model.issued[index])
                else {
                    continue;
                };
                let mut again = with_cookie(&issued.hello, &issued.cookie);
                let at = usize::from(what / 6) * 3;
                if what % 6 == 3 {
                    again
                        .iter_mut()
                        .skip(at)
                        .zip(bytes)
                        .for_each(|(byte, other)| *byte ^= other);
                }
                model.datagram(from, &again);
            }
            4 => model.now += Duration::from_millis(250) * u32::from(argument),
            _ => {
                model.rotated.push(model.now);
                let number = model.rotated.len() as u8;
                model.front.rotate(&[number; 32], model.now);
            }
        }
    }
}

/// A front with this history of secrets and no other.
fn front(began: Instant, rotated: &[Instant]) -> Front {
    let mut front = Front::new(&[0; 32], LIFETIME, began);
    for (number, at) in (1..).zip(rotated) {
        front.rotate(&[number; 32], *at);
    }
    front
}

impl Model {
    fn datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        let outcome = self.front.handle(self.now, from, datagram);
        let mut fresh = front(self.began, &self.rotated);
        let stateless = fresh.handle(self.now, from, datagram);
        assert_eq!(outcome, stateless, "something was kept");
        let challenge = match outcome {
            Outcome::Ignored(_) => return,
            Outcome::Challenge(challenge) => Some(challenge),
            Outcome::Verified(_) => None,
        };
        extensions(datagram);
        let peer = (from.ip().to_canonical(), from.port());
        let (hello, parameters, cookie) = split(datagram);
        let age = |issued: &Issued| self.now - issued.at;
        let ages = self.issued.iter().filter(|issued| {
            (issued.peer, &issued.parameters, &issued.cookie) == (peer, &parameters, &cookie)
        });
        let youngest = ages.map(age).min();
        let Some(challenge) = challenge else {
            let age = youngest.expect("a cookie that nobody was given is good");
            return assert!(age < LIFETIME * 2, "a cookie of {age:?} is good");
        };
        assert!(challenge.len() < datagram.len(), "an amplifier");
        assert!(
            youngest.is_none_or(|age| age > LIFETIME),
            "a good cookie is refused"
        );
        // It is the last thing in a HelloVerifyRequest, behind its length.
        let (rest, cookie) = challenge.split_at(challenge.len() - 20);
        assert_eq!(rest.last(), Some(&20));
        self.issued.push(Issued {
            peer,
            at: self.now,
            hello,
            parameters,
            cookie: cookie.to_vec(),
        });
    }
}

/// What the extensions of a hello say lies in the hello, and it can be refused.
fn extensions(datagram: &[u8]) {
    assert_eq!(refusal(datagram).map(|alert| alert[0]), Some(21));
    let Ok(trusted) = Verified::trust(datagram) else {
        return;
    };
    let within = |part: &[u8]| {
        assert!(part.is_empty() || datagram.windows(part.len()).any(|window| window == part));
    };
    within(trusted.server_name().unwrap_or_default().as_bytes());
    trusted.protocols().into_iter().for_each(within);
}

/// A record with a hello: its session id, cookie, ciphers, compressions and extensions are what
/// `bytes` say, or good ones when there are none.
fn hello(sequence: u8, bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.resize(2 + 32, sequence);
    match bytes {
        [] => body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]),
        bytes => body.extend(bytes),
    }
    record(u16::from(sequence & 3), &body)
}

/// A whole handshake message of type 1 in a record.
fn record(sequence: u16, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0];
    record.extend(sequence.to_be_bytes());
    record.extend((body.len() as u16 + 12).to_be_bytes());
    record.push(1);
    record.extend(&length[1..]);
    record.extend(sequence.to_be_bytes());
    record.extend([0; 3]);
    record.extend(&length[1..]);
    record.extend(body);
    record
}

/// A hello that was let through: without its cookie and what follows, what must not change, and the
/// cookie.
fn split(datagram: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (session, rest) = datagram.split_at(SESSION_ID);
    let (id, rest) = rest.split_at(1 + usize::from(rest[0]));
    let (cookie, rest) = rest.split_at(1 + usize::from(rest[0]));
    let suites = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let end = suites + 1 + usize::from(rest[suites]);
    let fixed = [&session[13 + 12..], id].concat();
    let whole = 13 + usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
    let after = &rest[..whole - session.len() - id.len() - cookie.len()];
    let sequence = u16::from_be_bytes([datagram[17], datagram[18]]);
    let body = [&fixed[..], &[0], after].concat();
    let parameters = [&fixed, &rest[..end]].concat();
    (record(sequence, &body), parameters, cookie[1..].to_vec())
}

/// A hello without a cookie as the one that a client sends next.
fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let at = SESSION_ID + 1 + usize::from(hello[SESSION_ID]);
    let body = [
        &hello[13 + 12..at],
        &[cookie.len() as u8],
        cookie,
        &hello[at + 1..],
    ];
    record(1, &body.concat())
}
