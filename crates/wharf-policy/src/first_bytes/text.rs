//! Protocols of lines: HTTP and SIP, which differ in what a request is for.

use super::{Protocol, Seen};

/// The longest method that is waited for. The longest registered one of HTTP has 17 letters
/// (UPDATEREDIRECTREF), of SIP 9 (SUBSCRIBE).
pub(super) const LONGEST_METHOD: usize = 32;
/// `https:`.
pub(super) const LONGEST_SCHEME: usize = 6;

/// What targets begin with (RFC 9112 §3.2; RFC 3261 §7.1, RFC 3966, RFC 5031, RFC 3860, RFC 3859).
const TARGETS: [(&[u8], Protocol); 10] = [
    (b"/", Protocol::Http),
    // `OPTIONS *`, and HTTP/2's `PRI *`.
    (b"*", Protocol::Http),
    (b"http:", Protocol::Http),
    (b"https:", Protocol::Http),
    (b"sip:", Protocol::Sip),
    (b"sips:", Protocol::Sip),
    (b"tel:", Protocol::Sip),
    (b"urn:", Protocol::Sip),
    (b"im:", Protocol::Sip),
    (b"pres:", Protocol::Sip),
];
/// How a response begins (RFC 3261 §7.2). Those of HTTP come from servers.
const RESPONSE: &[u8] = b"SIP/2.0 ";

/// A request of HTTP.
pub(super) fn http(bytes: &[u8]) -> Seen {
    request(bytes, Protocol::Http)
}

/// A request, a response or a keep-alive of SIP.
pub(super) fn sip(bytes: &[u8]) -> Seen {
    // Empty lines before a message are skipped (RFC 3261 §7.5); two are a keep-alive (RFC 5626 §4.4.1).
    let line = match bytes {
        [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Seen::Perhaps,
        [b'\r', b'\n', b'\r', b'\n', ..] => return Seen::Yes,
        [b'\r', b'\n', line @ ..] | line => line,
    };
    if line.starts_with(RESPONSE) {
        Seen::Yes
    } else if RESPONSE.starts_with(line) {
        Seen::Perhaps
    } else {
        request(line, Protocol::Sip)
    }
}

/// `METHOD SP target`, with a target of `wanted`.
fn request(line: &[u8], wanted: Protocol) -> Seen {
    let method = line.iter().take_while(|byte| is_token(**byte)).count();
    if method > LONGEST_METHOD {
        return Seen::No;
    }
    let target = match &line[method..] {
        [] => return Seen::Perhaps,
        [b' ', target @ ..] if method > 0 => target,
        _ => return Seen::No,
    };
    if &line[..method] == b"CONNECT" {
        // Its target is a host and a port (RFC 9110 §9.3.6).
        return if wanted == Protocol::Http {
            Seen::Yes
        } else {
            Seen::No
        };
    }
    let mut perhaps = false;
    for (begin, _) in TARGETS.iter().filter(|(_, of)| *of == wanted) {
        let both = begin.len().min(target.len());
        // Schemes are of either case (RFC 3986 §3.1).
        if target[..both].eq_ignore_ascii_case(&begin[..both]) {
            if both == begin.len() {
                return Seen::Yes;
            }
            perhaps = true;
        }
    }
    if perhaps { Seen::Perhaps } else { Seen::No }
}

/// RFC 9110 §5.6.2; SIP's are the same but for four characters that no method has.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
