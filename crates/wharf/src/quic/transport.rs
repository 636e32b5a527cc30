//! From the options to what quinn calls a transport.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::config::QuicOptions;

/// What the handlers of an endpoint take: peers are offered nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Takes {
    pub(crate) streams: bool,
    pub(crate) datagrams: bool,
    /// The connection itself, with whatever it carries.
    pub(crate) connections: bool,
}

impl Takes {
    /// A client's user may do anything with a connection.
    pub(crate) const ALL: Self = Self {
        streams: true,
        datagrams: true,
        connections: true,
    };
}

/// The transport of new connections. The options are checked: each fits its range.
pub(crate) fn transport(options: &QuicOptions, takes: Takes) -> Arc<TransportConfig> {
    let streams = |taken: bool| VarInt::from(if taken { options.max_streams } else { 0 });
    let datagrams = options.datagrams && (takes.datagrams || takes.connections);
    let datagram_buffer = usize::try_from(options.datagram_buffer).unwrap_or(usize::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(streams(takes.streams || takes.connections))
        .max_concurrent_uni_streams(streams(takes.connections))
        .stream_receive_window(varint(options.stream_window))
        .receive_window(varint(options.connection_window))
        .send_window(options.connection_window)
        .datagram_receive_buffer_size(datagrams.then_some(datagram_buffer))
        .datagram_send_buffer_size(datagram_buffer)
        .keep_alive_interval(options.keep_alive)
        .max_idle_timeout(options.idle_timeout.map(idle));
    Arc::new(transport)
}

fn idle(limit: Duration) -> IdleTimeout {
    let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    varint(milliseconds).into()
}

/// The nearest number that QUIC can write (RFC 9000 §16).
pub(crate) fn varint(number: u64) -> VarInt {
    VarInt::from_u64(number).unwrap_or(VarInt::MAX)
}
