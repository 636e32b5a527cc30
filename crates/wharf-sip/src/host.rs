//! The host of a URI and of a Via: a name or an address (RFC 3261 §25.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::text;

/// Where a URI or a Via points.
///
/// Two names are equal without regard to case and to a final dot (RFC 3261 §19.1.4, RFC 4343).
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A domain name, as it is written.
    Name(&'a str),
    /// An address.
    Ip(IpAddr),
}

/// Why some bytes are no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// There is nothing.
    #[error("no host")]
    Empty,
    /// Neither a name, nor an IPv4 address, nor an IPv6 address in brackets.
    #[error("the host is neither a name nor an address")]
    Malformed,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl<'a> Host<'a> {
    /// Reads a host. A name is made of letters, digits, hyphens, dots and underscores (not in RFC
    /// 3261, but in use); the last label begins with a letter, which tells it from an address.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HostError> {
        match bytes {
            [] => Err(HostError::Empty),
            [b'[', inside @ .., b']'] => v6(inside).ok_or(HostError::Malformed),
            _ => v4(bytes)
                .or_else(|| name(bytes))
                .ok_or(HostError::Malformed),
        }
    }

    /// Reads an address that may lack the brackets of IPv6, as `received` is written
    /// (RFC 5118 §4.5).
    pub fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
        let host = v6(bytes).map_or_else(|| Host::parse(bytes), Ok);
        host.ok()?.ip()
    }

    /// Reads `host [":" port]` with spaces allowed around the colon (RFC 3261 §25.1 `COLON`).
    pub(crate) fn parse_with_port(bytes: &'a [u8]) -> Result<(Self, Option<u16>), HostError> {
        let bracket = bytes.iter().position(|&byte| byte == b']').unwrap_or(0);
        let colon = bytes[bracket..].iter().position(|&byte| byte == b':');
        let Some(colon) = colon.map(|at| at + bracket) else {
            return Ok((Self::parse(text::trim(bytes))?, None));
        };
        let port = text::number(text::trim(&bytes[colon + 1..]));
        let port = port
            .and_then(|port| u16::try_from(port).ok())
            .filter(|&port| port > 0);
        Ok((
            Self::parse(text::trim(&bytes[..colon]))?,
            Some(port.ok_or(HostError::Port)?),
        ))
    }

    /// The address, when it is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Ip(ip) => Some(ip),
            Self::Name(_) => None,
        }
    }

    /// The name, when it is one.
    pub const fn name(&self) -> Option<&'a str> {
        match *self {
            Self::Name(name) => Some(name),
            Self::Ip(_) => None,
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).len();
        match (self, other) {
            (Self::Ip(one), Self::Ip(two)) => one == two,
            (Self::Name(one), Self::Name(two)) => {
                one[..bare(one)].eq_ignore_ascii_case(&two[..bare(two)])
            }
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

fn v4<'a>(bytes: &[u8]) -> Option<Host<'a>> {
    let ip: Ipv4Addr = str::from_utf8(bytes).ok()?.parse().ok()?;
    Some(Host::Ip(ip.into()))
}

fn v6<'a>(bytes: &[u8]) -> Option<Host<'a>> {
    let ip: Ipv6Addr = str::from_utf8(bytes).ok()?.parse().ok()?;
    Some(Host::Ip(ip.into()))
}

fn name(bytes: &[u8]) -> Option<Host<'_>> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let bare = bytes.strip_suffix(b".").unwrap_or(bytes);
    let mut labels = bare.rsplit(|&byte| byte == b'.');
    let last = labels.next()?;
    let top = last.first()?.is_ascii_alphabetic() || last[0] == b'_';
    let legal = top && labels.all(|label| !label.is_empty()) && bytes.iter().all(allowed);
    // RFC 1035 §2.3.4: 255 octets on the wire are 253 characters.
    let host = str::from_utf8(bytes)
        .ok()
        .filter(|_| legal && bare.len() <= 253)?;
    Some(Host::Name(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Host<'_>, HostError> {
        Host::parse(text.as_bytes())
    }

    #[test]
    fn names_and_addresses() {
        assert_eq!(parse("example.com"), Ok(Host::Name("example.com")));
        assert_eq!(parse("EXAMPLE.com."), Ok(Host::Name("example.COM")));
        assert_eq!(
            parse("df7jal23ls0d.invalid"),
            Ok(Host::Name("df7jal23ls0d.invalid"))
        );
        assert_eq!(parse("my_host"), Ok(Host::Name("my_host")));
        assert_eq!(parse("192.0.2.1"), Ok(Host::Ip([192, 0, 2, 1].into())));
        assert_eq!(
            parse("[2001:db8::10]").unwrap().to_string(),
            "[2001:db8::10]"
        );
        // RFC 5118 §4.9: the address of IPv4 inside may be written either way.
        assert_eq!(parse("[::ffff:192.0.2.10]"), parse("[::ffff:c000:20a]"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}com", "a.".repeat(126));
        let malformed = [
            "2001:db8::10",
            "[2001:db8::10",
            "[192.0.2.1]",
            "[fe80::1%eth0]",
            "256.0.0.1",
            "1.2.3",
            "a..b",
            ".",
            ".a",
            "a b",
            "a,b",
            "häuser.de",
            "5",
            long.as_str(),
        ];
        for text in malformed {
            assert_eq!(parse(text), Err(HostError::Malformed), "{text}");
        }
        assert_eq!(parse(""), Err(HostError::Empty));
    }

    #[test]
    fn a_port_follows_a_colon() {
        let parse = |text: &'static str| Host::parse_with_port(text.as_bytes());
        assert_eq!(parse("a.b:5062"), Ok((Host::Name("a.b"), Some(5062))));
        assert_eq!(parse("a.b : 5062"), Ok((Host::Name("a.b"), Some(5062))));
        assert_eq!(
            parse("[::1]:5062"),
            Ok((Host::Ip(Ipv6Addr::LOCALHOST.into()), Some(5062)))
        );
        assert_eq!(
            parse("[::1]"),
            Ok((Host::Ip(Ipv6Addr::LOCALHOST.into()), None))
        );
        for text in ["a.b:", "a.b:0", "a.b:65536", "a.b:+1", "a.b:1x", "a.b:1:2"] {
            assert_eq!(parse(text), Err(HostError::Port), "{text}");
        }
        // RFC 5118 §4.2: without brackets the address ends at its first colon.
        assert_eq!(parse("2001:db8::10"), Err(HostError::Malformed));
    }

    #[test]
    fn rfc5118_4_5_received_is_read_with_and_without_brackets() {
        let ip = Some("2001:db8::9:255".parse().unwrap());
        assert_eq!(Host::parse_address(b"2001:db8::9:255"), ip);
        assert_eq!(Host::parse_address(b"[2001:db8::9:255]"), ip);
        assert_eq!(
            Host::parse_address(b"192.0.2.1"),
            Some([192, 0, 2, 1].into())
        );
        assert_eq!(Host::parse_address(b"example.com"), None);
    }
}
