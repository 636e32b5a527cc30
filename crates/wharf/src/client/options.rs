//! What a client is to do.

use std::net::SocketAddr;
use std::time::Duration;

use wharf_policy::BackoffRules;

use super::PoolOptions;
use crate::config::{
    Buffers, DtlsOptions, ListenerConfig, MinimumRate, QuicOptions, Rate, Rates, SctpOptions,
    SocketOptions, Timeouts, Transport, WebSocketOptions,
};
use crate::proxy::{self, Tlv};
use crate::tls::ClientTlsOptions;

/// Options of a client; all its connections obey them.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientOptions {
    /// Socket options. Those that only a listener has (`fast-open`, `defer-accept`, `dual-stack`)
    /// are refused; those of TCP and IP do not touch Unix sockets.
    pub socket: SocketOptions,
    /// The address that connections over IP come from; only targets of its family are tried. Default:
    /// the kernel's choice.
    pub local: Option<SocketAddr>,
    /// Addresses of one name that are tried at most, 1 to 64. Default 16; the resolver's first ones.
    pub max_addresses: usize,
    /// How long each thing may take.
    pub timeouts: ClientTimeouts,
    /// Bytes read a second from one connection. Default: no limit.
    pub bytes: Option<Rate>,
    /// Messages read a second from one connection. Default: no limit.
    pub messages: Option<Rate>,
    /// What may be kept in memory for one connection.
    pub buffers: Buffers,
    /// Bytes that may wait in write buffers and `Session` buffers over all connections. Default
    /// 256 MiB; `None` is no limit.
    pub memory: Option<u64>,
    /// TLS, for `tls` and `wss`.
    pub tls: ClientTlsOptions,
    /// WebSocket, for `ws` and `wss`.
    pub websocket: ClientWebSocket,
    /// QUIC, for `quic`. What only a server decides (`migration`, `zero-rtt`, `retry`) is refused.
    pub quic: QuicOptions,
    /// DTLS, for `dtls`, with at most one pre-shared key; certificates and names are those of `tls`.
    /// What only a server decides (`cookie-lifetime`) is refused. With a key and without `tls.ca` only
    /// the key is trusted.
    pub dtls: DtlsOptions,
    /// SCTP, for `sctp`.
    pub sctp: SctpOptions,
    /// The longest datagram that is received on `udp`, `dtls` and `unixgram`, 64 B to 1 MiB. A longer
    /// one is dropped and counted, never cut. Default 65,535 bytes, which every UDP datagram has room
    /// in.
    pub max_datagram: u64,
    /// A PROXY header that each connection begins with; on `udp`, `dtls` and `unixgram` each datagram,
    /// in version 2. `quic` and `sctp` have none. Default: none.
    pub proxy: Option<SendProxy>,
    /// How long [`keep`](super::Client::keep) waits before it connects again.
    pub reconnect: Reconnect,
    /// The bounds of each [`pool`](super::Client::pool).
    pub pool: PoolOptions,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            socket: SocketOptions::default(),
            local: None,
            max_addresses: 16,
            timeouts: ClientTimeouts::default(),
            bytes: None,
            messages: None,
            buffers: Buffers::default(),
            memory: Some(256 << 20),
            tls: ClientTlsOptions::default(),
            websocket: ClientWebSocket::default(),
            quic: QuicOptions::default(),
            dtls: DtlsOptions::default(),
            sctp: SctpOptions::default(),
            max_datagram: 65_535,
            proxy: None,
            reconnect: Reconnect::default(),
            pool: PoolOptions::default(),
        }
    }
}

/// How long each thing may take, 1 ms to 1 year unless it says otherwise; `None` is without end.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTimeouts {
    /// Looking the name up, and then each of its addresses; on `quic`, `dtls` and `sctp` with the
    /// handshake. Default 10 s.
    pub connect: Option<Duration>,
    /// An address that has not answered for so long is not waited for alone: the next one of its
    /// name is tried beside it (RFC 8305 §5, "Connection Attempt Delay"). 10 ms to 2 s (§8); default
    /// 250 ms. `None`: the next one is tried when this one has failed.
    pub attempt_delay: Option<Duration>,
    /// PROXY header, TLS handshake and WebSocket upgrade together. Default 10 s.
    pub handshake: Option<Duration>,
    /// From the end of the handshakes to the peer's first byte, while it is read. Default: none.
    pub first_byte: Option<Duration>,
    /// Between two reads that brought bytes, while it is read. Default: none.
    pub read_idle: Option<Duration>,
    /// A write of which the peer takes no byte. Default 60 s.
    pub write: Option<Duration>,
    /// Peers that send too slowly. Default: none.
    pub minimum_rate: Option<MinimumRate>,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(10)),
            attempt_delay: Some(Duration::from_millis(250)),
            handshake: Some(Duration::from_secs(10)),
            first_byte: None,
            read_idle: None,
            write: Some(Duration::from_mins(1)),
            minimum_rate: None,
        }
    }
}

