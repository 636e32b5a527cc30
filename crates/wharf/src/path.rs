//! Between whom, and over what.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::Transport;

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// An IP address and port. An IPv4 address is never written as an IPv6 one.
    Ip(SocketAddr),
    /// A Unix socket: its path, `@` and its abstract name, or nothing when it has no name, as most
    /// clients have.
    Unix(Option<Box<str>>),
}

impl Endpoint {
    /// The address and port, if there is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// From an address of the kernel, IPv4-mapped ones as IPv4.
    pub(crate) fn from_socket(address: SocketAddr) -> Self {
        Self::Ip(match address.ip() {
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => (ip, address.port()).into(),
                None => address,
            },
            IpAddr::V4(_) => address,
        })
    }

    pub(crate) fn from_unix(address: &std::os::unix::net::SocketAddr) -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        let path = address
            .as_pathname()
            .map(|path| path.as_os_str().as_bytes());
        Self::of_unix(path, address.as_abstract_name())
    }

    /// From the path or the abstract name of a Unix socket, if it has one.
    pub(crate) fn of_unix(path: Option<&[u8]>, name: Option<&[u8]>) -> Self {
        let path = path.map(|path| String::from_utf8_lossy(path).into());
        let name = || Some(format!("@{}", String::from_utf8_lossy(name?)).into());
        Self::Unix(path.or_else(name))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(Some(name)) => f.write_str(name),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

/// Between whom a connection is, and over what. A handler that asks only this runs on every
/// transport.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Path {
    /// The transport.
    pub transport: Transport,
    /// Our end; with a PROXY header, the end that the client connected to.
    pub local: Endpoint,
    /// The peer; with a PROXY header, the client behind the proxy.
    pub peer: Endpoint,
    /// Whether what is sent arrives, in order: true for every stream and WebSocket.
    pub reliable: bool,
    /// Whether it is encrypted.
    pub secure: bool,
}

impl Path {
    pub(crate) fn new(transport: Transport, local: Endpoint, peer: Endpoint) -> Self {
        Self {
            transport,
            local,
            peer,
            reliable: transport.is_reliable(),
            secure: transport.is_secure(),
        }
    }
}
