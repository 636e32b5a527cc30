//! What the lines of a head say.

use std::ops::Range;

use super::{ScanError, Stack};
use crate::span::Span;
use crate::text;

/// The first line of a message (RFC 3261 §7.1, §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// A request.
    Request {
        /// The method: case matters.
        method: Span,
        /// What stands between method and version, without white space around it. A broken target
        /// may hold spaces (RFC 4475 §3.1.2.8): the application answers it.
        target: Span,
    },
    /// A response.
    Response {
        /// The status code, 0 to 999.
        code: u16,
        /// The reason phrase, which may be empty.
        reason: Span,
    },
}

/// Reads the first line, given without its line end.
pub(super) fn start_line(line: &[u8]) -> Result<(StartLine, Span), ScanError> {
    let method = line
        .iter()
        .position(|&byte| !text::is_token(byte))
        .unwrap_or(line.len());
    match line.get(method) {
        Some(b' ') if method > 0 => request_line(line, method),
        // A slash is no character of a method.
        Some(b'/') if method == 3 => status_line(line),
        _ => Err(ScanError::StartLine),
    }
}

fn request_line(line: &[u8], method: usize) -> Result<(StartLine, Span), ScanError> {
    // White space at the end is left to the application (RFC 4475 §3.1.2.10).
    let end = trimmed(line, 0..line.len()).range().end;
    let space = line[..end]
        .iter()
        .rposition(|&byte| byte == b' ')
        .ok_or(ScanError::StartLine)?;
    let target = trimmed(line, method..space);
    let version = Span::new(space + 1..end);
    if target.range().is_empty() || !is_version(version.of(line)) {
        return Err(ScanError::StartLine);
    }
    let method = Span::new(0..method);
    Ok((StartLine::Request { method, target }, version))
}

fn status_line(line: &[u8]) -> Result<(StartLine, Span), ScanError> {
    let version = line
        .iter()
        .position(|&byte| byte == b' ')
        .ok_or(ScanError::StartLine)?;
    if !is_version(&line[..version]) {
        return Err(ScanError::StartLine);
    }
    let rest = version + 1..line.len();
    let digits = line[rest.clone()]
        .iter()
        .take_while(|byte| **byte != b' ')
        .count();
    let code = text::number(&line[rest.start..rest.start + digits]).filter(|_| digits == 3);
    let code = code.ok_or(ScanError::StatusCode)? as u16;
    // A reason phrase may be empty (RFC 4475 §3.1.1.13); here its space may be missing, too.
    let reason = Span::new((rest.start + digits + 1).min(line.len())..line.len());
    Ok((StartLine::Response { code, reason }, Span::new(0..version)))
}

/// `SIP/x.y`: any version, as the application answers 505 to another one (RFC 4475 §3.1.2.16).
fn is_version(bytes: &[u8]) -> bool {
    let Some((name, numbers)) = bytes.split_at_checked(4) else {
        return false;
    };
    let mut numbers = numbers.splitn(2, |&byte| byte == b'.');
    let mut number = || {
        numbers
            .next()
            .is_some_and(|part| text::number(part).is_some())
    };
    name.eq_ignore_ascii_case(b"sip/") && number() && number()
}

/// Takes the values of one field of a stack, as far as they are needed; with `angles` they hold
/// URIs in `<>`.
pub(super) fn stack(
    stack: &mut Option<Stack>,
    message: &[u8],
    line: Span,
    value: Span,
    angles: bool,
) {
    let mut rest = value.range();
    while !rest.is_empty() && stack.is_none_or(|stack| stack.next.is_none()) {
        let comma =
            comma(&message[rest.clone()], angles).map_or(rest.end, |comma| rest.start + comma);
        let one = trimmed(message, rest.start..comma);
        rest.start = (comma + 1).min(rest.end);
        match stack {
            // Nothing between two commas is no value (RFC 4475 §3.1.2.1).
            _ if one.range().is_empty() => {}
            Some(stack) => stack.next = Some(one),
            None => {
                let (top, next) = (one, None);
                *stack = Some(Stack { line, top, next });
            }
        }
    }
}

/// The first comma outside of quotation marks and, with `angles`, of `<>`.
fn comma(bytes: &[u8], angles: bool) -> Option<usize> {
    let first = memchr::memchr(b',', bytes)?;
    let plain = memchr::memchr2(b'"', b'<', &bytes[..first]).is_none();
    if plain {
        Some(first)
    } else {
        text::find_outside(bytes, b',', angles)
    }
}

/// The part of `range` without white space at its ends.
pub(super) fn trimmed(message: &[u8], range: Range<usize>) -> Span {
    let bytes = &message[range.clone()];
    let from = bytes
        .iter()
        .position(|&byte| !text::is_lws(byte))
        .unwrap_or(bytes.len());
    Span::new(range.start + from..range.start + from + text::trim(bytes).len())
}
