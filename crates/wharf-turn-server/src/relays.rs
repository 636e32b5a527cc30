//! The relay sockets of one worker, by the core's names for them.

use std::io;
use std::net::SocketAddr;

use wharf_turn::{BindError, RelayId};
use wharf_udp::{Socket, SocketKey, SocketOptions, Turn};

use crate::Tos;
use crate::passage::RESERVED;

/// How relay sockets are bound.
pub(crate) fn options(tos: Tos) -> SocketOptions {
    SocketOptions {
        gro: true,
        receive_tos: tos == Tos::Copy,
        errors: true,
        ..SocketOptions::default()
    }
}

/// The core's name for a relay, as the worker's loop knows its socket.
pub(crate) fn key(relay: RelayId) -> SocketKey {
    let RelayId { index, generation } = relay;
    let index = index + RESERVED;
    SocketKey { index, generation }
}

/// The core's name for the relay of a socket, which is no passage.
pub(crate) fn name(key: SocketKey) -> RelayId {
    let SocketKey { index, generation } = key;
    let index = index - RESERVED;
    RelayId { index, generation }
}

pub(crate) fn bind(
    turn: &mut Turn<'_>,
    relay: RelayId,
    local: SocketAddr,
    options: &SocketOptions,
) -> Result<(), BindError> {
    let socket = Socket::bind(local, options).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse,
        _ => BindError::Failed,
    })?;
    turn.add(key(relay), socket).map_err(|_| BindError::Failed)
}
