//! UDP sockets for QUIC: one for each endpoint of an address.

use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;

use super::BindError;
use super::bind::{Listening, bind_udp, refused};
use super::datagrams::steer;
use super::options::named;
use crate::config::{AcceptOptions, Address, SocketOptions, Steering};

/// As many sockets as there are endpoints, in the order in which the kernel numbers them.
pub(super) fn bind(
    address: SocketAddr,
    accept: &AcceptOptions,
    options: &SocketOptions,
) -> Result<Vec<UdpSocket>, BindError> {
    // The first is bound as if it were to be alone, which fails where another socket is: the numbers would
    // count that one too.
    let alone = AcceptOptions {
        reuse_port: false,
        ..accept.clone()
    };
    let first = bind_udp(address, &alone, options)?;
    if !accept.reuse_port {
        return Ok(vec![first]);
    }
    let shared = SockRef::from(&first).set_reuse_port(true);
    shared.map_err(named("accept.reuse-port", || true))?;
    let address = first.local_addr().map_err(refused(&Address::Ip(address)))?;
    let mut all = vec![first];
    for _ in 1..accept.acceptors {
        all.push(bind_udp(address, accept, options)?);
    }
    Ok(all)
}

/// Has the kernel lead packets to the sockets of one address by the connection ids that their endpoints hand
/// out, so that a client which changes its address finds its connection.
pub(crate) fn steer_quic(sockets: &[Listening]) -> Result<(), BindError> {
    let udp = sockets.iter().filter_map(|socket| match socket {
        Listening::Udp(socket) => Some((socket, socket.local_addr().ok()?)),
        _ => None,
    });
    let all: Vec<_> = udp.collect();
    match all[..] {
        // A service manager may pass sockets of several addresses under one name.
        [(first, address), _, ..] if all.iter().all(|(_, other)| *other == address) => {
            let steering = Steering::QuicConnectionId { byte: 0 };
            steer(first, address, steering, all.len())
        }
        _ => Ok(()),
    }
}