/// The waits between the connections of a [`Keeper`](super::Keeper): after the `n`th failure in a
/// row evenly distributed between `min` and `min × factorⁿ`, at most `max`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    /// The shortest wait, 1 ms to 1 year. Default 100 ms.
    pub min: Duration,
    /// The longest wait, `min` to 1 year. Default 30 s.
    pub max: Duration,
    /// How the upper bound grows with each failure, 1 to 10. Default 2.
    pub factor: u32,
    /// A connection that was there for so long has the failures before it forgotten; one that ends
    /// sooner is a failure itself. At most 1 year; default 30 s.
    pub stable: Duration,
    /// Failures in a row after which it connects no more, at least 1. Default: none.
    pub give_up: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Self {
        let BackoffRules {
            min,
            max,
            factor,
            stable,
        } = BackoffRules::default();
        Self {
            min,
            max,
            factor,
            stable,
            give_up: None,
        }
    }
}

impl Reconnect {
    pub(super) fn rules(&self) -> BackoffRules {
        BackoffRules {
            min: self.min,
            max: self.max,
            factor: self.factor,
            stable: self.stable,
        }
    }
}

/// What is asked of a WebSocket server beside the URL, and the limits of what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientWebSocket {
    /// The `Origin`. Default: none, as programs that are not browsers do.
    pub origin: Option<String>,
    /// The subprotocols to offer, the preferred first.
    pub subprotocols: Vec<String>,
    /// Further fields of the request, name and value, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// The largest frame that is read, 125 B to 1 GiB. Default 1 MiB.
    pub max_frame: u64,
    /// The largest message that is read, 125 B to 1 GiB. Default 1 MiB.
    pub max_message: u64,
    /// After this silence of the peer a ping is sent; after as much again without a byte the
    /// connection is closed. Default 30 s.
    pub ping: Option<Duration>,
}

impl Default for ClientWebSocket {
    fn default() -> Self {
        let limits = WebSocketOptions::default();
        Self {
            origin: None,
            subprotocols: Vec::new(),
            headers: Vec::new(),
            max_frame: limits.max_frame,
            max_message: limits.max_message,
            ping: limits.ping,
        }
    }
}

impl ClientWebSocket {
    pub(super) fn limits(&self) -> WebSocketOptions {
        WebSocketOptions {
            max_frame: self.max_frame,
            max_message: self.max_message,
            ping: self.ping,
            ..WebSocketOptions::default()
        }
    }
}

/// The PROXY header that a connection begins with, before TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendProxy {
    /// The format.
    pub version: proxy::Version,
    /// On whose behalf the connection is made.
    pub of: ProxiedClient,
    /// What else to say; version 2 only, and not for [`ProxiedClient::Nobody`].
    pub tlvs: Vec<Tlv>,
    /// Whether the header carries its CRC32C; version 2 only.
    pub crc32c: bool,
}

impl SendProxy {
    /// A header of this version that names the connection's own two ends.
    pub fn new(version: proxy::Version) -> Self {
        Self {
            version,
            of: ProxiedClient::Ourselves,
            tlvs: Vec::new(),
            crc32c: false,
        }
    }
}

/// On whose behalf a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxiedClient {
    /// Our own: the header has the connection's two ends.
    Ourselves,
    /// A client's, with the two ends that it has seen.
    Other(proxy::Addresses),
    /// Nobody's, such as a health check (`LOCAL`; in version 1 `UNKNOWN`).
    Nobody,
}

impl ClientOptions {
    /// What its connections obey, in the words of a listener: the rules are checked and kept in one
    /// way. WebSocket over an address that is never bound, as this has all that a client has.
    pub(super) fn rules(&self) -> ListenerConfig {
        ListenerConfig {
            transport: Transport::Ws,
            bind: vec![crate::config::Address::Ip(([127, 0, 0, 1], 1).into())],
            socket: self.socket.clone(),
            websocket: self.websocket.limits(),
            rates: Rates {
                bytes: self.bytes,
                messages: self.messages,
                ..Rates::default()
            },
            timeouts: Timeouts {
                proxy_header: None,
                handshake: self.timeouts.handshake,
                first_byte: self.timeouts.first_byte,
                read_idle: self.timeouts.read_idle,
                write: self.timeouts.write,
                lifetime: None,
                minimum_rate: self.timeouts.minimum_rate,
            },
            buffers: self.buffers.clone(),
            ..ListenerConfig::default()
        }
    }
}
