//! What meets a peer before any memory is spent on it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::cookie::{COOKIE, Cookies};
use crate::hello::{HANDSHAKE, Hello, Ignored, MESSAGE_HEADER};
use crate::record::RECORD_HEADER;

/// HandshakeType hello_verify_request (RFC 6347 §4.3.2).
const HELLO_VERIFY_REQUEST: u8 = 3;
/// DTLS 1.0, which a HelloVerifyRequest names whatever will be spoken (RFC 6347 §4.2.1).
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
/// DTLS 1.2 (RFC 6347 §4.1).
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
/// Bytes of a HelloVerifyRequest's body: version, length of the cookie, cookie.
const BODY: usize = 2 + 1 + COOKIE;
/// Bytes of a challenge: fewer than any ClientHello has.
const CHALLENGE: usize = RECORD_HEADER + MESSAGE_HEADER + BODY;

/// Answers first flights without a state: a ClientHello is challenged to come again with a cookie,
/// and only a peer that does so, from the same address, is [`Verified`].
///
/// Nothing is kept of a peer and nothing is allocated for it before its cookie is good; a challenge
/// is smaller than what it answers, so that nobody is flooded by way of this server. A ClientHello
/// has to come in one fragment (RFC 6347 §4.2.3 allows more): its pieces would have to be kept.
///
/// ```
/// use std::time::{Duration, Instant};
/// use wharf_dtls::{Front, Ignored, Outcome};
///
/// let now = Instant::now();
/// let mut front = Front::new(&[7; 32], Duration::from_secs(30), now);
/// let from = "192.0.2.1:4433".parse()?;
/// assert_eq!(front.handle(now, from, b"GET /"), Outcome::Ignored(Ignored::NotDtls));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Front {
    cookies: Cookies,
    challenge: [u8; CHALLENGE],
}

/// Bytes of a refusal: a record with an alert.
const REFUSAL: usize = RECORD_HEADER + 2;
/// ContentType alert (RFC 5246 §6.2.1), and a fatal access_denied (RFC 5246 §7.2).
const ALERT: u8 = 21;
const ACCESS_DENIED: [u8; 2] = [2, 49];

/// The datagram that refuses a ClientHello: the alert `access_denied`. `None`: it is none, and is not
/// answered.
pub fn refusal(datagram: &[u8]) -> Option<[u8; REFUSAL]> {
    Some(write_refusal(&Hello::parse(datagram).ok()?))
}

fn write_refusal(hello: &Hello<'_>) -> [u8; REFUSAL] {
    let mut record = [0; REFUSAL];
    record[0] = ALERT;
    record[1..3].copy_from_slice(&DTLS_1_2);
    record[3..11].copy_from_slice(&hello.record_sequence.to_be_bytes());
    record[11..13].copy_from_slice(&2_u16.to_be_bytes());
    record[13..].copy_from_slice(&ACCESS_DENIED);
    record
}

/// What becomes of a datagram from a peer without a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is not answered.
    Ignored(Ignored),
    /// This is to be sent back: a HelloVerifyRequest.
    Challenge(&'a [u8]),
    /// The peer has proven its address: a session may begin.
    Verified(Verified),
}

/// A ClientHello that a session may begin with: its cookie is good, or was not asked for
/// ([`trust`](Self::trust)). [`Session::accept`](crate::Session::accept) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    record: Box<[u8]>,
    proven: bool,
}

impl Verified {
    /// Takes a client's first ClientHello without a cookie: for servers that ask for one only under
    /// pressure (RFC 6347 §4.2.1 allows it). Whoever sends it may have forged its address: the first
    /// flight of the answer, which is much longer, goes to somebody else then.
    ///
    /// # Errors
    /// It is no ClientHello, or has the cookie of another server, or is not the client's first.
    pub fn trust(datagram: &[u8]) -> Result<Self, Ignored> {
        let hello = Hello::parse(datagram)?;
        if hello.message_sequence != 0 || !hello.cookie().is_empty() {
            return Err(Ignored::Sequence);
        }
        Ok(Self {
            record: hello.record.into(),
            proven: false,
        })
    }

    /// Whether the cookie was good, and so the client is where it says.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The client's random, which no other hello has: what tells a copy of this one from the hello of
    /// a client that begins anew ([`hello_random`](crate::hello_random)).
    pub fn random(&self) -> &[u8; 32] {
        self.hello().random()
    }

    /// The server name that the client asks for (RFC 6066 §3).
    pub fn server_name(&self) -> Option<&str> {
        self.hello().server_name()
    }

    /// The application protocols that the client offers, in its order (RFC 7301 §3.1).
    pub fn protocols(&self) -> Vec<&[u8]> {
        self.hello().protocols()
    }

    /// The datagram that refuses it.
    pub fn refusal(&self) -> [u8; REFUSAL] {
        write_refusal(&self.hello())
    }

    /// The hello inside.
    pub(crate) fn hello(&self) -> Hello<'_> {
        Hello::parse(&self.record).expect("it was parsed before")
    }
}

impl Front {
    /// With 32 random bytes that nobody else knows. A cookie is good for one to two `lifetime`s (at
    /// least 1 ms): long enough for a client to come back, 30 s is usual.
    pub fn new(secret: &[u8; 32], lifetime: Duration, now: Instant) -> Self {
        Self {
            cookies: Cookies::new(secret, lifetime, now),
            challenge: [0; CHALLENGE],
        }
    }

    /// Makes the cookies of the slots after this one with a new secret; those that were made with
    /// the old one stay good for their time.
    pub fn rotate(&mut self, secret: &[u8; 32], now: Instant) {
        self.cookies.rotate(secret, now);
    }

    /// Judges a datagram that came from `from`, for which there is no session.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Outcome<'_> {
        let hello = match Hello::parse(datagram) {
            Ok(hello) => hello,
            Err(reason) => return Outcome::Ignored(reason),
        };
        // One with a bad cookie is treated like one without (RFC 6347 §4.2.1).
        if self.cookies.is_good(now, from, &hello) {
            return Outcome::Verified(Verified {
                record: hello.record.into(),
                proven: true,
            });
        }
        let cookie = self.cookies.make(now, from, &hello);
        self.write(&hello, &cookie);
        Outcome::Challenge(&self.challenge)
    }

    fn write(&mut self, hello: &Hello<'_>, cookie: &[u8; COOKIE]) {
        let (record, rest) = self.challenge.split_at_mut(RECORD_HEADER);
        record[0] = HANDSHAKE;
        record[1..3].copy_from_slice(&DTLS_1_0);
        // The record's number is that of the ClientHello (RFC 6347 §4.2.1).
        record[3..11].copy_from_slice(&hello.record_sequence.to_be_bytes());
        record[11..].copy_from_slice(&((MESSAGE_HEADER + BODY) as u16).to_be_bytes());
        let (message, body) = rest.split_at_mut(MESSAGE_HEADER);
        let length = [0, 0, BODY as u8];
        message[0] = HELLO_VERIFY_REQUEST;
        message[1..4].copy_from_slice(&length);
        message[4..6].copy_from_slice(&hello.message_sequence.to_be_bytes());
        message[6..9].fill(0);
        message[9..].copy_from_slice(&length);
        body[..2].copy_from_slice(&DTLS_1_0);
        body[2] = COOKIE as u8;
        body[3..].copy_from_slice(cookie);
    }
}
