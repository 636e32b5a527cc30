//! What is spoken on a connection, by its first bytes.
//!
//! [`of_stream`] is asked again with each byte more until it has decided; a decision never changes by
//! what comes after, so that it is the same however the bytes were cut. It needs at most [`LONGEST`]
//! of them. [`of_datagram`] decides at once.
//!
//! ```
//! use wharf_policy::first_bytes::{Guess, Protocol, Protocols, of_stream};
//!
//! let wanted = Protocols::from_iter([Protocol::Http, Protocol::Sip]);
//! assert_eq!(of_stream(b"OPTIONS ", wanted), Guess::Undecided);
//! assert_eq!(of_stream(b"OPTIONS sip:", wanted), Guess::Is(Protocol::Sip));
//! assert_eq!(of_stream(b"OPTIONS /", wanted), Guess::Is(Protocol::Http));
//! assert_eq!(of_stream(b"EHLO mail", wanted), Guess::Other);
//! ```

#[cfg(test)]
mod tests;
mod text;

/// What first bytes can be told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// A ClientHello of TLS (RFC 8446 §4.1.2, §5.1). On streams.
    Tls,
    /// A request of HTTP/1, or the preface of HTTP/2 (RFC 9112 §3, RFC 9113 §3.4). On streams.
    Http,
    /// SIP: a request, a response or a keep-alive (RFC 3261 §7, RFC 5626 §3.5.1).
    Sip,
    /// STUN, and TURN's ChannelData, which on a stream never comes first (RFC 8489 §5, RFC 8656 §12.4).
    Stun,
    /// DTLS (RFC 7983 §7). On datagrams.
    Dtls,
}

impl Protocol {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Tls, Self::Http, Self::Sip, Self::Stun, Self::Dtls];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Sip => "sip",
            Self::Stun => "stun",
            Self::Dtls => "dtls",
        }
    }
}

/// A set of protocols: those that somebody takes. What is not in it is nobody's, so its bytes need
/// not be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocols(u8);

impl Protocols {
    /// Whether `protocol` is one of them.
    pub fn contains(self, protocol: Protocol) -> bool {
        self.0 & bit(protocol) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All but `protocol`.
    #[must_use]
    pub fn without(self, protocol: Protocol) -> Self {
        Self(self.0 & !bit(protocol))
    }
}

impl FromIterator<Protocol> for Protocols {
    fn from_iter<I: IntoIterator<Item = Protocol>>(protocols: I) -> Self {
        Self(
            protocols
                .into_iter()
                .fold(0, |set, protocol| set | bit(protocol)),
        )
    }
}

fn bit(protocol: Protocol) -> u8 {
    1 << protocol as u8
}

/// What the first bytes of a stream say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// They are those of this protocol.
    Is(Protocol),
    /// More of them are needed.
    Undecided,
    /// They are those of no protocol that is wanted.
    Other,
}

/// The most bytes that [`of_stream`] needs: an empty line, a method, a space and a scheme.
pub const LONGEST: usize = 2 + text::LONGEST_METHOD + 1 + text::LONGEST_SCHEME;

/// Judges the bytes that have come first on a stream.
pub fn of_stream(bytes: &[u8], wanted: Protocols) -> Guess {
    let mut undecided = false;
    // At most one of them can ever say yes to the same bytes: the order means nothing.
    for (protocol, look) in LOOKS {
        if wanted.contains(protocol) {
            match look(bytes) {
                Seen::Yes => return Guess::Is(protocol),
                Seen::Perhaps => undecided = true,
                Seen::No => {}
            }
        }
    }
    if undecided {
        Guess::Undecided
    } else {
        Guess::Other
    }
}

/// Judges a whole datagram, by its first byte as RFC 7983 §7 has it; what is text is SIP, or nobody's.
/// `None`: no protocol that is wanted.
pub fn of_datagram(datagram: &[u8], wanted: Protocols) -> Option<Protocol> {
    let first = *datagram.first()?;
    let protocol = match first {
        _ if text::sip(datagram) == Seen::Yes || datagram == b"\r\n" => Protocol::Sip,
        0..=3 => Protocol::Stun,
        20..=63 => Protocol::Dtls,
        // RFC 8656 §12.4: a channel number, and the length of what follows.
        64..=79 if is_channel_data(datagram) => Protocol::Stun,
        _ => return None,
    };
    wanted.contains(protocol).then_some(protocol)
}

/// How far bytes are those of a protocol. Yes and no stay, whatever comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
    Perhaps,
}

type Look = fn(&[u8]) -> Seen;

/// Those of streams.
const LOOKS: [(Protocol, Look); 4] = [
    (Protocol::Tls, tls),
    (Protocol::Http, text::http),
    (Protocol::Sip, text::sip),
    (Protocol::Stun, stun),
];

/// Whether the bytes that are there are as they must be; yes when all are.
fn each(bytes: &[u8], must: &[fn(u8) -> bool]) -> Seen {
    if !bytes.iter().zip(must).all(|(byte, must)| must(*byte)) {
        Seen::No
    } else if bytes.len() < must.len() {
        Seen::Perhaps
    } else {
        Seen::Yes
    }
}

/// A record with a handshake message, a ClientHello (RFC 8446 §5.1, §4): type, version, length, the
/// message's type.
fn tls(bytes: &[u8]) -> Seen {
    const HELLO: [fn(u8) -> bool; 6] = [
        |kind| kind == 0x16,
        |major| major == 3,
        |minor| minor <= 4,
        // At most 2^14 bytes.
        |length| length <= 0x40,
        |_| true,
        |message| message == 1,
    ];
    each(bytes, &HELLO)
}

/// A header of STUN (RFC 8489 §5): two zero bits, a length in whole words, the magic cookie.
fn stun(bytes: &[u8]) -> Seen {
    const HEADER: [fn(u8) -> bool; 8] = [
        |kind| kind & 0xc0 == 0,
        |_| true,
        |_| true,
        |length| length % 4 == 0,
        |cookie| cookie == 0x21,
        |cookie| cookie == 0x12,
        |cookie| cookie == 0xa4,
        |cookie| cookie == 0x42,
    ];
    each(bytes, &HEADER)
}

fn is_channel_data(datagram: &[u8]) -> bool {
    match datagram {
        [_, _, high, low, data @ ..] => {
            data.len() >= usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}
