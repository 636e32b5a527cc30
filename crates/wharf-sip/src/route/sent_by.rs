//! The sent-by of a Via: written by this element, and recognized when it comes back.

use std::fmt;

use crate::{Host, OwnedHost, Scheme, Transport, Uri, Via};

/// What this element writes into the topmost Via of its requests (RFC 3261 §18.1.1).
///
/// Shown as it is written: `host`, or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBy {
    host: OwnedHost,
    port: Option<u16>,
}

/// Why a host is no sent-by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SentByError {
    /// `0.0.0.0` or `::`: nobody could answer to it.
    #[error("an unspecified address is no sent-by: nobody can answer to it")]
    Unspecified,
}

impl SentBy {
    /// A sent-by. Without a port it means the default of the transport: 5060, 5061 with TLS, 80 and
    /// 443 with WebSockets.
    pub fn new(host: OwnedHost, port: Option<u16>) -> Result<Self, SentByError> {
        match host {
            OwnedHost::Ip(ip) if ip.is_unspecified() => Err(SentByError::Unspecified),
            host => Ok(Self { host, port }),
        }
    }

    /// Whether the topmost Via of a response is one that was written with this sent-by. A response
    /// that fits none of an element's own is not for it: §18.1.2 has it discarded silently.
    pub fn wrote(&self, via: &Via<'_>) -> bool {
        let default = via.transport().map_or(5060, Transport::default_port);
        self.is(via.host, via.port, default)
    }

    /// Whether a URI points here: one that this element has written into Record-Route or Path.
    pub fn is_in(&self, uri: &Uri<'_>) -> bool {
        let usual = if uri.scheme == Scheme::Sips {
            Transport::Tls
        } else {
            Transport::Udp
        };
        let transport = uri.transport().ok().flatten().unwrap_or(usual);
        self.is(uri.host, uri.port, transport.default_port())
    }

    fn is(&self, host: Host<'_>, port: Option<u16>, default: u16) -> bool {
        self.host.as_host() == host && self.port.unwrap_or(default) == port.unwrap_or(default)
    }
}

impl fmt::Display for SentBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.as_host().fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_by(host: &str, port: Option<u16>) -> SentBy {
        let host = OwnedHost::new(Host::parse(host.as_bytes()).unwrap()).unwrap();
        SentBy::new(host, port).unwrap()
    }

    #[test]
    fn c3_a_sent_by_is_written_with_its_port_or_without() {
        assert_eq!(sent_by("Edge.Example", None).to_string(), "edge.example");
        assert_eq!(
            sent_by("192.0.2.1", Some(5080)).to_string(),
            "192.0.2.1:5080"
        );
        assert_eq!(
            sent_by("[2001:db8::1]", Some(5061)).to_string(),
            "[2001:db8::1]:5061"
        );
    }

    #[test]
    fn c3_a_sent_by_is_never_the_unspecified_address() {
        for ip in ["0.0.0.0", "::"] {
            let host = OwnedHost::Ip(ip.parse().unwrap());
            assert_eq!(SentBy::new(host, Some(5060)), Err(SentByError::Unspecified));
        }
    }

    #[test]
    fn c8_a_response_is_for_the_element_that_wrote_its_via() {
        let cases = [
            ("edge.example", None, "UDP edge.example", true),
            ("edge.example", None, "UDP EDGE.example.:5060", true),
            ("edge.example", None, "TLS edge.example:5061", true),
            ("edge.example", Some(5060), "UDP edge.example", true),
            ("edge.example", Some(5060), "TLS edge.example", false),
            ("edge.example", Some(5080), "UDP edge.example", false),
            ("edge.example", None, "UDP edge.example:5080", false),
            ("edge.example", None, "UDP other.example", false),
            ("192.0.2.1", Some(5070), "UDP 192.0.2.1:5070", true),
            ("[2001:db8::1]", None, "TCP [2001:0db8::1]", true),
            // RFC 4475 §3.3.10 (bcast).
            ("192.0.2.1", None, "UDP 255.255.255.255", false),
        ];
        for (host, port, via, expected) in cases {
            let value = format!("SIP/2.0/{via};branch=z9hG4bK1");
            let wrote = sent_by(host, port).wrote(&Via::parse(value.as_bytes()).unwrap());
            assert_eq!(wrote, expected, "{host} {port:?} {via}");
        }
    }

    #[test]
    fn a_uri_points_to_the_element_that_wrote_it() {
        let cases = [
            ("edge.example", None, "sip:token@EDGE.example;lr", true),
            ("edge.example", None, "sips:edge.example:5061;lr", true),
            (
                "edge.example",
                None,
                "sip:edge.example;transport=tls;lr",
                true,
            ),
            (
                "edge.example",
                Some(5061),
                "sip:edge.example;transport=tls;lr",
                true,
            ),
            ("edge.example", Some(5061), "sip:edge.example;lr", false),
            (
                "edge.example",
                Some(8080),
                "sip:edge.example:8080;transport=ws;lr",
                true,
            ),
            (
                "edge.example",
                Some(8080),
                "sip:edge.example;transport=ws;lr",
                false,
            ),
            ("192.0.2.1", None, "sip:192.0.2.1:5060", true),
            ("192.0.2.1", None, "sip:edge.example", false),
        ];
        for (host, port, uri, expected) in cases {
            let is_in = sent_by(host, port).is_in(&Uri::parse(uri.as_bytes()).unwrap());
            assert_eq!(is_in, expected, "{host} {port:?} {uri}");
        }
    }
}
