//! From an address to datagram sockets.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use socket2::{Domain, Socket, Type};

use super::bind::{check_family, refused};
use super::options::{self, named};
use super::unix::SocketFile;
use super::{BindError, inherited, unixgram};
use crate::config::{
    AcceptOptions, Address, DatagramOptions, SocketOptions, Steering, Transport, UnixOptions,
};

/// A bound datagram socket: non-blocking, closed over `exec`, with its options in force.
#[derive(Debug)]
pub enum BoundDatagrams {
    /// UDP, which tells of each datagram what the kernel knows of it.
    Udp(wharf_udp::Socket),
    /// Unix, with the socket file when one was made here. It removes the file when dropped.
    Unix(UnixDatagram, Option<SocketFile>),
}

/// Makes the datagram sockets of one address: several when `accept.reuse_port` gives each of
/// `accept.acceptors` one, or when the service manager passed several under one name, else one.
///
/// Inherited sockets keep what must be set before binding, as with [`bind`](super::bind).
pub fn bind_datagrams(
    address: &Address,
    transport: Transport,
    accept: &AcceptOptions,
    socket: &SocketOptions,
    unix: &UnixOptions,
    datagrams: &DatagramOptions,
) -> Result<Vec<BoundDatagrams>, BindError> {
    let adopt = |fd| adopt(fd, address, transport, socket, datagrams);
    match address {
        Address::Ip(ip) => {
            check_family(address, transport, false)?;
            bind_udp(*ip, accept, socket, datagrams)
        }
        Address::Path(path) => {
            check_family(address, transport, true)?;
            let (bound, file) = unixgram::bind_path(path, unix)?;
            Ok(vec![with_options(bound, Some(file), socket)?])
        }
        Address::Abstract(name) => {
            check_family(address, transport, true)?;
            let bound = unixgram::bind_abstract(name).map_err(refused(address))?;
            Ok(vec![with_options(bound, None, socket)?])
        }
        Address::Systemd(name) => {
            let taken = inherited::take_named(address, name)?;
            taken.into_iter().map(adopt).collect()
        }
        Address::Descriptor(fd) => Ok(vec![adopt(inherited::take(address, *fd)?)?]),
    }
}

/// Receives on a UDP socket made elsewhere. What must be set before binding stays as it is.
pub fn from_udp_datagrams(
    socket: UdpSocket,
    options: &SocketOptions,
    datagrams: &DatagramOptions,
) -> Result<BoundDatagrams, BindError> {
    let local = socket.local_addr().ok();
    let adopted = udp(OwnedFd::from(socket), datagrams).map_err(|source| {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        refused(&Address::Ip(local.unwrap_or(unknown)))(source)
    })?;
    options::apply_to_datagrams(&adopted, options)?;
    Ok(BoundDatagrams::Udp(adopted))
}

/// Receives on a Unix datagram socket made elsewhere; its file, if it has one, is left to its maker.
pub fn from_unixgram(
    socket: UnixDatagram,
    options: &SocketOptions,
) -> Result<BoundDatagrams, BindError> {
    with_options(socket, None, options)
}

/// Gives a bound socket what can change of its options, and its file what can change of it; what it
/// had by `bound` is not set again.
pub(crate) fn change(
    socket: &impl std::os::fd::AsFd,
    file: Option<&SocketFile>,
    (bound, wanted): (&SocketOptions, &SocketOptions),
    unix: &UnixOptions,
    is_ip: bool,
) -> Result<(), BindError> {
    options::change_datagrams(socket, bound, wanted, is_ip)?;
    match file {
        Some(file) => unixgram::set(file, unix),
        None => Ok(()),
    }
}

fn bind_udp(
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
    datagrams: &DatagramOptions,
) -> Result<Vec<BoundDatagrams>, BindError> {
    let sockets = if accept.reuse_port {
        accept.acceptors.max(1)
    } else {
        1
    };
    let mut address = address;
    let mut all = Vec::new();
    for _ in 0..sockets {
        let socket = udp_socket(address, accept, options)?;
        options::apply_to_datagrams(&socket, options)?;
        let refused = refused(&Address::Ip(address));
        let adopted = socket
            .bind(&address.into())
            .and_then(|()| udp(socket.into(), datagrams))
            .map_err(refused)?;
        // Port 0 is chosen once.
        address.set_port(adopted.local_addr().port());
        all.push(adopted);
    }
    let all: Vec<_> = all.into_iter().map(BoundDatagrams::Udp).collect();
    if datagrams.steering != Steering::Flow {
        steer_all(&all, datagrams.steering)?;
    }
    Ok(all)
}

