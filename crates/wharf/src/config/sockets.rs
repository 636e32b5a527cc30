//! How connections are accepted, socket options, and Unix sockets.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IdentityRule;
use super::units::{mode, off_duration, off_size, size};

/// How connections are taken from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AcceptOptions {
    /// Tasks that accept on each address, 1 to 1,024. Default 2.
    pub acceptors: u32,
    /// Connections that the kernel keeps ready, 1 to 2,147,483,647 (the kernel caps it at
    /// `net.core.somaxconn`). Default 1,024.
    pub backlog: u32,
    /// Each acceptor has a socket of its own (`SO_REUSEPORT`), and the kernel spreads connections
    /// over them; with QUIC each has an endpoint of its own, at most 256, and nobody else may have a socket on
    /// the port. IP addresses only. Default false.
    pub reuse_port: bool,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            acceptors: 2,
            backlog: 1024,
            reuse_port: false,
        }
    }
}

/// TCP keep-alive probes (`SO_KEEPALIVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeepAlive {
    /// Silence before the first probe, 1 s to 32,767 s.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "super::units::DurationText")]
    pub idle: Duration,
    /// Between two probes, 1 s to 32,767 s.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "super::units::DurationText")]
    pub interval: Duration,
    /// Unanswered probes that end the connection, 1 to 127.
    pub count: u32,
}

/// Which address families an IPv6 wildcard address takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DualStack {
    /// IPv4 and IPv6 (`IPV6_V6ONLY` off).
    #[default]
    Both,
    /// IPv6 alone.
    Ipv6Only,
}

/// Socket options. Those of TCP and IP are for IP addresses only; an option that the host lacks is
/// an error when the listener starts. Absent: the kernel's default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SocketOptions {
    /// Small writes are sent at once (`TCP_NODELAY`). Default true.
    pub nodelay: bool,
    /// Keep-alive probes. Default: none.
    pub keepalive: Option<KeepAlive>,
    /// How long sent data may stay unacknowledged (`TCP_USER_TIMEOUT`), 1 ms to 24 d.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub user_timeout: Option<Duration>,
    /// Receive buffer of the kernel (`SO_RCVBUF`), 2 KiB to 1 GiB.
    #[serde(with = "off_size")]
    #[schemars(with = "super::units::OffSizeText")]
    pub receive_buffer: Option<u64>,
    /// Send buffer of the kernel (`SO_SNDBUF`), 4 KiB to 1 GiB.
    #[serde(with = "off_size")]
    #[schemars(with = "super::units::OffSizeText")]
    pub send_buffer: Option<u64>,
    /// Unsent bytes in the kernel above which a socket is not writable (`TCP_NOTSENT_LOWAT`), 1 byte
    /// to 1 GiB.
    #[serde(with = "off_size")]
    #[schemars(with = "super::units::OffSizeText")]
    pub notsent_lowat: Option<u64>,
    /// Connections that may wait with data in their SYN (`TCP_FASTOPEN`), 1 to 2,147,483,647.
    pub fast_open: Option<u32>,
    /// A connection is accepted only when it has sent its first bytes, or after this time
    /// (`TCP_DEFER_ACCEPT`, whole seconds, 1 s to 32,767 s).
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub defer_accept: Option<Duration>,
    /// Differentiated services code point of what is sent, 0 to 63 (RFC 2474).
    pub dscp: Option<u8>,
    /// The network device that connections must come by (`SO_BINDTODEVICE`), 1 to 15 characters.
    pub device: Option<String>,
    /// The address need not exist yet (`IP_FREEBIND`). Default false.
    pub freebind: bool,
    /// Connections to foreign addresses are accepted (`IP_TRANSPARENT`; needs `CAP_NET_ADMIN`).
    /// Default false.
    pub transparent: bool,
    /// Multipath TCP (RFC 8684) where the peer offers it. Default false.
    pub mptcp: bool,
    /// What closing does with unsent data (`SO_LINGER`), whole seconds, 0 s to 65,535 s: `"0s"`
    /// resets the connection.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub linger: Option<Duration>,
    /// What `"[::]:PORT"` takes.
    pub dual_stack: DualStack,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: None,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
            notsent_lowat: None,
            fast_open: None,
            defer_accept: None,
            dscp: None,
            device: None,
            freebind: false,
            transparent: false,
            mptcp: false,
            linger: None,
            dual_stack: DualStack::Both,
        }
    }
}

/// Unix socket files, and the rules for the processes that connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnixOptions {
    /// Permissions of the socket file, in octal (`"0660"`), in force before the first connection.
    /// Default `"0600"`: the same user only.
    #[serde(with = "mode")]
    #[schemars(with = "super::units::ModeText")]
    pub mode: u32,
    /// Owner of the socket file, by name or number. Default: the process's.
    pub owner: Option<String>,
    /// Group of the socket file, by name or number. Default: the process's.
    pub group: Option<String>,
    /// Ordered rules on the peer's credentials (`SO_PEERCRED`): `"allow uid 1000"`,
    /// `"allow gid 33"`, `"deny all"`. The first that matches decides, none means allow.
    pub peers: Vec<IdentityRule>,
}

impl Default for UnixOptions {
    fn default() -> Self {
        Self {
            mode: 0o600,
            owner: None,
            group: None,
            peers: Vec::new(),
        }
    }
}

/// Limits of WebSocket connections and rules for their upgrade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebSocketOptions {
    /// Paths of the request that are served, without the query. Empty: all. Others get a 404.
    pub paths: Vec<String>,
    /// `Host` values that are served, `name` or `name:port`, without regard to case. Empty: all.
    /// Others get a 421.
    pub hosts: Vec<String>,
    /// `Origin` values that are served, such as `"https://example.org"`. Empty: all. Others get a
    /// 403; so has a request without `Origin` when there is a list.
    pub origins: Vec<String>,
    /// Subprotocols, in the server's order of preference. Empty: none is negotiated.
    pub subprotocols: Vec<String>,
    /// A client that offers none of `subprotocols` is refused with a 400. Default false.
    pub subprotocol_required: bool,
    /// Bytes of the upgrade request's head, 512 B to 64 KiB. Default 8 KiB. A longer one gets a 431.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_head: u64,
    /// The largest frame that is read, 125 B to 1 GiB. Default 1 MiB. Above it: close code 1009.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_frame: u64,
    /// The largest message that is read, over all its frames, 125 B to 1 GiB. Default 1 MiB. Above
    /// it: close code 1009.
    #[serde(with = "size")]
    #[schemars(with = "super::units::SizeText")]
    pub max_message: u64,
    /// After this silence of the peer (1 ms to 1 d), or up to a quarter more, a ping is sent; after as much again
    /// without a byte the connection is closed. Default 30 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub ping: Option<Duration>,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            subprotocols: Vec::new(),
            subprotocol_required: false,
            max_head: 8 << 10,
            max_frame: 1 << 20,
            max_message: 1 << 20,
            ping: Some(Duration::from_secs(30)),
        }
    }
}
