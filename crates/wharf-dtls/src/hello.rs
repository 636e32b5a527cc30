//! The first record of a client: a ClientHello (RFC 6347 §4.1, §4.2.1, §4.2.2).

use std::ops::Range;

use thiserror::Error;

use crate::record::{RECORD_HEADER, length, sequence};

/// Bytes of a handshake message's header (RFC 6347 §4.2.2).
pub(crate) const MESSAGE_HEADER: usize = 12;
/// ContentType handshake (RFC 5246 §6.2.1).
pub(crate) const HANDSHAKE: u8 = 22;
/// Bytes of a Random (RFC 5246 §7.4.1.2).
const RANDOM: usize = 32;
/// HandshakeType client_hello (RFC 5246 §7.4).
const CLIENT_HELLO: u8 = 1;
/// ExtensionType server_name, and its NameType host_name (RFC 6066 §1.1, §3).
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// ExtensionType application_layer_protocol_negotiation (RFC 7301 §6).
const PROTOCOLS: u16 = 16;
/// The most ClientHellos that a client may have sent before the one with its cookie: more than one
/// when a cookie expired on the way.
const MAX_MESSAGE_SEQUENCE: u16 = 3;

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Ignored {
    /// Not a record of DTLS, or one that is cut off.
    #[error("not a DTLS record")]
    NotDtls,
    /// A record that does not begin a session: not a ClientHello of epoch 0.
    #[error("not a ClientHello")]
    NotHello,
    /// A ClientHello in several fragments: gathering them would need memory for a peer whose
    /// address is not proven.
    #[error("a fragmented ClientHello")]
    Fragmented,
    /// A ClientHello that contradicts itself.
    #[error("a malformed ClientHello")]
    Malformed,
    /// Sequence numbers that no client has at its beginning.
    #[error("a ClientHello out of sequence")]
    Sequence,
}

impl Ignored {
    /// A short name that does not change, for logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotDtls => "not-dtls",
            Self::NotHello => "not-hello",
            Self::Fragmented => "fragmented",
            Self::Malformed => "malformed",
            Self::Sequence => "sequence",
        }
    }
}

/// The client's random of a datagram that begins like a client's first flight; `None`: it does not.
///
/// Who has a session and sends a hello with another random, and then a good cookie, begins anew
/// (RFC 6347 §4.2.8). One with the random of the session that is there
/// ([`Verified::random`](crate::Verified::random)) is a copy of the hello that it began with: the network
/// has doubled it, or somebody has, as it is good for as long as its cookie.
pub fn hello_random(datagram: &[u8]) -> Option<&[u8; RANDOM]> {
    Some(Hello::parse(datagram).ok()?.random())
}

/// A view of a ClientHello that is one whole message in one whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello<'a> {
    /// The record with its header; what follows it in the datagram is not looked at.
    pub(crate) record: &'a [u8],
    /// The record's sequence number, 48 bits.
    pub(crate) record_sequence: u64,
    /// The message's number: how many ClientHellos the client sent before.
    pub(crate) message_sequence: u16,
    /// Where the cookie lies in `record`, behind its length.
    cookie: Range<usize>,
    /// Where the compression methods end in `record`; extensions follow, if there are any.
    parameters_end: usize,
}

impl<'a> Hello<'a> {
    pub(crate) fn parse(datagram: &'a [u8]) -> Result<Self, Ignored> {
        let length = length(datagram).ok_or(Ignored::NotDtls)?;
        let (record, header) = (&datagram[..length], &datagram[..RECORD_HEADER]);
        // All versions of DTLS have the major version 254 (RFC 6347 §4.1).
        if header[1] != 0xfe || !(20..=63).contains(&header[0]) {
            return Err(Ignored::NotDtls);
        }
        if header[0] != HANDSHAKE || header[3..5] != [0, 0] {
            return Err(Ignored::NotHello);
        }
        let mut input = Reader {
            bytes: record,
            at: RECORD_HEADER,
        };
        let message = input.take(MESSAGE_HEADER).ok_or(Ignored::Malformed)?;
        if message[0] != CLIENT_HELLO {
            return Err(Ignored::NotHello);
        }
        let (whole, offset, part) = (&message[1..4], &message[6..9], &message[9..12]);
        if offset != [0, 0, 0] || whole != part {
            return Err(Ignored::Fragmented);
        }
        let body = u32::from_be_bytes([0, whole[0], whole[1], whole[2]]) as usize;
        if body != length - RECORD_HEADER - MESSAGE_HEADER {
            return Err(Ignored::Malformed);
        }
        let (cookie, parameters_end) = parameters(&mut input).ok_or(Ignored::Malformed)?;
        let message_sequence = u16::from_be_bytes([message[4], message[5]]);
        let record_sequence = sequence(header);
        // Each of the messages before this one was in a record before this one.
        if message_sequence > MAX_MESSAGE_SEQUENCE || record_sequence < message_sequence.into() {
            return Err(Ignored::Sequence);
        }
        Ok(Self {
            record,
            record_sequence,
            message_sequence,
            cookie,
            parameters_end,
        })
    }

