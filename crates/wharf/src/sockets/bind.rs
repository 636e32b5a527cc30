//! From an address to listening sockets.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use socket2::{Domain, Socket, Type};

use super::options::{self, OptionError};
use super::unix::{self, SocketFile};
use super::{BindError, inherited};
use crate::config::{AcceptOptions, Address, SctpOptions, SocketOptions, Transport, UnixOptions};

/// A socket that connections arrive on: non-blocking, closed over `exec`, with its options in force.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// Unix, with the socket file when one was made here. It removes the file when dropped.
    Unix(UnixListener, Option<SocketFile>),
    /// UDP, for QUIC.
    Udp(UdpSocket),
    /// SCTP of the kernel.
    Sctp(Socket),
    /// UDP, for SCTP with these options.
    SctpOverUdp(UdpSocket, SctpOptions),
}

impl Listening {
    /// Where it listens: with the port that the kernel chose, and the path by which clients find it
    /// (`getsockname(2)` tells the name that the file had while it was made).
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Ip),
            Self::Udp(socket) | Self::SctpOverUdp(socket, _) => {
                socket.local_addr().map(Address::Ip)
            }
            Self::Sctp(socket) => {
                let local = socket.local_addr()?.as_socket();
                local
                    .map(Address::Ip)
                    .ok_or(io::ErrorKind::Unsupported.into())
            }
            Self::Unix(_, Some(file)) => Ok(Address::Path(file.path().to_owned())),
            Self::Unix(listener, None) => {
                let local = listener.local_addr()?;
                let name = local.as_abstract_name().map(|name| {
                    let name = OsStr::from_bytes(name).to_string_lossy();
                    Address::Abstract(name.into_owned())
                });
                let path = local.as_pathname().unwrap_or("".as_ref());
                Ok(name.unwrap_or_else(|| Address::Path(path.to_owned())))
            }
        }
    }
}

/// Makes the listening sockets of one address: several when `accept.reuse_port` gives each acceptor
/// one or when the service manager passed several under one name, else one.
///
/// Several sockets for QUIC are to be steered by connection ids, which their endpoints must agree on: here
/// they are not.
///
/// Inherited sockets keep what must be set before binding (`reuse-port`, `device`, `freebind`,
/// `transparent`, `mptcp`, `dual-stack`, and the mode and owner of a file); all else is applied.
/// They can be taken once a process.
pub fn bind(
    address: &Address,
    transport: Transport,
    accept: &AcceptOptions,
    socket: &SocketOptions,
    unix: &UnixOptions,
) -> Result<Vec<Listening>, BindError> {
    let adopt = |fd| adopt(fd, address, transport, accept, socket);
    match address {
        Address::Ip(ip) => {
            check_family(address, transport, false)?;
            if transport.on_datagrams() {
                let bound = super::quic::bind(*ip, accept, socket)?;
                return Ok(bound.into_iter().map(Listening::Udp).collect());
            }
            bind_tcp(*ip, accept, socket)
        }
        Address::Path(path) => {
            check_family(address, transport, true)?;
            let (listener, file) = unix::bind_path(path, accept, unix, None)?;
            Ok(vec![Listening::Unix(listener, Some(file))])
        }
        Address::Abstract(name) => {
            check_family(address, transport, true)?;
            let listener = unix::bind_abstract(name, accept).map_err(refused(address))?;
            Ok(vec![Listening::Unix(listener, None)])
        }
        Address::Systemd(name) => {
            let taken = inherited::take_named(address, name)?;
            taken.into_iter().map(adopt).collect()
        }
        Address::Descriptor(fd) => Ok(vec![adopt(inherited::take(address, *fd)?)?]),
    }
}

/// Listens with a TCP listener made elsewhere. What must be set before binding stays as it is.
pub fn from_tcp(
    listener: TcpListener,
    accept: &AcceptOptions,
    socket: &SocketOptions,
) -> Result<Listening, BindError> {
    let listener = Socket::from(listener);
    listener
        .set_nonblocking(true)
        .and_then(|()| listener.listen(backlog(accept)))
        .map_err(failed("accept.backlog", accept.backlog))?;
    options::apply_to_listener(&listener, socket)?;
    Ok(Listening::Tcp(listener.into()))
}

/// Listens with a Unix listener made elsewhere; its file, if it has one, is left to its maker.
pub fn from_unix(listener: UnixListener, accept: &AcceptOptions) -> Result<Listening, BindError> {
    let listener = Socket::from(listener);
    listener
        .set_nonblocking(true)
        .and_then(|()| listener.listen(backlog(accept)))
        .map_err(failed("accept.backlog", accept.backlog))?;
    Ok(Listening::Unix(OwnedFd::from(listener).into(), None))
}

/// Receives on a UDP socket made elsewhere. What must be set before binding stays as it is.
pub fn from_udp(socket: UdpSocket, options: &SocketOptions) -> Result<Listening, BindError> {
    ready_udp(socket, options).map(Listening::Udp)
}

