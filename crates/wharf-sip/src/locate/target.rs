//! What is to be located: the few words of a URI or of a Via that decide it.

use super::LocateError;
use crate::{Host, OwnedHost, Scheme, Transport, Uri};

/// Where a request or a response is to go, before DNS is asked (RFC 3263 §4, §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or the address. Of a URI the `maddr` where there is one, otherwise the host
    /// (RFC 3263 §4, "TARGET").
    pub host: OwnedHost,
    /// The port that is written, if one is.
    pub port: Option<u16>,
    /// The transport that is written, if one is: the `transport` parameter of a URI, the sent
    /// protocol of a Via.
    pub transport: Option<Transport>,
    /// Whether the URI is a `sips` one: only transports over TLS will do (RFC 3261 §26.2.2).
    pub secure: bool,
}

impl Target {
    /// Where a request with this URI in front goes: its target, or its first Route
    /// (RFC 3261 §8.1.2). Fails where the URI asks for a transport, or a host, that is none.
    pub fn of(uri: &Uri<'_>) -> Result<Self, LocateError> {
        let host = uri.maddr()?.unwrap_or(uri.host);
        Ok(Self {
            host: OwnedHost::new(host)?,
            port: uri.port,
            transport: uri.transport()?,
            secure: uri.scheme == Scheme::Sips,
        })
    }

    /// Where a response goes that can be sent neither over the connection of its request nor to the
    /// source of it: to the sent-by of the topmost Via (RFC 3263 §5).
    pub fn sent_by(
        transport: Transport,
        host: Host<'_>,
        port: Option<u16>,
    ) -> Result<Self, LocateError> {
        let host = OwnedHost::new(host)?;
        Ok(Self {
            host,
            port,
            transport: Some(transport),
            secure: false,
        })
    }

    /// The transport that is written, over TLS when the URI is a `sips` one.
    /// `sips` over UDP does not exist (RFC 3261 §26.2.2).
    pub(super) fn written_transport(&self) -> Result<Option<Transport>, LocateError> {
        match self.transport {
            Some(transport) if self.secure => transport
                .secured()
                .map(Some)
                .ok_or(LocateError::NotSecurable),
            written => Ok(written),
        }
    }
}
