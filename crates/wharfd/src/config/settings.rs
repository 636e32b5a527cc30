//! Checked settings: what a configuration file means. A value of these types is valid.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use wharf::config::{
    AcceptOptions, Address, DualStack, Limits as StreamLimits, ProxyOptions, Rates, Rule,
    SocketOptions, Timeouts, TlsOptions, UnixOptions,
};

/// Everything a configuration file says, one field per section.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[listen]`
    pub listen: Listen,
    /// `[stream]`
    pub stream: Stream,
    /// `[tls]`: of `listen.tls`, `listen.dtls`, `sip.tls` and `sip.wss`. `alpn` is that of RFC 7443 unless the file says otherwise.
    pub tls: TlsOptions,
    /// `[dtls]`
    pub dtls: Dtls,
    /// `[sip]`
    pub sip: super::Sip,
    /// `[relay]`
    pub relay: Relay,
    /// `[auth]`
    pub auth: Auth,
    /// `[allocations]`
    pub allocations: Allocations,
    /// `[peers]`
    pub peers: Peers,
    /// `[limits]`
    pub limits: Limits,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
}

/// `[server]`: the process as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// REALM of the long-term credentials (RFC 8489 §9.2). Default `wharf`.
    pub realm: String,
    /// Worker threads, at least 1. Default: one for each of the CPUs that the process may use.
    pub workers: Option<u8>,
    /// Ties each worker to one CPU. Default off.
    pub pin_workers: bool,
    /// How long live allocations may go on after the first SIGTERM. Default 1 minute.
    pub drain_deadline: Duration,
    /// A Unix socket on which a successor asks for this process's sockets, and at which this one asks for
    /// those of its predecessor. Default none: off.
    pub handover: Option<PathBuf>,
}

/// `[listen]`: where clients reach the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// UDP addresses, at least one, without duplicates.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses. Default none.
    pub tcp: Vec<SocketAddr>,
    /// TLS addresses; they need [`Settings::tls`]. Default none.
    pub tls: Vec<SocketAddr>,
    /// UDP addresses whose sockets speak DTLS too, also of those in `udp`; they need
    /// [`Settings::tls`]. Default none.
    pub dtls: Vec<SocketAddr>,
    /// `SO_RCVBUF` of each socket in bytes. Default 4 MiB.
    pub receive_buffer: Option<usize>,
    /// `SO_SNDBUF` of each socket in bytes. Default: the kernel's.
    pub send_buffer: Option<usize>,
}

/// `[stream]`: the clients over TCP and TLS, in the words of the library's listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stream {
    /// How connections are taken from the kernel.
    pub accept: AcceptOptions,
    /// Socket options. IPv6 sockets take IPv6 only unless the file says otherwise.
    pub socket: SocketOptions,
    /// The PROXY protocol.
    pub proxy: ProxyOptions,
    /// How many connections.
    pub limits: StreamLimits,
    /// Ordered rules on the client's address; the first that matches decides.
    pub access: Vec<Rule>,
    /// How fast.
    pub rates: Rates,
    /// How long.
    pub timeouts: Timeouts,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            accept: AcceptOptions::default(),
            socket: SocketOptions {
                // As the sockets for UDP.
                dual_stack: DualStack::Ipv6Only,
                ..SocketOptions::default()
            },
            proxy: ProxyOptions::default(),
            limits: StreamLimits::default(),
            access: Vec::new(),
            rates: Rates::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// `[dtls]`: the sessions over DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// Sessions at once. Default 100,000.
    pub max_sessions: u32,
    /// Sessions whose handshakes are not complete. Default 4,096.
    pub max_handshakes: u32,
    /// Sessions of one source; 0: no limit. Default 1,024.
    pub max_sessions_per_prefix: u32,
    /// Sessions of one source whose handshakes are not complete; 0: no limit. Default 256.
    pub max_handshakes_per_prefix: u32,
    /// How long a handshake may take. Default 10 seconds.
    pub handshake_timeout: Duration,
    /// The largest datagram of a handshake, in bytes without IP and UDP headers. Default 1,200.
    pub mtu: u16,
}

impl Default for Dtls {
    fn default() -> Self {
        Self {
            max_sessions: 100_000,
            max_handshakes: 4_096,
            max_sessions_per_prefix: 1_024,
            max_handshakes_per_prefix: 256,
            handshake_timeout: Duration::from_secs(10),
            mtu: 1_200,
        }
    }
}

/// `[admin]`: the socket of the tools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admin {
    /// A Unix socket, by path or abstract name. Default none: off.
    pub listen: Option<Address>,
    /// Permissions of its file and rules for who connects. Default: the same user only.
    pub unix: UnixOptions,
}

/// `[relay]`: where peers reach the allocations.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Relay addresses, at least one. Default: the addresses listened on.
    pub addresses: Vec<RelayAddress>,
    /// Ports of relayed transport addresses. Default 49152 to 65535.
    pub ports: RangeInclusive<u16>,
    /// What happens to the type-of-service octet. Default [`Tos::Copy`].
    pub tos: Tos,
}

