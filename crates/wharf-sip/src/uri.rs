//! SIP and SIPS URIs, as far as a transport follows them (RFC 3261 §19.1).

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::host::{Host, HostError};
use crate::parameters::{Parameter, Parameters};
use crate::text;
use crate::transport::Transport;

/// A SIP or SIPS URI, read where it stands.
///
/// ```
/// use wharf_sip::{Host, Transport, Uri};
///
/// let uri = Uri::parse(b"sip:alice@example.com:5070;transport=tcp;lr")?;
/// assert_eq!((uri.host, uri.port), (Host::Name("example.com"), Some(5070)));
/// assert_eq!(uri.transport()?, Some(Transport::Tcp));
/// assert!(uri.is_loose_route());
/// # Ok::<(), wharf_sip::UriError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// `sip` or `sips`.
    pub scheme: Scheme,
    /// User and password in front of the `@`, with their escapes.
    pub user: Option<&'a [u8]>,
    /// Where it points.
    pub host: Host<'a>,
    /// The port, when one is written.
    pub port: Option<u16>,
    /// The parameters, with their escapes.
    pub parameters: Parameters<'a>,
    /// What follows the `?`.
    pub headers: Option<&'a [u8]>,
}

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Any transport.
    Sip,
    /// TLS on each hop (RFC 3261 §26.2.2, RFC 5630).
    Sips,
}

/// Why some bytes are no URI that a transport can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// Neither `sip:` nor `sips:`: another kind of URI, or none.
    #[error("the URI is neither sip: nor sips:")]
    Scheme,
    /// White space, a control character, `<`, `>`, a quotation mark, or an `@` too many.
    #[error("the URI has a character that does not belong there")]
    Character,
    /// The host or the port.
    #[error("in the URI: {0}")]
    Host(#[from] HostError),
    /// The parameter `transport` names none that this crate knows.
    #[error("the URI asks for an unknown transport")]
    Transport,
    /// The parameter `maddr` is no host.
    #[error("the URI has a maddr that is no host")]
    Maddr,
    /// No `<` with its `>` where a Route needs them (RFC 3261 §25.1 `name-addr`).
    #[error("no URI in angle brackets")]
    Brackets,
}

impl<'a> Uri<'a> {
    /// Reads a URI without angle brackets, such as a request target.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UriError> {
        let (scheme, rest) = scheme(bytes).ok_or(UriError::Scheme)?;
        if bytes
            .iter()
            .any(|&byte| byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"'))
        {
            return Err(UriError::Character);
        }
        // An `@` anywhere else is escaped: a user part may hold `;` and `?` (RFC 4475 §3.1.1.9).
        let mut parts = rest.splitn(3, |&byte| byte == b'@');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() || (second.is_some() && first.is_empty()) {
            return Err(UriError::Character);
        }
        let (user, rest) = second.map_or((None, first), |rest| (Some(first), rest));
        let question = rest
            .iter()
            .position(|&byte| byte == b'?')
            .unwrap_or(rest.len());
        let (rest, headers) = rest.split_at(question);
        let semicolon = rest
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(rest.len());
        let (host, parameters) = rest.split_at(semicolon);
        let (host, port) = Host::parse_with_port(host)?;
        let (parameters, headers) = (Parameters::new(parameters), headers.get(1..));
        Ok(Self {
            scheme,
            user,
            host,
            port,
            parameters,
            headers,
        })
    }

    /// Reads the URI between the angle brackets of one value of Route, Record-Route or Contact,
    /// behind a display name or not (RFC 3261 §25.1 `name-addr`).
    pub fn parse_name_addr(value: &'a [u8]) -> Result<Self, UriError> {
        let open = text::find_outside(value, b'<', false).ok_or(UriError::Brackets)?;
        let inside = &value[open + 1..];
        let close = inside
            .iter()
            .position(|&byte| byte == b'>')
            .ok_or(UriError::Brackets)?;
        Self::parse(&inside[..close])
    }

    /// The first parameter of this name, in any case and with any of its characters escaped
    /// (RFC 3261 §19.1.4, RFC 4475 §3.1.1.3). The value is as it is written.
    pub fn parameter(&self, name: &str) -> Option<Parameter<'a>> {
        self.parameters
            .iter()
            .find(|parameter| unescaped_is(parameter.name, name))
    }

    /// The parameter `transport`; `None` when there is none.
    pub fn transport(&self) -> Result<Option<Transport>, UriError> {
        let Some(parameter) = self.parameter("transport") else {
            return Ok(None);
        };
        let value = parameter.value.unwrap_or_default();
        let known = Transport::ALL
            .into_iter()
            .find(|one| unescaped_is(value, one.name()));
        known.map(Some).ok_or(UriError::Transport)
    }

    /// The parameter `maddr`: where to send instead of to the host (RFC 3261 §19.1.1).
    pub fn maddr(&self) -> Result<Option<Host<'a>>, UriError> {
        let Some(parameter) = self.parameter("maddr") else {
            return Ok(None);
        };
        let host = Host::parse(parameter.value.unwrap_or_default());
        host.map(Some).map_err(|_| UriError::Maddr)
    }

    /// The parameter `ttl`, for a multicast `maddr` (RFC 3261 §19.1.1); `None` also when it is
    /// not a number from 0 to 255.
    pub fn ttl(&self) -> Option<u8> {
        text::number(self.parameter("ttl")?.value?)?.try_into().ok()
    }

    /// Whether the parameter `lr` is there, with a value or not: the element routes loosely
    /// (RFC 3261 §19.1.1).
    pub fn is_loose_route(&self) -> bool {
        self.parameter("lr").is_some()
    }

    /// Whether the parameter `ob` is there: the flow it came on is to be used (RFC 5626 §5.3).
    pub fn is_outbound(&self) -> bool {
        self.parameter("ob").is_some()
    }
}

fn scheme(bytes: &[u8]) -> Option<(Scheme, &[u8])> {
    let colon = bytes.iter().take(5).position(|&byte| byte == b':')?;
    let scheme = match &bytes[..colon] {
        name if name.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
        name if name.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
        _ => return None,
    };
    Some((scheme, &bytes[colon + 1..]))
}

/// Whether `text`, with its `%` escapes taken away, is `plain` in any case.
fn unescaped_is(mut text: &[u8], plain: &str) -> bool {
    plain.bytes().all(|expected| {
        let (byte, rest) = match *text {
            [b'%', high, low, ref rest @ ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high * 16 + low, rest),
                _ => return false,
            },
            [byte, ref rest @ ..] => (byte, rest),
            [] => return false,
        };
        text = rest;
        byte.eq_ignore_ascii_case(&expected)
    }) && text.is_empty()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}
