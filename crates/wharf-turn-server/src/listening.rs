//! The listening sockets of the workers, and how many workers there are.

use std::net::SocketAddr;

use wharf_udp::{Socket, SocketOptions, allowed_cpus};

use crate::Legacy;
use crate::config::{Config, StartError, Tos};

/// Receive buffer of a listening socket, when the configuration says nothing: all clients of a worker
/// share it, and the kernel's default of 208 KiB holds less than 300 small datagrams, a few milliseconds
/// of traffic.
pub(crate) const RECEIVE_BUFFER: usize = 4 << 20;

/// A reservation token carries its worker's number in a byte.
const MAX_WORKERS: usize = 255;

pub(crate) fn worker_count(config: &Config) -> Result<usize, StartError> {
    if addresses(config).next().is_none() {
        return Err(StartError::NoListener);
    }
    let pairs = config
        .relays
        .iter()
        .map(|relay| relay.ports.clone().count() / 2);
    let pairs = pairs.min().ok_or(StartError::NoRelay)?;
    let legacy = config.legacy.as_ref().map(|legacy| legacy.workers.len());
    match legacy.unwrap_or(config.workers) {
        0 => Ok(allowed_cpus().len().clamp(1, MAX_WORKERS.min(pairs.max(1)))),
        given if given > MAX_WORKERS.min(pairs.max(1)) => Err(StartError::Workers {
            given,
            limit: MAX_WORKERS.min(pairs.max(1)),
        }),
        given => Ok(given),
    }
}

/// The addresses to listen on, each once, and whether DTLS is spoken there.
pub(crate) fn addresses(config: &Config) -> impl Iterator<Item = (SocketAddr, bool)> {
    let dtls = config.dtls.as_ref().map_or(&[][..], |dtls| &dtls.listen);
    let plain = config.listen.iter();
    let plain = plain.map(move |address| (*address, dtls.contains(address)));
    let others = dtls
        .iter()
        .filter(|address| !config.listen.contains(address));
    plain.chain(others.map(|address| (*address, true)))
}

/// The listening sockets of each worker. Those of a legacy are taken as they are. Of others the
/// workers' share a port; before that, a socket of its own makes sure that nobody else has it.
pub(crate) fn listen(
    config: &Config,
    legacy: Option<&mut Legacy>,
    workers: usize,
) -> Result<Vec<Vec<Socket>>, StartError> {
    let mut nobody = Legacy::default();
    let legacy = legacy.unwrap_or(&mut nobody);
    let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for (address, _) in addresses(config) {
        let options = SocketOptions {
            reuse_port: workers > 1,
            packet_info: address.ip().is_unspecified(),
            gro: true,
            receive_tos: config.tos == Tos::Copy,
            receive_buffer: Some(config.receive_buffer.unwrap_or(RECEIVE_BUFFER)),
            send_buffer: config.send_buffer,
            ..SocketOptions::default()
        };
        let inherited = legacy.take(address);
        if inherited.len() == workers {
            for (sockets, fd) in sockets.iter_mut().zip(inherited) {
                let socket = Socket::adopt(fd, &options);
                sockets.push(socket.map_err(|source| StartError::Listen { address, source })?);
            }
            continue;
        }
        let bind = |address, options| {
            Socket::bind(address, &options).map_err(|source| StartError::Listen { address, source })
        };
        let alone = bind(
            address,
            SocketOptions {
                reuse_port: false,
                ..options
            },
        )?;
        let address = alone.local_addr();
        if workers == 1 {
            sockets[0].push(alone);
            continue;
        }
        drop(alone);
        for sockets in &mut sockets {
            sockets.push(bind(address, options)?);
        }
    }
    Ok(sockets)
}
