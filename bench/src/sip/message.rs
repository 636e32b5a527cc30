//! The message of the load, and what comes of it.

use std::net::SocketAddr;

use wharf_sip::{Editor, Limits, Reply, Scan};

use crate::Failure;

/// Digits of a number in a message.
const DIGITS: usize = 10;
/// What a branch begins with; the number of the message follows.
const BRANCH: &[u8] = b"branch=z9hG4bK-";

/// An OPTIONS request of 380 bytes, as phones and trunks send it, with its number in all that differs
/// from request to request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    text: Vec<u8>,
    numbers: Vec<usize>,
}

impl Request {
    /// Over a transport as Via names it; with `rport` the server tells the port that it sees (RFC 3581).
    pub(super) fn new(transport: &str, rport: bool) -> Self {
        let (zero, rport) = ("0000000000", if rport { ";rport" } else { "" });
        let mut text = format!(
            "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/{transport} 127.0.0.1:5070;branch=z9hG4bK-{zero}{rport}\r\n\
             Max-Forwards: 70\r\n\
             From: \"Measurement\" <sip:bench@127.0.0.1>;tag=f{zero}\r\n\
             To: <sip:ping@127.0.0.1>\r\n\
             Call-ID: {zero}@127.0.0.1\r\n\
             CSeq: 102 OPTIONS\r\n\
             Contact: <sip:bench@127.0.0.1:5070>\r\n\
             Accept: application/sdp\r\n\
             User-Agent: "
        );
        let end = "\r\nContent-Length: 0\r\n\r\n";
        while text.len() + end.len() < Self::LENGTH {
            text.push('x');
        }
        text.push_str(end);
        let text = text.into_bytes();
        let numbers = memchr::memmem::find_iter(&text, zero).collect();
        Self { text, numbers }
    }

    /// Bytes of a request.
    pub(super) const LENGTH: usize = 380;

    /// The request of this number.
    pub(super) fn numbered(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:010}");
        for &at in &self.numbers {
            self.text[at..at + DIGITS].copy_from_slice(digits.as_bytes());
        }
        &self.text
    }
}

/// The number of the request that this is a 200 to.
pub(super) fn answered(message: &[u8]) -> Option<u64> {
    message
        .starts_with(b"SIP/2.0 200 ")
        .then(|| number(message))?
}

/// The number of a request that was forwarded: the branch of the second Via has it.
pub(super) fn forwarded(message: &[u8]) -> Option<u64> {
    message
        .starts_with(b"OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: ")
        .then(|| number(message))?
}

/// What follows the first branch that is one of the load's.
fn number(message: &[u8]) -> Option<u64> {
    let start = memchr::memmem::find(message, BRANCH)? + BRANCH.len();
    let digits = std::str::from_utf8(message.get(start..start + DIGITS)?).ok()?;
    digits.parse().ok()
}

/// What Wharf's servers answer with. The tag is made of the Call-ID alone, so that it is the same for each
/// retransmission (RFC 3261 §8.2.7).
pub(super) fn reply<'a>(tag: &'a mut [u8; 8], scan: &Scan, message: &[u8]) -> Reply<'a> {
    let call_id = scan.call_id.map_or(&[][..], |span| span.of(message));
    Reply {
        code: 200,
        reason: "OK",
        tag: hash(tag, call_id),
        source: None,
        fields: &[],
    }
}

/// The same digits for the same bytes, by FNV-1a: a bench needs no hash that withstands anybody.
pub(super) fn hash<'a>(digits: &'a mut [u8; 8], bytes: &[u8]) -> &'a str {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (4 * place)) as usize & 15];
    }
    std::str::from_utf8(digits).unwrap_or_default()
}

/// A request and the answer that a Wharf server gives to it, whoever asks.
pub(crate) fn exchange(transport: &str) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("own request", error);
    let request = Request::new(transport, false).numbered(1).to_vec();
    let scan = Scan::of(&request, &Limits::default()).map_err(|error| refused(&error))?;
    let mut tag = [0; 8];
    let reply = Reply {
        source: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
        ..reply(&mut tag, &scan, &request)
    };
    let mut answer = Vec::new();
    Editor::default()
        .edit(&request, &scan)
        .respond(&reply)
        .and_then(|edit| edit.write(&mut answer))
        .map_err(|error| refused(&error))?;
    Ok((request, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_length_and_number() {
        for transport in ["UDP", "TLS"] {
            let mut request = Request::new(transport, true);
            let text = request.numbered(1_234_567_890).to_vec();
            assert_eq!(text.len(), Request::LENGTH);
            assert_eq!(request.numbers.len(), 3);
            assert!(Scan::of(&text, &Limits::default()).is_ok());
            let forwarded_text = String::from_utf8(text).expect("ASCII").replacen(
                "Via: ",
                "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKother\r\nVia: ",
                1,
            );
            assert_eq!(forwarded(forwarded_text.as_bytes()), Some(1_234_567_890));
            assert_eq!(answered(forwarded_text.as_bytes()), None);
        }
    }

    #[test]
    fn an_answer_has_the_number_of_its_request() {
        let (request, answer) = exchange("TCP").expect("the bench's own request");
        assert_eq!(answered(&answer), Some(1));
        assert_eq!(answered(&request), None);
        // The source is the one that the Via says: nothing is put in.
        let via = memchr::memmem::find(&answer, b";received=");
        assert_eq!(via, None);
    }
}
