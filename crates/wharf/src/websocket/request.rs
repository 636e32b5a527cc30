//! What a client asks for, kept from the head of its upgrade request.

use std::ops::Range;
use std::str;

use bytes::Bytes;

use super::head::{MAX_FIELDS, tokens};
use super::refusal::Refusal;

/// An upgrade request (RFC 6455 §4.1). It holds the head as it came, at most
/// [`max_head`](crate::config::WebSocketOptions::max_head) bytes, and where its parts stand.
#[derive(Debug, Clone)]
pub struct UpgradeRequest {
    head: Bytes,
    method: Part,
    target: Part,
    fields: Box<[(Part, Part)]>,
}

/// A part of the head.
type Part = Range<u32>;

impl UpgradeRequest {
    /// Reads a head that ends with its empty line: HTTP/1.1 in general, nothing of WebSocket.
    pub(super) fn parse(head: Bytes) -> Result<UpgradeRequest, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(size)) if size == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLong),
            Err(httparse::Error::Version) => return Err(Refusal::HttpVersion),
            _ => return Err(Refusal::Malformed),
        }
        if request.version != Some(1) {
            return Err(Refusal::HttpVersion);
        }
        let part = |bytes: &[u8]| part(&head, bytes);
        let method = part(request.method.unwrap_or_default().as_bytes());
        let target = part(request.path.unwrap_or_default().as_bytes());
        let fields = request.headers.iter();
        let fields = fields.map(|field| (part(field.name.as_bytes()), part(field.value)));
        let fields = fields.collect();
        Ok(UpgradeRequest {
            head,
            method,
            target,
            fields,
        })
    }

    fn bytes(&self, part: &Part) -> &[u8] {
        &self.head[part.start as usize..part.end as usize]
    }

    fn text(&self, part: &Part) -> &str {
        str::from_utf8(self.bytes(part)).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// The authority of a target in absolute form, and the rest (RFC 9112 §3.2.2).
    fn split_target(&self) -> (Option<&str>, &str) {
        let target = self.text(&self.target);
        let Some((scheme, rest)) = target.split_once("://") else {
            return (None, target);
        };
        if !["http", "https", "ws", "wss"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
        {
            return (None, target);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        (Some(authority), if rest.is_empty() { "/" } else { rest })
    }

    /// The path of the target, such as `/chat`, as it came: percent-encoding is not undone.
    pub fn path(&self) -> &str {
        let (_, target) = self.split_target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query of the target, without its `?`.
    pub fn query(&self) -> Option<&str> {
        let (_, target) = self.split_target();
        target.split_once('?').map(|(_, query)| query)
    }

    /// The host that is meant: the `Host` field, or the authority of a target in absolute form,
    /// which goes before it (RFC 9112 §3.2.2).
    pub fn host(&self) -> &str {
        let (authority, _) = self.split_target();
        authority
            .or_else(|| self.header("host"))
            .unwrap_or_default()
    }

    /// The `Origin` field: the page of a browser that asks (RFC 6455 §10.2).
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.values("sec-websocket-protocol").flat_map(tokens)
    }

    /// The first field of a name, without regard to case; `None` also when its value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All fields, in order, at most 100: name and value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (self.text(name), self.bytes(value)))
    }

    /// The text values of a name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self
            .headers()
            .filter(move |(each, _)| each.eq_ignore_ascii_case(name));
        named.filter_map(|(_, value)| str::from_utf8(value).ok())
    }

    /// How many fields have a name, whatever their values.
    pub(super) fn count(&self, name: &str) -> usize {
        self.headers()
            .filter(|(each, _)| each.eq_ignore_ascii_case(name))
            .count()
    }
}

/// Where `part`, a slice of `head`, stands in it; an empty slice may stand anywhere.
fn part(head: &[u8], part: &[u8]) -> Part {
    let start = match part {
        [] => 0,
        _ => part.as_ptr().addr() - head.as_ptr().addr(),
    };
    start as u32..(start + part.len()) as u32
}
