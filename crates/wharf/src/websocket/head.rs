//! The head of an HTTP request or response, as it comes from a connection.

use std::future::poll_fn;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::scratch;

/// The most header fields that a head may have.
pub(super) const MAX_FIELDS: usize = 100;

/// How reading a head ended without one.
#[derive(Debug)]
pub(super) enum HeadError {
    Io(io::Error),
    /// The stream ended within the head.
    Closed,
    TooLong,
    /// What comes is not HTTP: the first bytes say so.
    NotHttp,
}

/// Reads to the empty line that ends a head; `input` is what has been read before, and what stays in
/// it afterwards is what came behind the head. The head is searched once, however it is cut; `start`
/// judges each first bytes. Holds at most `max` bytes and one read.
pub(super) async fn read<IO: AsyncRead + Unpin>(
    io: &mut IO,
    input: &mut BytesMut,
    max: usize,
    start: impl Fn(&[u8]) -> bool,
) -> Result<Bytes, HeadError> {
    let mut searched = 0;
    loop {
        if !start(input) {
            return Err(HeadError::NotHttp);
        }
        let end = input[searched..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        match end.map(|at| searched + at + 4) {
            Some(end) if end > max => return Err(HeadError::TooLong),
            Some(end) => return Ok(cut(input, end)),
            None if input.len() >= max => return Err(HeadError::TooLong),
            None => {}
        }
        searched = input.len().saturating_sub(3);
        let more = poll_fn(|cx| {
            scratch::poll_read(io, cx, |bytes| {
                input.extend_from_slice(bytes);
                !bytes.is_empty()
            })
        });
        if !more.await.map_err(HeadError::Io)? {
            return Err(HeadError::Closed);
        }
    }
}

/// Takes the head at its own size, so that keeping it keeps nothing else.
fn cut(input: &mut BytesMut, end: usize) -> Bytes {
    let head = Bytes::copy_from_slice(&input[..end]);
    input.advance(end);
    head
}

/// Whether a list of tokens holds `token`, without regard to case (RFC 9110 §5.6.1).
pub(super) fn has_token(value: &str, token: &str) -> bool {
    tokens(value).any(|each| each.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated list; empty ones do not count (RFC 9110 §5.6.1.2).
pub(super) fn tokens(value: &str) -> impl Iterator<Item = &str> {
    let elements = value.split(',').map(|each| each.trim_matches([' ', '\t']));
    elements.filter(|each| !each.is_empty())
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(tchar)
}