pub(super) fn ready_udp(
    socket: UdpSocket,
    options: &SocketOptions,
) -> Result<UdpSocket, BindError> {
    socket.set_nonblocking(true).map_err(|source| OptionError {
        key: "O_NONBLOCK",
        value: "true".to_owned(),
        source,
    })?;
    options::apply_to_datagrams(&socket, options)?;
    Ok(socket)
}

fn bind_tcp(
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<Vec<Listening>, BindError> {
    let sockets = if accept.reuse_port {
        accept.acceptors.max(1)
    } else {
        1
    };
    let mut address = address;
    let mut bound = Vec::new();
    for _ in 0..sockets {
        let socket = options::tcp_socket(address, options)?;
        options::before_bind(&socket, address, accept, options)?;
        options::apply_to_listener(&socket, options)?;
        let refused = refused(&Address::Ip(address));
        let local = socket
            .bind(&address.into())
            .and_then(|()| socket.listen(backlog(accept)))
            .and_then(|()| socket.local_addr())
            .map_err(refused)?;
        // Port 0 is chosen once.
        address = local.as_socket().unwrap_or(address);
        bound.push(Listening::Tcp(socket.into()));
    }
    Ok(bound)
}

pub(super) fn bind_udp(
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<UdpSocket, BindError> {
    let socket = super::datagrams::udp_socket(address, accept, options)?;
    socket
        .bind(&address.into())
        .map_err(refused(&Address::Ip(address)))?;
    ready_udp(socket.into(), options)
}

/// Listens with a socket that another process listens on too, and with its file.
pub(crate) fn share(
    fd: OwnedFd,
    file: Option<SocketFile>,
    address: &Address,
    transport: Transport,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<Listening, BindError> {
    let listening = adopt(fd, address, transport, accept, options)?;
    Ok(match listening {
        Listening::Unix(listener, None) => Listening::Unix(listener, file),
        other => other,
    })
}

/// Listens with an inherited socket, after a look at what it is.
fn adopt(
    fd: OwnedFd,
    address: &Address,
    transport: Transport,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<Listening, BindError> {
    let socket = Socket::from(fd);
    let other = |found: &str| BindError::NotListening {
        address: address.clone(),
        found: found.to_owned(),
    };
    match socket.r#type() {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            return Err(other("a file that is no socket"));
        }
        Err(error) => return Err(refused(address)(error)),
        Ok(Type::STREAM) if !transport.on_datagrams() => {}
        Ok(Type::DGRAM) if transport.on_datagrams() => {
            return match socket.domain().map_err(refused(address))? {
                Domain::IPV4 | Domain::IPV6 => from_udp(socket.into(), options),
                domain => Err(other(&format!("a datagram socket of family {domain:?}"))),
            };
        }
        Ok(Type::STREAM) => return Err(other("a stream socket")),
        Ok(Type::DGRAM) => return Err(other("a datagram socket")),
        Ok(kind) => return Err(other(&format!("a socket of type {kind:?}"))),
    }
    if !socket.is_listener().map_err(refused(address))? {
        return Err(other("a stream socket that does not listen"));
    }
    let domain = socket.domain().map_err(refused(address))?;
    match domain {
        Domain::IPV4 | Domain::IPV6 => {
            check_family(address, transport, false)?;
            from_tcp(socket.into(), accept, options)
        }
        Domain::UNIX => {
            check_family(address, transport, true)?;
            from_unix(OwnedFd::from(socket).into(), accept)
        }
        other_domain => Err(other(&format!("a socket of family {other_domain:?}"))),
    }
}

/// `tcp`, `udp`, `quic` and `sctp` listen on IP, `unix` on Unix sockets, and the others on both.
pub(super) fn check_family(
    address: &Address,
    transport: Transport,
    is_unix: bool,
) -> Result<(), BindError> {
    let fits = match transport {
        Transport::Tcp | Transport::Quic | Transport::Udp | Transport::Sctp | Transport::Dtls => {
            !is_unix
        }
        Transport::Unix | Transport::Unixgram => is_unix,
        Transport::Tls | Transport::Ws | Transport::Wss => true,
    };
    if fits {
        return Ok(());
    }
    Err(BindError::Family {
        address: address.clone(),
        transport,
        is_unix,
    })
}

/// `accept.backlog` as `listen(2)` takes it; the kernel caps it at `net.core.somaxconn`.
pub(super) fn backlog(accept: &AcceptOptions) -> i32 {
    i32::try_from(accept.backlog).unwrap_or(i32::MAX)
}

pub(super) fn refused(address: &Address) -> impl FnOnce(io::Error) -> BindError + use<> {
    let address = address.clone();
    move |source| BindError::Address { address, source }
}

fn failed(key: &'static str, value: u32) -> impl FnOnce(io::Error) -> OptionError {
    move |source| OptionError {
        key,
        value: value.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
