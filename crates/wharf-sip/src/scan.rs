//! Finding in a message what a transport needs (RFC 3261 §7, §18).

mod line;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::field::{self, Field};
use crate::limits::Limits;
use crate::span::Span;
use crate::text;

pub use line::StartLine;

/// Where the parts of a message stand that its transport reads. It holds offsets alone: keep it
/// beside the bytes of the message, and hand both to whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What the message is.
    pub start: StartLine,
    /// The version of the protocol, `SIP/2.0` in any case for a message of RFC 3261.
    pub version: Span,
    /// Where the first header field begins, in bytes.
    pub fields: u32,
    /// The length of the head in bytes, the empty line included: the body begins here.
    pub head: u32,
    /// The topmost Via values.
    pub via: Option<Stack>,
    /// The topmost Route values.
    pub route: Option<Stack>,
    /// What the Content-Length says.
    pub content_length: ContentLength,
    /// The value of the first Max-Forwards.
    pub max_forwards: Option<Span>,
    /// The value of the first Call-ID.
    pub call_id: Option<Span>,
    /// The value of the first CSeq.
    pub cseq: Option<Span>,
}

/// The top of the values of a header field that is a stack: of several fields of the name, and of
/// several values in one field with commas between them (RFC 3261 §7.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The first field with a value, from its name to its line end.
    pub line: Span,
    /// Its first value, without white space around it.
    pub top: Span,
    /// The value below, in the same field or in another.
    pub next: Option<Span>,
}

/// The Content-Length of a message (RFC 3261 §20.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentLength {
    /// There is none.
    Absent,
    /// So many bytes, and where the value stands.
    Bytes(u64, Span),
    /// Not a number, or one beyond 64 bits.
    Malformed,
    /// There are several (RFC 4475 §3.3.9), equal or not: two readers could take different ones.
    Repeated,
}

/// Why some bytes cannot be the head of a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScanError {
    /// The first line is neither `method target SIP/x.y` nor `SIP/x.y code reason`.
    #[error("the first line is no start line of SIP")]
    StartLine,
    /// A status code that is not three digits (RFC 4475 §3.1.2.19).
    #[error("the status code is not three digits")]
    StatusCode,
    /// A header field without a name and a colon.
    #[error("a header field has no name or no colon")]
    FieldName,
    /// A line feed or a carriage return on its own: readers do not agree where the line ends.
    #[error("a line feed or a carriage return stands alone")]
    LoneLineEnd,
    /// The start line or a header field is longer than [`Limits::line`].
    #[error("a line exceeds the limit of {0} bytes")]
    LineTooLong(u32),
    /// The head is longer than [`Limits::head`].
    #[error("the head exceeds the limit of {0} bytes")]
    HeadTooLong(u32),
    /// There are more header fields than [`Limits::fields`].
    #[error("the head exceeds the limit of {0} header fields")]
    TooManyFields(u16),
    /// There is no empty line: the message is cut.
    #[error("the head has no end")]
    Truncated,
}

impl Scan {
    /// Reads the head of a message that is all there, such as one of a datagram.
    ///
    /// ```
    /// use wharf_sip::{Limits, Scan, StartLine, Via};
    ///
    /// let message = b"OPTIONS sip:example.com SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1\r\n\r\n";
    /// let scan = Scan::of(message, &Limits::default())?;
    /// let StartLine::Request { method, target } = scan.start else { panic!("a request") };
    /// assert_eq!(method.of(message), b"OPTIONS");
    /// assert_eq!(target.of(message), b"sip:example.com");
    /// let via = Via::parse(scan.via.expect("there is one").top.of(message))?;
    /// assert_eq!(via.host.ip(), Some([192, 0, 2, 1].into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(message: &[u8], limits: &Limits) -> Result<Self, ScanError> {
        Scanner::new(limits)
            .advance(message)?
            .ok_or(ScanError::Truncated)
    }

    /// The method of a request.
    pub fn method<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        match self.start {
            StartLine::Request { method, .. } => Some(method.of(message)),
            StartLine::Response { .. } => None,
        }
    }

    /// The target of a request, as it is written: it need not be a URI that can be read.
    pub fn target<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        match self.start {
            StartLine::Request { target, .. } => Some(target.of(message)),
            StartLine::Response { .. } => None,
        }
    }

    /// The method of the CSeq: that of the request which a response answers.
    pub fn cseq_method<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let cseq = self.cseq?.of(message);
        let space = cseq.iter().position(|&byte| text::is_lws(byte))?;
        Some(text::trim(&cseq[space..]))
    }

    /// All header fields in order.
    pub fn fields<'a>(&self, message: &'a [u8]) -> impl Iterator<Item = Field<'a>> + use<'a> {
        field::lines(message, self.fields as usize).map(|(_, field)| field)
    }
}

/// Reads a head as it comes in, each byte once.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    limits: Limits,
    scan: Scan,
    /// Where the line begins that is not complete.
    line: usize,
    /// How far that line was searched for its end.
    searched: usize,
    /// Header fields so far.
    count: u16,
}

