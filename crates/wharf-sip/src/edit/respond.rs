//! The answer to a request that a transport gives by itself (RFC 3261 §8.2.6, §8.2.7).

use std::net::SocketAddr;

use super::{Edit, EditError, one_line};
use crate::field::{self, Field};
use crate::parameters::Parameters;
use crate::text;

/// A response without a body.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status code, from 100 to 699.
    pub code: u16,
    /// The reason phrase.
    pub reason: &'a str,
    /// The tag for a To that has none: the same for each retransmission of the request
    /// (RFC 3261 §8.2.7). A 100 gets none (§8.2.6.2).
    pub tag: &'a str,
    /// Where the request came from, when its top Via does not say so yet.
    pub source: Option<SocketAddr>,
    /// Further header fields, by name and value.
    pub fields: &'a [(&'a str, &'a str)],
}

impl Edit<'_> {
    /// Makes the request its own answer: Via, From, To, Call-ID and CSeq stay, byte for byte and
    /// in their order; what else was there goes, with the body.
    ///
    /// ```
    /// use wharf_sip::{Editor, Limits, Reply, Scan};
    ///
    /// let request = b"OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1\r\nMax-Forwards: 5\r\n\
    ///                 f: <sip:b>;tag=1\r\nt: <sip:a>\r\ni: c\r\nCSeq: 1 OPTIONS\r\nl: 9\r\n\r\n";
    /// let scan = Scan::of(request, &Limits::default())?;
    /// let reply = Reply {
    ///     code: 400,
    ///     reason: "Body Shorter Than Content-Length",
    ///     tag: "2",
    ///     source: Some("192.0.2.1:5060".parse()?),
    ///     fields: &[],
    /// };
    /// let mut out = Vec::new();
    /// Editor::default().edit(request, &scan).respond(&reply)?.write(&mut out)?;
    /// let expected = "SIP/2.0 400 Body Shorter Than Content-Length\r\nv: SIP/2.0/UDP 192.0.2.1\r\n\
    ///                 f: <sip:b>;tag=1\r\nt: <sip:a>;tag=2\r\ni: c\r\nCSeq: 1 OPTIONS\r\n\
    ///                 Content-Length: 0\r\n\r\n";
    /// assert_eq!(out, expected.as_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn respond(&mut self, reply: &Reply<'_>) -> Result<&mut Self, EditError> {
        self.require_request()?;
        if !(100..700).contains(&reply.code) {
            return Err(EditError::Status(reply.code));
        }
        if self.scan.method(self.message) == Some(b"ACK") {
            return Err(EditError::Ack);
        }
        if self.scan.via.is_none() {
            return Err(EditError::NoVia);
        }
        if let Some(source) = reply.source {
            self.stamp_via(source)?;
        }
        let (code, reason) = (reply.code.to_string(), one_line(reply.reason)?);
        let start = self.scan.fields as usize;
        self.splice(
            0..start,
            &[b"SIP/2.0 ", code.as_bytes(), b" ", reason, b"\r\n"],
        );
        let mut tag = (reply.code > 100).then_some(reply.tag);
        for (line, field) in field::lines(self.message, start) {
            if field.is("To", Some(b't')) {
                if let Some(tag) = tag.take().filter(|_| !has_tag(field.value)) {
                    let end = line.start + text::trim(&self.message[line]).len();
                    self.splice(end..end, &[b";tag=", one_line(tag)?]);
                }
            } else if !stays(&field) {
                self.splice(line, &[]);
            }
        }
        for (name, value) in reply.fields.iter().rev() {
            self.push_field(name, value)?;
        }
        let end = (self.scan.head as usize).saturating_sub(2);
        self.splice(end..self.message.len(), &[b"Content-Length: 0\r\n\r\n"]);
        Ok(self)
    }
}

/// Whether a response has the field of its request (RFC 3261 §8.2.6.2).
fn stays(field: &Field<'_>) -> bool {
    field.is("Via", Some(b'v'))
        || field.is("From", Some(b'f'))
        || field.is("Call-ID", Some(b'i'))
        || field.is("CSeq", None)
}

/// Whether a To has a tag: behind its URI, or behind the angle brackets around it.
fn has_tag(to: &[u8]) -> bool {
    let semicolon = text::find_outside(to, b';', true).unwrap_or(to.len());
    Parameters::new(&to[semicolon..]).get("tag").is_some()
}
