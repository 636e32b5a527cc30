//! Changes to a message that leave every other byte as it is.

mod head;
mod respond;
mod route;
#[cfg(test)]
mod tests;
mod via;

use std::cmp::Reverse;
use std::ops::Range;

use thiserror::Error;

use crate::scan::{Scan, Stack, StartLine};
use crate::text;
use crate::via::ViaError;

pub use respond::Reply;

/// Room for the changes of one message after the other: make one, and use it for all messages of
/// a worker.
///
/// ```
/// use wharf_sip::{Editor, Limits, Scan};
///
/// let message = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b;rport\r\nMax-Forwards: 5\r\n\r\n";
/// let scan = Scan::of(message, &Limits::default())?;
/// let mut editor = Editor::default();
/// let mut out = Vec::new();
/// editor
///     .edit(message, &scan)
///     .stamp_via("192.0.2.1:5072".parse()?)?
///     .push_via("SIP/2.0/UDP edge.example.com;branch=z9hG4bK1")?
///     .decrement_max_forwards()?
///     .write(&mut out)?;
/// let expected = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP edge.example.com;branch=z9hG4bK1\r\n\
///                 Via: SIP/2.0/UDP b;rport=5072;received=192.0.2.1\r\nMax-Forwards: 4\r\n\r\n";
/// assert_eq!(out, expected.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Editor {
    splices: Vec<Splice>,
    text: Vec<u8>,
}

/// One part of a message and what stands there instead.
#[derive(Debug)]
struct Splice {
    at: Range<usize>,
    /// A part of the editor's text.
    text: Range<usize>,
}

/// Changes to one message. Each is told to the message as it came in: they do not see each other.
/// Of two fields that are pushed, the later stands above.
#[derive(Debug)]
pub struct Edit<'a> {
    editor: &'a mut Editor,
    message: &'a [u8],
    scan: &'a Scan,
}

/// Why a change cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// The message has no Via.
    #[error("the message has no Via")]
    NoVia,
    /// The top Via cannot be read.
    #[error(transparent)]
    Via(#[from] ViaError),
    /// The message has no Route.
    #[error("the message has no Route")]
    NoRoute,
    /// Max-Forwards is 0: the request may go no further.
    #[error("the request has no hop left")]
    NoHopLeft,
    /// Max-Forwards is not a number from 0 to 255 (RFC 3261 §20.22).
    #[error("Max-Forwards is not a number from 0 to 255")]
    MaxForwards,
    /// A change for requests was asked for a response.
    #[error("the message is a response")]
    NotARequest,
    /// An ACK is never answered (RFC 3261 §8.2.7, §17.1.1.3).
    #[error("an ACK is not answered")]
    Ack,
    /// The caller's status code is not between 100 and 699.
    #[error("{0} is no status code")]
    Status(u16),
    /// The caller's text has a line end, or its name of a field is no token: it would be more than
    /// one field.
    #[error("the text does not fit into one header field")]
    Text,
    /// Two changes want the same part.
    #[error("two changes of the same part of a message")]
    Overlap,
}

impl EditError {
    /// The status to answer the request with; `None` when the caller asked for what cannot be, or
    /// there is no way to answer.
    pub const fn status(&self) -> Option<(u16, &'static str)> {
        match self {
            // RFC 3261 §16.3 step 3
            Self::NoHopLeft => Some((483, "Too Many Hops")),
            // RFC 3261 §16.3 step 1
            Self::MaxForwards => Some((400, "Bad Max-Forwards")),
            _ => None,
        }
    }
}

impl Editor {
    /// Begins with the changes of `message`, which `scan` describes.
    pub fn edit<'a>(&'a mut self, message: &'a [u8], scan: &'a Scan) -> Edit<'a> {
        self.splices.clear();
        self.text.clear();
        Edit {
            editor: self,
            message,
            scan,
        }
    }
}

impl Edit<'_> {
    /// Appends the changed message to `out`.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Result<(), EditError> {
        let Editor { splices, text } = &mut *self.editor;
        // Where nothing is replaced, the later of two stands first; it is the later in the text.
        splices.sort_unstable_by_key(|one| (one.at.start, one.at.end, Reverse(one.text.start)));
        if splices
            .windows(2)
            .any(|pair| pair[1].at.start < pair[0].at.end)
        {
            return Err(EditError::Overlap);
        }
        out.reserve(self.message.len() + text.len());
        let mut copied = 0;
        for splice in splices.iter() {
            out.extend_from_slice(
                self.message
                    .get(copied..splice.at.start)
                    .unwrap_or_default(),
            );
            out.extend_from_slice(&text[splice.text.clone()]);
            copied = splice.at.end;
        }
        out.extend_from_slice(self.message.get(copied..).unwrap_or_default());
        Ok(())
    }

    /// Puts `parts` where `at` is.
    fn splice(&mut self, at: Range<usize>, parts: &[&[u8]]) {
        let Editor { splices, text } = &mut *self.editor;
        let start = text.len();
        for part in parts {
            text.extend_from_slice(part);
        }
        splices.push(Splice {
            at,
            text: start..text.len(),
        });
    }

    /// Puts a header field above all others: its place among those of other names means nothing
    /// (RFC 3261 §7.3.1).
    pub fn push_field(&mut self, name: &str, value: &str) -> Result<&mut Self, EditError> {
        if !text::is_a_token(name.as_bytes()) {
            return Err(EditError::Text);
        }
        let value = one_line(value)?;
        let start = self.scan.fields as usize;
        self.splice(start..start, &[name.as_bytes(), b": ", value, b"\r\n"]);
        Ok(self)
    }

    /// Takes the top value of a stack away, and its line with it when it is the only one there.
    fn pop(&mut self, stack: Stack) {
        let line = stack.line.range();
        let next = stack
            .next
            .map(|next| next.range().start)
            .filter(|next| line.contains(next));
        let at = next.map_or(line, |next| stack.top.range().start..next);
        self.splice(at, &[]);
    }

    fn require_request(&self) -> Result<(), EditError> {
        match self.scan.start {
            StartLine::Request { .. } => Ok(()),
            StartLine::Response { .. } => Err(EditError::NotARequest),
        }
    }
}

fn one_line(text: &str) -> Result<&[u8], EditError> {
    let broken = memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_some();
    if broken {
        Err(EditError::Text)
    } else {
        Ok(text.as_bytes())
    }
}
