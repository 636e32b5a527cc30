//! Packets of peers without an association: answered without keeping anything, until a cookie comes back.

use std::net::SocketAddr;
use std::time::Instant;

use dcsctp::api::SocketEvent;

use crate::cookie::{Cookies, Opened, Origin, Tags, with_seed};
use crate::packet::{
    CHUNK_HEADER, Packet, REFLECTED, chunk, make_chunk, u16_at, u32_at, write_packet,
};
use crate::{Ignored, Options};

/// Longer INITs are ignored: real ones are below 500 bytes, and each is copied and read in full.
const MAX_INIT: usize = 2048;
/// The parameter that holds the cookie (RFC 9260 §3.3.3.1).
const STATE_COOKIE: u16 = 7;
/// Error causes (RFC 9260 §3.3.10).
const STALE_COOKIE: u16 = 3;
const INVALID_MANDATORY_PARAMETER: u16 = 7;
/// The least receive window an INIT may offer (RFC 9260 §3.3.2).
const LEAST_WINDOW: u32 = 1500;

/// What to do with a packet that belongs to no association.
#[derive(Debug)]
pub enum Answer<'a> {
    /// Nothing; the reason is for a counter.
    Ignore(Ignored),
    /// Send these bytes back to where the packet came from. Nothing is kept.
    Reply(&'a [u8]),
    /// A cookie of ours came back: the peer is where it says it is. Make an
    /// [`Association`](crate::Association::accept), or drop this and nothing is kept either.
    Open(Opening),
}

/// The right to make one association: a COOKIE ECHO whose cookie was good.
#[derive(Debug)]
pub struct Opening {
    pub(crate) origin: Origin,
    /// The COOKIE ECHO, with the engine's own cookie in it.
    pub(crate) packet: Vec<u8>,
    /// What came behind it, as a packet: the engine drops a packet in which it cannot read a chunk, but the
    /// cookie was good.
    pub(crate) rest: Option<Vec<u8>>,
}

/// The SCTP ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

impl Ports {
    /// The ports of a packet that may be anything else; `None` when it is too short.
    pub fn of(packet: &[u8]) -> Option<Self> {
        (packet.len() >= 4).then(|| Self {
            source: u16_at(packet, 0),
            destination: u16_at(packet, 2),
        })
    }
}

impl Opening {
    /// The UDP endpoint of the peer.
    pub fn peer(&self) -> SocketAddr {
        self.origin.udp
    }

    /// The ports of the association, as the peer's packets have them.
    pub fn ports(&self) -> Ports {
        Ports {
            source: self.origin.source_port,
            destination: self.origin.destination_port,
        }
    }
}

/// Judges packets without an association (RFC 9260 §5.1 and §8.4). Memory does not grow, whatever arrives.
///
/// An INIT gets an INIT ACK, of [`LONGEST`](Self::LONGEST) bytes at most, whose cookie carries all there is to know;
/// only a good cookie opens anything. One front serves one thread; several share a secret through [`Cookies`].
///
/// ```
/// # use std::{net::SocketAddr, time::{Duration, Instant}};
/// use wharf_sctp::{Answer, Cookies, Front, Ignored, Options};
///
/// let now = Instant::now();
/// let cookies = Cookies::new([7; 32], now, Duration::from_secs(60)); // 32 bytes of the operating system
/// let mut front = Front::new(5000, Options::default(), cookies);
/// let from = SocketAddr::from(([192, 0, 2, 1], 9899));
/// assert!(matches!(front.handle(now, from, b"hello"), Answer::Ignore(Ignored::Length)));
/// ```
#[derive(Debug)]
pub struct Front {
    port: u16,
    options: Options,
    cookies: Cookies,
    reply: Vec<u8>,
    /// INITs answered: no two draw their tags from one seed.
    drawn: u64,
}

impl Front {
    /// The longest answer, in bytes: an INIT ACK with its cookie. An INIT has 32 bytes or more; other packets get
    /// answers that are no longer than they are.
    pub const LONGEST: usize = 160;

