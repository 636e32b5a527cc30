//! Sockets of connections that we make.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::{self as unix, UnixDatagram};

use socket2::{Domain, Socket, Type};

use super::BindError;
use super::bind::refused;
use super::options;
use super::sctp;
use crate::config::{Address, SctpOptions, SocketOptions};

/// A non-blocking TCP socket that is ready to connect to `target`, bound to `local` if one is given.
/// The options that are for listeners (`fast-open`, `defer-accept`, `dual-stack`) have no effect.
pub fn connect_socket(
    target: SocketAddr,
    local: Option<SocketAddr>,
    options: &SocketOptions,
) -> Result<Socket, BindError> {
    let socket = options::tcp_socket(target, options)?;
    options::apply_to_client(&socket, options)?;
    bound(socket, local)
}

/// The same for UDP; of the options those that datagrams have.
pub(crate) fn connect_udp(
    target: SocketAddr,
    local: Option<SocketAddr>,
    options: &SocketOptions,
) -> Result<Socket, BindError> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let protocol = Some(socket2::Protocol::UDP);
    let socket = Socket::new(Domain::for_address(target), kind, protocol)
        .map_err(refused(&Address::Ip(target)))?;
    options::before_any_bind(&socket, target, options)?;
    options::apply_to_datagrams(&socket, options)?;
    bound(socket, local)
}

/// The same for SCTP in the kernel.
pub(crate) fn connect_sctp(
    target: SocketAddr,
    local: Option<SocketAddr>,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Socket, BindError> {
    bound(sctp::sctp_socket(target, options, sctp)?, local)
}

/// A Unix datagram socket with a name of the kernel's choice in the abstract name space, so that it
/// can be answered.
pub(crate) fn named_unixgram(options: &SocketOptions) -> Result<UnixDatagram, BindError> {
    // Binding to no name at all asks for one (unix(7), "Autobind feature").
    let bind = || {
        let socket = UnixDatagram::bind_addr(&unix::SocketAddr::from_pathname("")?)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let socket = bind().map_err(|source: io::Error| BindError::Address {
        address: Address::Abstract(String::new()),
        source,
    })?;
    options::change_datagrams(&socket, &SocketOptions::default(), options, false)?;
    Ok(socket)
}

fn bound(socket: Socket, local: Option<SocketAddr>) -> Result<Socket, BindError> {
    if let Some(local) = local {
        socket
            .bind(&local.into())
            .map_err(refused(&Address::Ip(local)))?;
    }
    Ok(socket)
}
