//! Limits, rates, timeouts and the write buffer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{duration, off_duration, off_size, size};

/// What happens to a connection that finds a limit reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// It stays in the kernel's backlog until there is room. Where that cannot be (the limit is
    /// found reached only after the accept, as with per-prefix limits) it is closed.
    Wait,
    /// Closed at once.
    #[default]
    Close,
    /// Reset (`SO_LINGER` 0), so that it costs no further packet and no `TIME_WAIT`.
    Reset,
    /// These bytes, 1 to 1,024, are sent as far as the socket takes them at once, then it is
    /// closed. Not on `tls` and `wss`, whose peers could not read them.
    Reply(String),
}

/// How many connections a listener has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Connections at once, never exceeded by one. 0: only the server's limit. Default 0.
    pub max_connections: u64,
    /// Connections at once whose PROXY header, TLS handshake or upgrade is not complete. 0: no
    /// limit. Default 4,096.
    pub max_handshakes: u64,
    /// Connections at once from one source prefix. 0: no limit. Default 0.
    pub per_prefix: u32,
    /// Pending handshakes at once from one source prefix. 0: no limit. Default 256.
    pub handshakes_per_prefix: u32,
    /// Bits of an IPv4 source that name its prefix, 0 to 32. Default 32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 source that name its prefix, 0 to 128. Default 64.
    pub ipv6_prefix: u8,
    /// Prefixes remembered at once, a power of two, 16 to 16,777,216. Default 65,536. A connection
    /// whose prefix finds no room is refused.
    pub prefix_slots: u32,
    /// What happens to one too many.
    pub on_full: OnFull,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_handshakes: 4096,
            per_prefix: 0,
            handshakes_per_prefix: 256,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            prefix_slots: 65_536,
            on_full: OnFull::Close,
        }
    }
}

/// A token bucket: so many a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rate {
    /// Refill in units a second, 1 to 4,294,967,295.
    pub per_second: u32,
    /// Capacity in units, 1 to 4,294,967,295.
    pub burst: u32,
}

/// How fast a listener accepts and its connections may send. Absent: no limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rates {
    /// Connections accepted a second. Above it, connections wait in the backlog with
    /// `on-full = "wait"`, and are refused otherwise.
    pub accept: Option<Rate>,
    /// Connections accepted a second from one source prefix; above it they are refused.
    pub accept_per_prefix: Option<Rate>,
    /// Datagrams taken a second from one source prefix, on `udp` and `dtls`; above it they
    /// are dropped and counted.
    pub datagrams_per_prefix: Option<Rate>,
    /// Bytes read a second from one connection. Above it the connection is not read until the
    /// bucket refills: the peer is slowed down, nothing is lost.
    pub bytes: Option<Rate>,
    /// Messages read a second from one connection, where there are messages (WebSocket, `Session`).
    pub messages: Option<Rate>,
}

/// The rule against peers that send too slowly to be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MinimumRate {
    /// Bytes a second that a peer must send while it is being read, 1 to 4,294,967,295.
    pub bytes_per_second: u32,
    /// How long a connection may be slower than that, 1 ms to 1 d.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub grace: Duration,
}

/// How long each thing may take, 1 ms to 365 d. `"off"` turns one off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// The whole PROXY header. Default 5 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub proxy_header: Option<Duration>,
    /// TLS handshake and WebSocket upgrade together. Default 10 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub handshake: Option<Duration>,
    /// From the end of the handshakes to the peer's first byte, while the handler reads. Turn it
    /// off for protocols in which clients never speak. Default 60 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub first_byte: Option<Duration>,
    /// Between two reads that brought bytes, while the handler reads; ends one stream of a QUIC connection.
    /// Default off.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub read_idle: Option<Duration>,
    /// A write of which the peer takes no byte; ends one stream of a QUIC connection. Default 60 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub write: Option<Duration>,
    /// The whole connection. Default off.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub lifetime: Option<Duration>,
    /// Peers that send too slowly. Default off.
    pub minimum_rate: Option<MinimumRate>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            proxy_header: Some(Duration::from_secs(5)),
            handshake: Some(Duration::from_secs(10)),
            first_byte: Some(Duration::from_mins(1)),
            read_idle: None,
            write: Some(Duration::from_mins(1)),
            lifetime: None,
            minimum_rate: None,
        }
    }
}

/// What happens to a message for which a connection's write buffer has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlowPeer {
    /// The sender waits.
    #[default]
    Pause,
    /// The new message is dropped and counted.
    Drop,
    /// The connection is closed.
    Close,
}

/// The bounds of what is kept in memory for one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Buffers {
    /// The largest message that a `Session` reads, 16 bytes to 1 GiB. Default 1 MiB. (A WebSocket
    /// message has `websocket.max-message`.)
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_message: u64,
    /// Bytes of messages that may wait to be sent, 1 KiB to 1 GiB. Default 64 KiB. A single larger
    /// message is taken when nothing waits.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub write: u64,
    /// What happens when `write` is full.
    pub slow_peer: SlowPeer,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            write: 64 << 10,
            slow_peer: SlowPeer::Pause,
        }
    }
}

/// The limits of the whole server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerLimits {
    /// Connections at once over all listeners, never exceeded by one. 0: no limit. Default 100,000.
    pub max_connections: u64,
    /// Bytes of payload that may wait in write buffers and `Session` buffers over all connections,
    /// at least 4 KiB. Default 256 MiB. Above it new connections are refused and write buffers count as full.
    #[serde(with = "off_size")]
    #[schemars(with = "super::units::OffSizeText")]
    pub memory: Option<u64>,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            memory: Some(256 << 20),
        }
    }
}