/// One relay address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// The local address that relay sockets bind to.
    pub bind: IpAddr,
    /// The address that clients are told: differs from `bind` behind a one-to-one NAT.
    pub advertise: IpAddr,
}

/// DSCP and ECN of relayed datagrams (RFC 8656 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tos {
    /// The octet of the datagram received goes onto the datagram sent.
    Copy,
    /// Datagrams leave with DSCP 0 and Not-ECT.
    Clear,
}

/// `[auth]`: who may allocate.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// Static users.
    pub users: Vec<User>,
    /// Shared secrets of time-limited credentials; the first makes them, each verifies them.
    pub secrets: Vec<Secret>,
    /// Also refuses a Refresh after the credential's expiry. Default off.
    pub strict_expiry: bool,
    /// How long a nonce is good for. Default 1 hour.
    pub nonce_lifetime: Duration,
    /// The key that makes nonces. Default: random in each process.
    pub fleet_key: Option<FleetKey>,
    /// PASSWORD-ALGORITHMS offered, at least one. Default both.
    pub algorithms: Vec<Algorithm>,
    /// Offers USERHASH in place of USERNAME (RFC 8489 §9.2). Default off.
    pub username_anonymity: bool,
}

/// A static user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// USERNAME, prepared with OpaqueString (RFC 8265 §4.2).
    pub name: String,
    /// What proves it.
    pub proof: Proof,
}

/// A password, or the keys made from it (RFC 8489 §9.2.2).
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The password itself, prepared with OpaqueString.
    Password(Secret),
    /// `MD5(user:realm:password)` and `SHA-256(user:realm:password)`; at least one is there.
    Keys {
        /// Key for clients that use MD5.
        md5: Option<[u8; 16]>,
        /// Key for clients that use SHA-256.
        sha256: Option<[u8; 32]>,
    },
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Keys { .. } => "Keys(..)",
        })
    }
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The 32 bytes from which every server of a fleet makes its nonces.
#[derive(Clone, PartialEq, Eq)]
pub struct FleetKey(pub [u8; 32]);

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey(..)")
    }
}

/// A password algorithm (RFC 8489 §18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Code point 0x0001.
    Md5,
    /// Code point 0x0002.
    Sha256,
}

/// `[allocations]`: how long and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocations {
    /// LIFETIME when none is asked for, and the least that is granted. Default 10 minutes.
    pub default_lifetime: Duration,
    /// The longest LIFETIME granted. Default 1 hour.
    pub max_lifetime: Duration,
    /// Allocations of one user; 0 is no limit. Default 100.
    pub per_user: u32,
    /// Allocations in the whole process. Default 100,000.
    pub total: u32,
    /// Permissions of one allocation. Default 1,000.
    pub permissions: u32,
    /// Channels of one allocation. Default 4,096.
    pub channels: u32,
    /// Takes channel numbers up to 0x7FFE (RFC 5766 §11) instead of 0x4FFF. Default off.
    pub rfc5766_channels: bool,
    /// How long the second port of an EVEN-PORT pair is held. Default 30 seconds.
    pub reservation_lifetime: Duration,
    /// Where a draining server sends clients (300, RFC 8489 §10). Default none: 508.
    pub alternate_servers: Vec<SocketAddr>,
}

/// `[peers]`: which addresses may be relayed to. Everything not public is refused by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers {
    /// Networks allowed although the default refuses them.
    pub allow: Vec<IpNet>,
    /// Networks refused; wins over `allow`.
    pub deny: Vec<IpNet>,
    /// Refuses all that `allow` does not list. Default off.
    pub allow_only: bool,
    /// Allows loopback peers, on a server that listens on loopback only. Default off.
    pub allow_loopback: bool,
    /// Refuses peer ports below 1024. Default off.
    pub deny_low_ports: bool,
}

/// `[limits]`: what one source gets before it has authenticated.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Answers per second and source prefix; 0 is no limit. Default 1,000.
    pub unauthenticated_per_second: u32,
    /// Answers at once. Default 2,000.
    pub unauthenticated_burst: u32,
    /// Bits of an IPv4 source that count as one. Default 32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 source that count as one. Default 56.
    pub ipv6_prefix: u8,
    /// Answers a request that can only fail with 437 or 400 in place of a longer 401. Default on.
    pub early_refusal: bool,
}

/// `[metrics]`: the Prometheus endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// TCP address of `/metrics`; port 0 takes a free one. Default none: off.
    pub listen: Option<SocketAddr>,
    /// Allows `listen` to be another address than loopback. Default off.
    pub allow_remote: bool,
}

/// `[log]`: how the log looks. The command line wins over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Default [`LogFormat::Auto`].
    pub format: LogFormat,
    /// Default [`LogLevel::Info`].
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// One readable line per event.
    Human,
    /// One JSON object per line.
    Json,
}

/// The least severe event that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Failures of the server.
    Error,
    /// What an operator should look at.
    Warn,
    /// Start, stop, reload, refused credentials.
    Info,
    /// Every allocation.
    Debug,
    /// Everything.
    Trace,
}

/// Where settings came from, and what it said.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub table: toml::Table,
}