impl Scanner {
    pub(crate) const fn new(limits: &Limits) -> Self {
        let none = Span { start: 0, end: 0 };
        let scan = Scan {
            start: StartLine::Request {
                method: none,
                target: none,
            },
            version: none,
            fields: 0,
            head: 0,
            via: None,
            route: None,
            content_length: ContentLength::Absent,
            max_forwards: None,
            call_id: None,
            cseq: None,
        };
        Self {
            limits: *limits,
            scan,
            line: 0,
            searched: 0,
            count: 0,
        }
    }

    /// `message` begins with the message and grows from call to call; `None` when the head is not
    /// complete. However the bytes are cut into calls, the outcome is the same.
    pub(crate) fn advance(&mut self, message: &[u8]) -> Result<Option<Scan>, ScanError> {
        // What is no SIP at all, such as a TLS handshake, need not come to the end of a line.
        if message.first().is_some_and(|&byte| !text::is_token(byte)) {
            return Err(ScanError::StartLine);
        }
        while let Some(end) = self.line_end(message)? {
            let next = end + 2;
            if self.line == 0 {
                (self.scan.start, self.scan.version) = line::start_line(&message[..end])?;
                self.scan.fields = next as u32;
            } else if end == self.line {
                self.scan.head = next as u32;
                return Ok(Some(self.scan));
            } else {
                self.field(message, end)?;
            }
            self.line = next;
            self.searched = next;
        }
        Ok(None)
    }

    /// Where the line ends, its folds included; `None` when that is not known yet.
    fn line_end(&mut self, message: &[u8]) -> Result<Option<usize>, ScanError> {
        let cap = (self.line + self.limits.line as usize).min(self.limits.head as usize);
        let window = &message[..message.len().min(cap)];
        loop {
            let rest = window.get(self.searched..).unwrap_or_default();
            let found = memchr::memchr2(b'\r', b'\n', rest);
            let at = self.searched + found.unwrap_or(rest.len());
            match window.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] if at == self.line => return Ok(Some(at)),
                [b'\r', b'\n', ..] => match message.get(at + 2) {
                    // RFC 3261 §7.3.1: white space at its start makes a line part of the one before.
                    Some(b' ' | b'\t') if self.line > 0 => self.searched = at + 2,
                    Some(b' ' | b'\t') => return Err(ScanError::StartLine),
                    Some(_) => return Ok(Some(at)),
                    None => {
                        self.searched = at;
                        return Ok(None);
                    }
                },
                [] | [b'\r'] if window.len() < cap => {
                    self.searched = at;
                    return Ok(None);
                }
                [] | [b'\r'] if cap < self.limits.head as usize => {
                    return Err(ScanError::LineTooLong(self.limits.line));
                }
                [] | [b'\r'] => return Err(ScanError::HeadTooLong(self.limits.head)),
                _ => return Err(ScanError::LoneLineEnd),
            }
        }
    }

    fn field(&mut self, message: &[u8], end: usize) -> Result<(), ScanError> {
        if self.count == self.limits.fields {
            return Err(ScanError::TooManyFields(self.limits.fields));
        }
        self.count += 1;
        let (name, value) = field::split(&message[self.line..end]).ok_or(ScanError::FieldName)?;
        let Some(part) = Part::named(name) else {
            return Ok(());
        };
        let value = line::trimmed(message, self.line + value..end);
        let line = Span::new(self.line..end + 2);
        let scan = &mut self.scan;
        match part {
            Part::Via => line::stack(&mut scan.via, message, line, value, false),
            Part::Route => line::stack(&mut scan.route, message, line, value, true),
            Part::ContentLength => scan.content_length.read(message, value),
            Part::MaxForwards => scan.max_forwards = scan.max_forwards.or(Some(value)),
            Part::CallId => scan.call_id = scan.call_id.or(Some(value)),
            Part::CSeq => scan.cseq = scan.cseq.or(Some(value)),
        }
        Ok(())
    }
}

/// A header field that a transport reads.
#[derive(Clone, Copy)]
enum Part {
    Via,
    Route,
    ContentLength,
    MaxForwards,
    CallId,
    CSeq,
}

impl Part {
    /// The length of a name and its first letter tell nearly all others apart.
    fn named(name: &[u8]) -> Option<Self> {
        let (part, long) = match (name.len(), name[0].to_ascii_lowercase()) {
            (1, b'v') => return Some(Self::Via),
            (1, b'l') => return Some(Self::ContentLength),
            (1, b'i') => return Some(Self::CallId),
            (3, b'v') => (Self::Via, "via"),
            (4, b'c') => (Self::CSeq, "cseq"),
            (5, b'r') => (Self::Route, "route"),
            (7, b'c') => (Self::CallId, "call-id"),
            (12, b'm') => (Self::MaxForwards, "max-forwards"),
            (14, b'c') => (Self::ContentLength, "content-length"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(long.as_bytes()).then_some(part)
    }
}

impl ContentLength {
    fn read(&mut self, message: &[u8], value: Span) {
        *self = match (*self, text::number(value.of(message))) {
            (Self::Absent, Some(bytes)) => Self::Bytes(bytes, value),
            (Self::Absent, None) => Self::Malformed,
            _ => Self::Repeated,
        };
    }
}