    /// A front for the SCTP port `port`; packets to other ports are ignored.
    pub fn new(port: u16, options: Options, cookies: Cookies) -> Self {
        Self {
            port,
            options,
            cookies,
            reply: Vec::new(),
            drawn: 0,
        }
    }

    /// Judges one UDP payload from `from`.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Answer<'_> {
        match self.judge(now, from, datagram) {
            Ok(Some(opening)) => Answer::Open(opening),
            Ok(None) => Answer::Reply(&self.reply),
            Err(ignored) => Answer::Ignore(ignored),
        }
    }

    /// The packet that refuses an opening: an ABORT, which the peer takes by its own tag (RFC 9260
    /// §8.5.1 B).
    pub fn refuse(&mut self, opening: &Opening) -> &[u8] {
        let abort = make_chunk(chunk::ABORT, REFLECTED, &[]);
        // RFC 9260 §3.1: the verification tag lies behind the ports.
        self.answer(opening.origin, u32_at(&opening.packet, 4), &abort);
        &self.reply
    }

    fn judge(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<Option<Opening>, Ignored> {
        let packet = Packet::parse(datagram)?;
        let origin = Origin {
            udp: from,
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
        };
        if origin.destination_port != self.port || origin.source_port == 0 {
            return Err(Ignored::Port);
        }
        // RFC 9260 §8.4, in its order: 2) never answer an ABORT.
        if packet.has(chunk::ABORT) {
            return Err(Ignored::Stray);
        }
        let first = packet.first();
        match first.kind {
            chunk::INIT => self.init(now, origin, packet).map(|()| None),
            chunk::COOKIE_ECHO => match self.cookies.open(now, origin, packet.tag(), first.value) {
                Opened::Good(cookie) => {
                    let echo = make_chunk(chunk::COOKIE_ECHO, 0, cookie);
                    let mut opening = Opening {
                        origin,
                        packet: Vec::new(),
                        rest: packet.without_first(),
                    };
                    let (from, to) = (origin.source_port, origin.destination_port);
                    write_packet(from, to, packet.tag(), &echo, &mut opening.packet);
                    Ok(Some(opening))
                }
                Opened::Stale { peer_tag, by } => {
                    self.stale(origin, peer_tag, by.as_micros());
                    Ok(None)
                }
                Opened::Forged => Err(Ignored::Cookie),
            },
            // 5) The peer misses our last word.
            chunk::SHUTDOWN_ACK => {
                let complete = make_chunk(chunk::SHUTDOWN_COMPLETE, REFLECTED, &[]);
                self.answer(origin, packet.tag(), &complete);
                Ok(None)
            }
            // 6), 7) Late answers to what is over.
            chunk::SHUTDOWN_COMPLETE | chunk::COOKIE_ACK | chunk::ERROR | chunk::INIT_ACK => {
                Err(Ignored::Stray)
            }
            // 8) The peer believes in an association that is gone: tell it. The answer is no longer than the packet.
            _ => {
                let abort = make_chunk(chunk::ABORT, REFLECTED, &[]);
                self.answer(origin, packet.tag(), &abort);
                Ok(None)
            }
        }
    }

    /// RFC 9260 §5.1: an INIT is alone in its packet, has tag 0, and offers a tag, streams and a window.
    fn init(&mut self, now: Instant, origin: Origin, packet: Packet<'_>) -> Result<(), Ignored> {
        let init = packet.first();
        let value = init.value;
        if packet.bytes().len() > MAX_INIT {
            return Err(Ignored::Length);
        }
        if packet.tag() != 0 || init.range.end != packet.bytes().len() || value.len() < 16 {
            return Err(Ignored::Malformed);
        }
        let peer_tag = u32_at(value, 0);
        if peer_tag == 0 {
            return Err(Ignored::Tag);
        }
        let (window, outbound, inbound) = (u32_at(value, 4), u16_at(value, 8), u16_at(value, 10));
        if window < LEAST_WINDOW || outbound == 0 || inbound == 0 {
            let abort = make_chunk(chunk::ABORT, 0, &cause(INVALID_MANDATORY_PARAMETER, &[]));
            self.answer(origin, peer_tag, &abort);
            return Ok(());
        }
        self.drawn = self.drawn.wrapping_add(1);
        let seed = self
            .cookies
            .seed(now, origin.udp, self.drawn, packet.bytes());
        // An engine that lives for one packet: it writes the INIT ACK from its options and forgets it.
        let options = self
            .options
            .engine(origin.destination_port, origin.source_port);
        let mut engine = dcsctp::new_socket("front", &options);
        with_seed(seed, || engine.handle_input(packet.bytes()));
        while let Some(event) = engine.poll_event() {
            let SocketEvent::SendPacket(answer) = event else {
                continue;
            };
            if let Some(answer) = with_sealed_cookie(&self.cookies, now, origin, &answer) {
                self.reply = answer;
                return Ok(());
            }
        }
        Err(Ignored::Malformed)
    }

    /// RFC 9260 §5.1.5, step 4: an ERROR that says by how many microseconds the cookie is too old.
    fn stale(&mut self, origin: Origin, peer_tag: u32, micros: u128) {
        let late = u32::try_from(micros).unwrap_or(u32::MAX);
        let error = make_chunk(chunk::ERROR, 0, &cause(STALE_COOKIE, &late.to_be_bytes()));
        self.answer(origin, peer_tag, &error);
    }

    fn answer(&mut self, origin: Origin, tag: u32, chunk: &[u8]) {
        let (to, from) = (origin.source_port, origin.destination_port);
        write_packet(from, to, tag, chunk, &mut self.reply);
    }
}

