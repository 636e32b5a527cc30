//! Kernel SCTP sockets: one-to-one, like those of TCP.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::bind::{Listening, backlog, refused};
use super::options::{self, OptionError};
use super::{BindError, inherited};
use crate::config::{AcceptOptions, Address, SctpOptions, SctpVia, SocketOptions, Transport};

/// Whether this host's kernel has SCTP.
pub fn has_kernel_sctp() -> bool {
    wharf_udp::probe_sctp().is_ok()
}

/// Whether new sockets are the kernel's on this host.
pub(crate) fn in_kernel(via: SctpVia) -> bool {
    match via {
        SctpVia::Kernel => true,
        SctpVia::Udp => false,
        SctpVia::Auto => has_kernel_sctp() || !cfg!(feature = "sctp"),
    }
}

/// Listens for SCTP associations, in the kernel or over UDP; several sockets when the service manager
/// passed several under one name, else one.
pub(crate) fn bind_sctp(
    address: &Address,
    accept: &AcceptOptions,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Vec<Listening>, BindError> {
    let adopt = |fd| adopt(fd, address, accept, options, sctp);
    match address {
        Address::Ip(ip) => Ok(vec![bind_ip(*ip, accept, options, sctp)?]),
        Address::Systemd(name) => {
            let taken = inherited::take_named(address, name)?;
            taken.into_iter().map(adopt).collect()
        }
        Address::Descriptor(fd) => Ok(vec![adopt(inherited::take(address, *fd)?)?]),
        Address::Path(_) | Address::Abstract(_) => Err(BindError::Family {
            address: address.clone(),
            transport: Transport::Sctp,
            is_unix: true,
        }),
    }
}

/// Listens with an inherited socket: one of the kernel's SCTP that listens, or one of UDP, as it is and
/// whatever `sctp.via` says of new ones.
pub(crate) fn adopt(
    fd: OwnedFd,
    address: &Address,
    accept: &AcceptOptions,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Listening, BindError> {
    let socket = Socket::from(fd);
    let other = |found: String| BindError::NoSctpSocket {
        address: address.clone(),
        found,
    };
    let kind = socket.r#type().map_err(|error| other(error.to_string()))?;
    let domain = socket.domain().map_err(refused(address))?;
    let protocol = socket.protocol().map_err(refused(address))?;
    if !matches!(domain, Domain::IPV4 | Domain::IPV6) {
        return Err(other(format!("a socket of family {domain:?}")));
    }
    if kind == Type::DGRAM {
        let socket = super::bind::ready_udp(socket.into(), options)?;
        return Ok(Listening::SctpOverUdp(socket, sctp.clone()));
    }
    if protocol != Some(Protocol::from(wharf_udp::SCTP)) || kind != Type::STREAM {
        return Err(other(format!("a socket of type {kind:?}, {protocol:?}")));
    }
    if !socket.is_listener().map_err(refused(address))? {
        return Err(other("an SCTP socket that does not listen".to_owned()));
    }
    socket.set_nonblocking(true).map_err(refused(address))?;
    from_sctp(socket, accept, options, sctp)
}

fn bind_ip(
    ip: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Listening, BindError> {
    let address = &Address::Ip(ip);
    if !in_kernel(sctp.via) {
        let socket = super::bind::bind_udp(ip, accept, options)?;
        return Ok(Listening::SctpOverUdp(socket, sctp.clone()));
    }
    let socket = sctp_socket(ip, options, sctp)?;
    options::before_bind(&socket, ip, &AcceptOptions::default(), options)?;
    let listen = |socket: &Socket| {
        socket.bind(&ip.into())?;
        socket.listen(backlog(accept))
    };
    listen(&socket).map_err(refused(address))?;
    Ok(Listening::Sctp(socket))
}

/// Gives a listening socket other options, which its connections inherit from then on.
pub(crate) fn from_sctp(
    listener: Socket,
    accept: &AcceptOptions,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Listening, BindError> {
    apply(&listener, options, sctp)?;
    let local = listener
        .local_addr()
        .ok()
        .and_then(|local| local.as_socket());
    let local = local.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    listener
        .listen(backlog(accept))
        .map_err(refused(&Address::Ip(local)))?;
    Ok(Listening::Sctp(listener))
}

/// A one-to-one socket for `address`'s family, ready to be bound.
pub(super) fn sctp_socket(
    address: SocketAddr,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Socket, BindError> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let protocol = Some(Protocol::from(wharf_udp::SCTP));
    let socket = Socket::new(Domain::for_address(address), kind, protocol).map_err(|source| {
        match source.raw_os_error() {
            // The first when there is no module of that name, the second when modules cannot be loaded.
            Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => BindError::NoSctp { source },
            _ => refused(&Address::Ip(address))(source),
        }
    })?;
    options::before_any_bind(&socket, address, options)?;
    apply(&socket, options, sctp)?;
    Ok(socket)
}

fn apply(socket: &Socket, options: &SocketOptions, sctp: &SctpOptions) -> Result<(), OptionError> {
    options::apply_to_datagrams(socket, options)?;
    let set = sctp.kernel(options.nodelay);
    wharf_udp::set_sctp_options(socket, &set).map_err(|error| {
        let (key, value) = match error.option {
            "nodelay" => ("socket.nodelay", set.nodelay.to_string()),
            "max_segment" => ("sctp.max-segment", set.max_segment.unwrap_or(0).to_string()),
            _ => ("sctp.streams-out", set.streams_out.to_string()),
        };
        OptionError {
            key,
            value,
            source: error.source,
        }
    })
}
