//! Kernel SCTP sockets: one-to-one, like those of TCP.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::BindError;
use super::bind::{Listening, backlog, refused};
use super::options::{self, OptionError};
use crate::config::{AcceptOptions, Address, SctpOptions, SctpVia, SocketOptions, Transport};

/// Whether this host's kernel has SCTP.
pub fn has_kernel_sctp() -> bool {
    wharf_udp::probe_sctp().is_ok()
}

/// Listens for SCTP associations, in the kernel or over UDP.
pub(crate) fn bind_sctp(
    address: &Address,
    accept: &AcceptOptions,
    options: &SocketOptions,
    sctp: &SctpOptions,
) -> Result<Listening, BindError> {
    let Address::Ip(ip) = *address else {
        return Err(BindError::Family {
            address: address.clone(),
            transport: Transport::Sctp,
            is_unix: true,
        });
    };
    let in_kernel = match sctp.via {
        SctpVia::Kernel => true,
        SctpVia::Udp => false,
        SctpVia::Auto => has_kernel_sctp() || !cfg!(feature = "sctp"),
    };
    if !in_kernel {
        return match super::bind::bind_udp(ip, accept, options)? {
            Listening::Udp(socket) => Ok(Listening::SctpOverUdp(socket, sctp.clone())),
            other => Ok(other),
        };
    }
    let socket = sctp_socket(ip, options)?;
    options::before_bind(&socket, ip, &AcceptOptions::default(), options)?;
    apply(&socket, options, sctp)?;
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

fn sctp_socket(address: SocketAddr, options: &SocketOptions) -> Result<Socket, BindError> {
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