fn cause(code: u16, value: &[u8]) -> Vec<u8> {
    let mut cause = code.to_be_bytes().to_vec();
    cause.extend_from_slice(&((4 + value.len()) as u16).to_be_bytes());
    cause.extend_from_slice(value);
    cause
}

/// A packet that begins with COOKIE ECHO, with `cookie` in it instead.
pub(crate) fn with_cookie(packet: &Packet<'_>, cookie: &[u8]) -> Vec<u8> {
    let echo = make_chunk(chunk::COOKIE_ECHO, 0, cookie);
    packet.replacing(packet.first().range, &echo)
}

/// The engine's INIT ACK with its cookie sealed for `origin`; `None` if the packet is no INIT ACK.
pub(crate) fn with_sealed_cookie(
    cookies: &Cookies,
    now: Instant,
    origin: Origin,
    answer: &[u8],
) -> Option<Vec<u8>> {
    let packet = Packet::parse(answer).ok()?;
    let ack = packet.first();
    if ack.kind != chunk::INIT_ACK {
        return None;
    }
    let (fixed, mut parameters) = ack.value.split_at_checked(16)?;
    let mut value = fixed.to_vec();
    while parameters.len() >= CHUNK_HEADER {
        let length = usize::from(u16_at(parameters, 2));
        let padded = length.next_multiple_of(4).min(parameters.len());
        let body = parameters.get(CHUNK_HEADER..length)?;
        if u16_at(parameters, 0) == STATE_COOKIE {
            let tags = Tags {
                own: u32_at(fixed, 0),
                peer: packet.tag(),
            };
            let sealed = cookies.seal(now, origin, tags, body);
            value.extend_from_slice(&STATE_COOKIE.to_be_bytes());
            value.extend_from_slice(&((CHUNK_HEADER + sealed.len()) as u16).to_be_bytes());
            value.extend_from_slice(&sealed);
            value.resize(value.len().next_multiple_of(4), 0);
        } else {
            value.extend_from_slice(&parameters[..padded]);
        }
        parameters = &parameters[padded..];
    }
    let ack_chunk = make_chunk(chunk::INIT_ACK, 0, &value);
    Some(packet.replacing(ack.range, &ack_chunk))
}

#[cfg(test)]
mod tests;
