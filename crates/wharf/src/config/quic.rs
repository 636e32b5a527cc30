//! QUIC.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{off_duration, size};

/// When a client must prove that it is where it says, before anything is kept of it: by a Retry packet
/// of QUIC (RFC 9000 §8.1.2), or a cookie of DTLS (RFC 6347 §4.2.1). Costs the client a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Never.
    Never,
    /// Each client.
    Always,
    /// While more handshakes than this are pending.
    Above(u64),
}

impl Retry {
    /// Whether it is so while `pending` handshakes are under way.
    pub(crate) fn demands(self, pending: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Above(limit) => pending > limit,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::Above(1024)
    }
}

/// QUIC of a listener (RFC 9000), or of a client. A change is for new connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuicOptions {
    /// Streams of each kind that a peer may have open at once on one connection, 0 to 1,048,576.
    /// Default 100. One too many waits at the peer. Where no handler takes streams there are none,
    /// and unidirectional ones only where a handler takes the connection itself.
    pub max_streams: u32,
    /// Bytes that a peer may send on one stream ahead of its reader, 1 KiB to 1 GiB. Default 1 MiB.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub stream_window: u64,
    /// Bytes that a peer may send on all streams of one connection ahead of their readers, and that
    /// we may have sent without acknowledgement, 1 KiB to 1 GiB. Default 8 MiB. Bounds the memory
    /// of a connection.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub connection_window: u64,
    /// Whether datagrams are received (RFC 9221). Default true; there are none where no handler
    /// takes messages.
    pub datagrams: bool,
    /// Bytes of datagrams that may wait for the handler, and as many to be sent, 1,500 B to 1 GiB.
    /// Default 256 KiB. When it is full the oldest that was received is dropped, and who sends
    /// waits.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub datagram_buffer: u64,
    /// After this silence a packet is sent to keep the connection, and the paths through address
    /// translators, alive. Default off.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub keep_alive: Option<Duration>,
    /// A connection on which nothing arrives for so long is closed; the shorter of both sides'
    /// counts (RFC 9000 §10.1). Default 30 s. Off keeps connections of peers that are gone.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub idle_timeout: Option<Duration>,
    /// Whether a client may go on from another address (RFC 9000 §9). Default true.
    pub migration: bool,
    /// Whether clients that come again may send data with their first packet (RFC 8446 §2.3).
    /// Default false: such data can be replayed by an attacker, and its handler begins before the
    /// client is known to be there. Sessions are then kept in memory, 1,024 of them.
    pub zero_rtt: bool,
    /// When clients must prove their address.
    pub retry: Retry,
    /// The application error code that connections are closed with when the server ends them (a
    /// drain, a timeout, the control plane), and that streams are reset with after a timeout.
    /// 0 to 2^62 - 1. Default 0.
    pub drain_code: u64,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            max_streams: 100,
            stream_window: 1 << 20,
            connection_window: 8 << 20,
            datagrams: true,
            datagram_buffer: 256 << 10,
            keep_alive: None,
            idle_timeout: Some(Duration::from_secs(30)),
            migration: true,
            zero_rtt: false,
            retry: Retry::default(),
            drain_code: 0,
        }
    }
}
