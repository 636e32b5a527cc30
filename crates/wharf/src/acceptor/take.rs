//! One connection from the kernel.

use std::io;
use std::net;
use std::os::unix::net as unix;

use rustix::net::{SocketAddrUnix, SocketFlags, acceptfrom_with};
use tokio::net::{TcpStream, UnixStream};

use super::Arrival;
use crate::path::Endpoint;
use crate::sctp::SctpSocket;
use crate::sockets;
use crate::wire::Socket;

/// How a connection is accepted: it neither blocks nor outlives an `exec`.
const ACCEPT: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

pub(super) fn take_tcp(listener: &net::TcpListener) -> io::Result<Arrival> {
    let (accepted, peer) = acceptfrom_with(listener, ACCEPT)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok(Arrival {
        peer: Endpoint::from_socket(net::SocketAddr::try_from(peer)?),
        socket: Socket::Tcp(TcpStream::from_std(accepted.into())?),
        credentials: None,
    })
}

pub(super) fn take_unix(listener: &unix::UnixListener) -> io::Result<Arrival> {
    let (accepted, peer) = acceptfrom_with(listener, ACCEPT)?;
    let stream = UnixStream::from_std(accepted.into())?;
    // Most clients have no name.
    let peer = peer.and_then(|peer| SocketAddrUnix::try_from(peer).ok());
    let peer = peer.as_ref();
    Ok(Arrival {
        peer: Endpoint::of_unix(
            peer.and_then(SocketAddrUnix::path_bytes),
            peer.and_then(SocketAddrUnix::abstract_name)
                .filter(|name| !name.is_empty()),
        ),
        credentials: sockets::peer_credentials(&stream).ok(),
        socket: Socket::Unix(stream),
    })
}

/// One-to-one SCTP is accepted by the calls for TCP.
pub(super) fn take_sctp(listener: &net::TcpListener) -> io::Result<Arrival> {
    let (accepted, peer) = acceptfrom_with(listener, ACCEPT)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    let stream = TcpStream::from_std(accepted.into())?;
    let socket = SctpSocket::new(stream).map_err(|_| io::ErrorKind::ConnectionAborted)?;
    Ok(Arrival {
        peer: Endpoint::from_socket(net::SocketAddr::try_from(peer)?),
        socket: Socket::Sctp(socket),
        credentials: None,
    })
}
