//! Addresses by role: the client's side of the server and the relay's.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The transport between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Transport {
    /// Plain UDP.
    Udp,
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP (RFC 7350).
    Dtls,
}

impl Transport {
    /// A byte stream: ChannelData is padded (RFC 8656 §12.5), and a client does not send a request
    /// again.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// A connection, with a beginning and an end: a source address is not forged.
    pub const fn is_connection(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// The five-tuple of a client (RFC 8656 §2): the same client address on two listeners is two paths.
///
/// Over anything but plain UDP a path is one connection: the driver sees to it that no two connections that are open
/// at the same time have the same path, and reports the end of each with
/// [`Server::handle_client_closed`](crate::Server::handle_client_closed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPath {
    /// The transport between client and server.
    pub transport: Transport,
    /// The client's address as the server sees it (its server-reflexive address).
    pub client: SocketAddr,
    /// The server's address that the client sent to.
    pub server: SocketAddr,
    /// The driver's own number for the socket, or for the connection; not part of the identity.
    pub listener: u32,
}

impl fmt::Display for ClientPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {} ({:?})",
            self.client, self.server, self.transport
        )
    }
}

/// A relay socket, named by the core and bound by the driver. The generation tells a reused index from
/// the socket that had it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId {
    /// Index, dense from 0: a driver may keep its sockets in a vector.
    pub index: u32,
    /// How many relays had this index before, modulo 65,536.
    pub generation: u16,
}

/// A five-tuple as five words that hash and compare fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathKey([u64; 5]);

impl PartialEq for PathKey {
    /// Without a branch for each word, nor a call for so few bytes.
    fn eq(&self, other: &Self) -> bool {
        let words = self.0.iter().zip(&other.0);
        words.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for PathKey {}

impl PathKey {
    pub(crate) fn new(path: &ClientPath) -> Self {
        let [c0, c1] = words(path.client.ip());
        let [s0, s1] = words(path.server.ip());
        let ports = u64::from(path.client.port()) << 32
            | u64::from(path.server.port()) << 16
            | path.transport as u64;
        Self([c0, c1, s0, s1, ports])
    }
}

impl Hash for PathKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u64(word);
        }
    }
}

/// A peer of a relay: its index and the peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey([u64; 3]);

impl PeerKey {
    pub(crate) fn new(index: u32, peer: SocketAddr) -> Self {
        let [a, b] = words(peer.ip());
        Self([a, b, u64::from(index) << 16 | u64::from(peer.port())])
    }

    /// The key of a permission: any port (RFC 8656 §9).
    pub(crate) fn any_port(index: u32, peer: IpAddr) -> Self {
        Self::new(index, SocketAddr::new(peer, 0))
    }
}

impl Hash for PeerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u64(word);
        }
    }
}

/// An address as two words; IPv4 as it is mapped into IPv6.
pub(crate) fn words(ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(ip) => [0, 0xFFFF_0000_0000 | u64::from(ip.to_bits())],
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}
