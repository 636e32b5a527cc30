//! One datagram, for handlers without flows.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::intake::Side;
use super::socket::Source;
use crate::admission::Proxied;
use crate::path::Endpoint;
use crate::sockets::PeerCredentials;

/// A datagram with what the kernel has told of it.
#[derive(Clone)]
pub struct Datagram {
    pub(super) payload: Bytes,
    pub(super) side: Side,
    pub(super) local: Endpoint,
}

impl Datagram {
    /// The payload, which may be empty; without a PROXY header.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload alone.
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// Who sent it; with a PROXY header, the client behind the proxy.
    pub fn peer(&self) -> Endpoint {
        match self.side.proxied.as_ref().and_then(Proxied::endpoints) {
            Some((_, peer)) => peer,
            None => self.socket_peer(),
        }
    }

    /// Where it came from, and where the answer goes: with a PROXY header, the proxy.
    pub fn socket_peer(&self) -> Endpoint {
        self.side.source.endpoint()
    }

    /// The address of ours that it was sent to, from which the answer leaves.
    pub fn local(&self) -> &Endpoint {
        &self.local
    }

    /// Whether its sender can be answered: all can but Unix senders without a name.
    pub fn has_return_address(&self) -> bool {
        !matches!(self.side.source, Source::Unix(None))
    }

    /// What its PROXY header said, if it had one.
    pub fn proxied(&self) -> Option<&Proxied> {
        self.side.proxied.as_ref()
    }

    /// The process that sent it, on a Unix socket.
    pub fn credentials(&self) -> Option<PeerCredentials> {
        self.side.credentials
    }

    /// The differentiated services code point that it came with, 0 to 63 (RFC 2474); 0 on a Unix
    /// socket.
    pub fn dscp(&self) -> u8 {
        self.side.tos >> 2
    }

    /// Its explicit congestion notification, 0 to 3: 3 is "congestion experienced" (RFC 3168 §5).
    pub fn ecn(&self) -> u8 {
        self.side.tos & 3
    }

    /// The time to live or hop limit that was left. `None` on a Unix socket.
    pub fn ttl(&self) -> Option<u8> {
        self.side.ttl
    }

    /// When the kernel took it from the device, with `datagrams.timestamps`.
    pub fn timestamp(&self) -> Option<SystemTime> {
        let since: Duration = self.side.timestamp?;
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("length", &self.payload.len())
            .field("peer", &self.peer())
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
