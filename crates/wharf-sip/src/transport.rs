//! The transports that carry SIP, and what they are called in a Via and in a URI.

use std::fmt;

/// A transport protocol under SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams (RFC 3261 §18).
    Udp,
    /// A TCP connection (RFC 3261 §18).
    Tcp,
    /// TLS over TCP (RFC 3261 §26.2).
    Tls,
    /// An SCTP association (RFC 4168).
    Sctp,
    /// TLS over SCTP (RFC 4168).
    TlsSctp,
    /// A WebSocket over TCP (RFC 7118).
    Ws,
    /// A WebSocket over TLS (RFC 7118).
    Wss,
}

impl Transport {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Udp,
        Self::Tcp,
        Self::Tls,
        Self::Sctp,
        Self::TlsSctp,
        Self::Ws,
        Self::Wss,
    ];

    /// Reads the name of a Via or of the `transport` parameter of a URI, in any case
    /// (RFC 3261 §7.3.1); `None` for a transport that this crate does not know.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// The name in a Via (RFC 3261 §20.42, RFC 4168 §5, RFC 7118 §5.2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Sctp => "SCTP",
            Self::TlsSctp => "TLS-SCTP",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Whether it delivers or reports a failure (RFC 3261 §17): all but UDP.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether TLS protects it.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::TlsSctp | Self::Wss)
    }

    /// Whether it is a WebSocket, on which no connection can be opened towards a Via
    /// (RFC 7118 §5.2).
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// This transport over TLS, which a `sips` URI asks for (RFC 3261 §26.2.2); `None` for UDP,
    /// which has no such form.
    pub const fn secured(self) -> Option<Self> {
        match self {
            Self::Udp => None,
            Self::Tcp | Self::Tls => Some(Self::Tls),
            Self::Sctp | Self::TlsSctp => Some(Self::TlsSctp),
            Self::Ws | Self::Wss => Some(Self::Wss),
        }
    }

    /// The port when none is written: 5060, 5061 under TLS (RFC 3261 §18.2.2, RFC 3263 §4.2),
    /// 80 and 443 for a WebSocket (RFC 7118 §5.2, RFC 6455 §3).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp | Self::Sctp => 5060,
            Self::Tls | Self::TlsSctp => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_read_by_its_name_in_any_case() {
        for transport in Transport::ALL {
            assert_eq!(
                Transport::parse(transport.name().as_bytes()),
                Some(transport)
            );
            let lower = transport.name().to_lowercase();
            assert_eq!(Transport::parse(lower.as_bytes()), Some(transport));
        }
        assert_eq!(Transport::parse(b"UNKNOWN"), None);
        assert_eq!(Transport::parse(b""), None);
    }

    #[test]
    fn c3_default_ports() {
        let ports = Transport::ALL.map(Transport::default_port);
        assert_eq!(ports, [5060, 5060, 5061, 5060, 5061, 80, 443]);
    }

    #[test]
    fn what_is_secured_is_secure_and_stays_so() {
        for transport in Transport::ALL {
            let secured = transport.secured();
            assert_eq!(secured.is_some(), transport.is_reliable());
            if let Some(secure) = secured {
                assert!(secure.is_secure() && secure.is_websocket() == transport.is_websocket());
                assert_eq!(secure.secured(), Some(secure));
            }
        }
    }
}