    /// The random that the client made for this handshake (RFC 5246 §7.4.1.2): behind its version, and
    /// the same with the cookie as without (RFC 6347 §4.2.1).
    pub(crate) fn random(&self) -> &'a [u8; RANDOM] {
        let body = &self.record[RECORD_HEADER + MESSAGE_HEADER..];
        body[2..]
            .first_chunk()
            .expect("a hello that was parsed holds it")
    }

    /// The cookie that it carries; empty in a client's first one.
    pub(crate) fn cookie(&self) -> &'a [u8] {
        &self.record[self.cookie.clone()]
    }

    /// What a client may not change when it comes back with a cookie (RFC 6347 §4.2.1): version,
    /// random and session id; cipher suites and compression methods.
    pub(crate) fn parameters(&self) -> [&'a [u8]; 2] {
        let body = RECORD_HEADER + MESSAGE_HEADER;
        [
            &self.record[body..self.cookie.start - 1],
            &self.record[self.cookie.end..self.parameters_end],
        ]
    }

    /// The content of the extension of this type (RFC 5246 §7.4.1.4).
    fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut input = Reader {
            bytes: self.record,
            at: self.parameters_end,
        };
        let all = input.vector16()?;
        let mut input = Reader {
            bytes: &self.record[..all.end],
            at: all.start,
        };
        while !input.is_empty() {
            let kind = input.take(2)?;
            let content = input.vector16()?;
            if kind == wanted.to_be_bytes() {
                return Some(&self.record[content]);
            }
        }
        None
    }

    /// The name of the server that is asked for (RFC 6066 §3).
    pub(crate) fn server_name(&self) -> Option<&'a str> {
        let bytes = self.extension(SERVER_NAME)?;
        let mut input = Reader { bytes, at: 0 };
        let _length = input.take(2)?;
        while !input.is_empty() {
            let kind = input.take(1)?[0];
            let name = input.vector16()?;
            if kind == HOST_NAME {
                return std::str::from_utf8(&bytes[name]).ok();
            }
        }
        None
    }

    /// The application protocols that are offered (RFC 7301 §3.1), as far as they can be read.
    pub(crate) fn protocols(&self) -> Vec<&'a [u8]> {
        let bytes = self.extension(PROTOCOLS).unwrap_or_default();
        let mut input = Reader { bytes, at: 0 };
        let mut offered = Vec::new();
        if input.take(2).is_some() {
            while let Some(name) = input.vector8() {
                offered.push(&bytes[name]);
            }
        }
        offered
    }

    /// The record of the ClientHello numbered `message_sequence` that the client sent before this
    /// one: the same, with an empty cookie.
    pub(crate) fn without_cookie(&self, message_sequence: u16) -> Vec<u8> {
        let length = self.record.len() - RECORD_HEADER - self.cookie.len();
        let body = ((length - MESSAGE_HEADER) as u32).to_be_bytes();
        let mut record = Vec::with_capacity(RECORD_HEADER + length);
        record.extend_from_slice(&self.record[..5]);
        record.extend_from_slice(&u64::from(message_sequence).to_be_bytes()[2..]);
        record.extend_from_slice(&(length as u16).to_be_bytes());
        record.push(CLIENT_HELLO);
        record.extend_from_slice(&body[1..]);
        record.extend_from_slice(&message_sequence.to_be_bytes());
        record.extend_from_slice(&[0, 0, 0]);
        record.extend_from_slice(&body[1..]);
        let body = RECORD_HEADER + MESSAGE_HEADER;
        record.extend_from_slice(&self.record[body..self.cookie.start - 1]);
        record.push(0);
        record.extend_from_slice(&self.record[self.cookie.end..]);
        record
    }
}

/// Reads a ClientHello's body (RFC 5246 §7.4.1.2 with RFC 6347 §4.2.1): where its cookie lies, and
/// where its parameters end.
fn parameters(input: &mut Reader<'_>) -> Option<(Range<usize>, usize)> {
    let _version_and_random = input.take(2 + RANDOM)?;
    let session_id = input.vector8()?;
    let cookie = input.vector8()?;
    let ciphers = input.vector16()?;
    let compressions = input.vector8()?;
    let end = input.at;
    if !input.is_empty() {
        input.vector16()?;
    }
    let sound = session_id.len() <= 32
        && !ciphers.is_empty()
        && ciphers.len().is_multiple_of(2)
        && !compressions.is_empty()
        && input.is_empty();
    sound.then_some((cookie, end))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    fn vector(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.at;
        self.take(length)?;
        Some(start..self.at)
    }

    /// A vector with one byte of length.
    fn vector8(&mut self) -> Option<Range<usize>> {
        let length = self.take(1)?[0];
        self.vector(length.into())
    }

    /// A vector with two bytes of length.
    fn vector16(&mut self) -> Option<Range<usize>> {
        let length = self.take(2)?;
        self.vector(u16::from_be_bytes([length[0], length[1]]).into())
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }
}