/// Has the kernel spread datagrams over these sockets of one address, in the order in which they were
/// bound; a socket that is alone gets all.
pub(crate) fn steer_all(sockets: &[BoundDatagrams], steering: Steering) -> Result<(), BindError> {
    match sockets {
        [BoundDatagrams::Udp(first), _, ..] => {
            steer(first, first.local_addr(), steering, sockets.len())
        }
        _ => Ok(()),
    }
}

/// Has the kernel spread datagrams over the `count` sockets of an address, of which this is one.
pub(crate) fn steer(
    socket: &impl AsFd,
    address: SocketAddr,
    steering: Steering,
    count: usize,
) -> Result<(), BindError> {
    let steering = match steering {
        Steering::Flow => wharf_udp::Steering::Flow,
        Steering::Payload { offset, length } => wharf_udp::Steering::Payload { offset, length },
        Steering::QuicConnectionId { byte } => wharf_udp::Steering::QuicConnectionId { byte },
    };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    wharf_udp::steer(socket, steering, count).map_err(refused(&Address::Ip(address)))
}

/// A UDP socket for `address`'s family, ready to be bound.
pub(super) fn udp_socket(
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<Socket, BindError> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let protocol = Some(socket2::Protocol::UDP);
    let socket = Socket::new(Domain::for_address(address), kind, protocol)
        .map_err(refused(&Address::Ip(address)))?;
    options::before_any_bind(&socket, address, options)?;
    options::before_listening(&socket, address, accept, options)?;
    Ok(socket)
}

/// Asks the kernel to tell all that it knows of a datagram.
fn udp(fd: OwnedFd, datagrams: &DatagramOptions) -> io::Result<wharf_udp::Socket> {
    let telling = wharf_udp::SocketOptions {
        packet_info: true,
        gro: datagrams.gro,
        receive_tos: true,
        receive_ttl: true,
        timestamps: datagrams.timestamps,
        receive_drops: true,
        errors: true,
        ..wharf_udp::SocketOptions::default()
    };
    wharf_udp::Socket::adopt(fd, &telling)
}

fn with_options(
    socket: UnixDatagram,
    file: Option<SocketFile>,
    options: &SocketOptions,
) -> Result<BoundDatagrams, BindError> {
    socket
        .set_nonblocking(true)
        .and_then(|()| wharf_udp::pass_credentials(&socket))
        .map_err(named("SO_PASSCRED", || true))?;
    options::change_datagrams(&socket, &SocketOptions::default(), options, false)?;
    Ok(BoundDatagrams::Unix(socket, file))
}

/// Receives on a socket that another process receives on too, and with its file.
pub(crate) fn share(
    fd: OwnedFd,
    file: Option<SocketFile>,
    address: &Address,
    transport: Transport,
    options: &SocketOptions,
    datagrams: &DatagramOptions,
) -> Result<BoundDatagrams, BindError> {
    let adopted = adopt(fd, address, transport, options, datagrams)?;
    Ok(match adopted {
        BoundDatagrams::Unix(socket, None) => BoundDatagrams::Unix(socket, file),
        other => other,
    })
}

/// Receives on an inherited socket, after a look at what it is.
fn adopt(
    fd: OwnedFd,
    address: &Address,
    transport: Transport,
    options: &SocketOptions,
    datagrams: &DatagramOptions,
) -> Result<BoundDatagrams, BindError> {
    let socket = Socket::from(fd);
    let other = |found: String| BindError::NoDatagrams {
        address: address.clone(),
        found,
    };
    match socket.r#type() {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            return Err(other("a file that is no socket".to_owned()));
        }
        Err(error) => return Err(refused(address)(error)),
        Ok(Type::DGRAM) => {}
        Ok(Type::STREAM) => return Err(other("a stream socket".to_owned())),
        Ok(kind) => return Err(other(format!("a socket of type {kind:?}"))),
    }
    match socket.domain().map_err(refused(address))? {
        Domain::IPV4 | Domain::IPV6 => {
            check_family(address, transport, false)?;
            from_udp_datagrams(socket.into(), options, datagrams)
        }
        Domain::UNIX => {
            check_family(address, transport, true)?;
            from_unixgram(OwnedFd::from(socket).into(), options)
        }
        domain => Err(other(format!("a socket of family {domain:?}"))),
    }
}
