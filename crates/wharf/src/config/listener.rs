//! One listener: where it listens, what it speaks, and every rule that an arrival meets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AcceptOptions, Address, Buffers, DatagramOptions, DemuxLayer, DemuxOptions, DtlsOptions,
    Limits, ProxyOptions, QuicOptions, Rates, Rule, SctpOptions, SocketOptions, Timeouts,
    TlsOptions, UnixOptions, WebSocketOptions,
};

/// What a listener speaks on the connections it accepts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Transport {
    /// Bytes over TCP; the addresses are IP addresses.
    #[default]
    Tcp,
    /// TLS over TCP or Unix sockets.
    Tls,
    /// Bytes over Unix stream sockets; the addresses are paths or abstract names.
    Unix,
    /// WebSocket (RFC 6455) over TCP or Unix sockets.
    Ws,
    /// WebSocket over TLS, over TCP or Unix sockets.
    Wss,
    /// QUIC (RFC 9000): streams of bytes, and datagrams as messages; the addresses are IP addresses.
    Quic,
    /// Datagrams over UDP; the addresses are IP addresses.
    Udp,
    /// Datagrams over Unix sockets; the addresses are paths or abstract names.
    Unixgram,
    /// SCTP (RFC 9260): messages on streams; the kernel's, or over UDP; the addresses are IP addresses.
    Sctp,
    /// DTLS 1.2 over UDP (RFC 6347), as messages; the addresses are IP addresses.
    Dtls,
}

impl Transport {
    /// Whether the transport is encrypted.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Quic | Self::Dtls)
    }

    /// Whether it is a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Whether a handler may take its connections as messages.
    pub fn has_messages(self) -> bool {
        self.is_websocket()
            || matches!(
                self,
                Self::Quic | Self::Sctp | Self::Udp | Self::Unixgram | Self::Dtls
            )
    }

    /// Whether its sockets carry datagrams.
    pub(crate) fn on_datagrams(self) -> bool {
        self == Self::Quic || self.has_flows()
    }

    /// Whether the datagrams of one peer are a flow.
    pub(crate) fn has_flows(self) -> bool {
        self.has_datagrams() || self == Self::Dtls
    }

    /// Whether a handler may take its datagrams one by one, without connections.
    pub fn has_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Unixgram)
    }

    /// Whether what comes first may decide what is spoken.
    pub(crate) fn has_choice(self) -> bool {
        self.has_datagrams() || matches!(self, Self::Tcp | Self::Unix | Self::Tls)
    }

    /// Whether a handler may take its connections as bytes.
    pub fn has_bytes(self) -> bool {
        match self {
            Self::Tcp | Self::Tls | Self::Unix | Self::Ws | Self::Wss | Self::Quic => true,
            Self::Udp | Self::Unixgram | Self::Sctp | Self::Dtls => false,
        }
    }

    /// Whether what is sent arrives, and in order; of QUIC, on each stream.
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Tcp | Self::Tls | Self::Unix | Self::Ws | Self::Wss | Self::Quic | Self::Sctp => {
                true
            }
            Self::Udp | Self::Unixgram | Self::Dtls => false,
        }
    }

    /// The name in configuration, URLs, logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Unix => "unix",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Quic => "quic",
            Self::Udp => "udp",
            Self::Unixgram => "unixgram",
            Self::Sctp => "sctp",
            Self::Dtls => "dtls",
        }
    }
}

/// A listener's configuration: the same value whether it comes from the builder, from TOML or from
/// a URL.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ListenerConfig {
    /// What is spoken.
    pub transport: Transport,
    /// Where to listen: `"[::]:7000"`, `"/run/app.sock"`, `"@abstract"`, `"systemd:NAME"`,
    /// `"fd:3"`. Several are one logical listener with one set of limits.
    pub bind: Vec<Address>,
    /// How connections are taken from the kernel.
    pub accept: AcceptOptions,
    /// Socket options.
    pub socket: SocketOptions,
    /// Unix socket files and their peers.
    pub unix: UnixOptions,
    /// The PROXY protocol.
    pub proxy: ProxyOptions,
    /// Several protocols on one port, told apart by their first bytes.
    pub demux: DemuxOptions,
    /// TLS, for `tls`, `wss`, `quic` and `dtls`, and as a layer.
    pub tls: TlsOptions,
    /// DTLS, for `dtls`, and as a layer.
    pub dtls: DtlsOptions,
    /// WebSocket, for `ws` and `wss`, and as a layer.
    pub websocket: WebSocketOptions,
    /// QUIC, for `quic`.
    pub quic: QuicOptions,
    /// Datagrams, for `udp` and `unixgram`.
    pub datagrams: DatagramOptions,
    /// SCTP, for `sctp`.
    pub sctp: SctpOptions,
    /// How many connections, and what happens to one too many.
    pub limits: Limits,
    /// Ordered rules, `"allow 10.0.0.0/8"` or `"deny all"`: the first that matches decides, and
    /// none means allow. Checked on the raw peer and again on the proxied one.
    pub access: Vec<Rule>,
    /// How fast.
    pub rates: Rates,
    /// How long.
    pub timeouts: Timeouts,
    /// What may be kept in memory for one connection.
    pub buffers: Buffers,
}

impl ListenerConfig {
    /// Whether connections are encrypted, or may be.
    pub fn is_secure(&self) -> bool {
        self.transport.is_secure() || self.demux.has(DemuxLayer::Tls) || self.speaks_dtls()
    }

    /// Whether connections are WebSockets, or may be.
    pub fn is_websocket(&self) -> bool {
        self.transport.is_websocket() || self.demux.has(DemuxLayer::Websocket)
    }

    /// Whether sessions are those of DTLS, or may be.
    pub(crate) fn speaks_dtls(&self) -> bool {
        self.transport == Transport::Dtls || self.demux.has(DemuxLayer::Dtls)
    }
}
