//! `[sip]`: an edge for SIP clients, next to TURN. Off unless it listens somewhere.

mod checks;
mod listeners;

pub(super) use checks::check;
pub use listeners::{Listening, names};
pub(super) use listeners::{key, listeners};

use super::leaf::{self, Read};
use super::read::listen_address;
use super::section::{Section, kind};
use super::settings::{FleetKey, Stream};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use toml::{Value, toml};
use wharf::config::{DatagramOptions, Rate, WebSocketOptions};
use wharf::tls::ClientTlsOptions;
use wharf_sip::locate::Target;
use wharf_sip::{Host, Limits, OwnedHost, Transport, Uri};

/// `[sip]`: clients of SIP, and the server that they are brought to.
#[derive(Clone, Debug, PartialEq)]
pub struct Sip {
    /// UDP addresses. Default none.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses. Default those in `udp` (RFC 3261 §18.2.1).
    pub tcp: Vec<SocketAddr>,
    /// TLS addresses; they need [`Settings::tls`](super::Settings::tls). Default none.
    pub tls: Vec<SocketAddr>,
    /// WebSocket addresses. Default none.
    pub ws: Vec<SocketAddr>,
    /// Addresses for WebSockets over TLS; they need [`Settings::tls`](super::Settings::tls). Default none.
    pub wss: Vec<SocketAddr>,
    /// What the edge calls itself in messages.
    pub name: Option<OwnedHost>,
    /// Other names of it. Default none.
    pub aliases: Vec<OwnedHost>,
    /// Ports as clients and the upstream see them. Default those listened on.
    pub ports: BTreeMap<Transport, u16>,
    /// The server that requests go to.
    pub upstream: Option<Target>,
    /// Whose certificates the upstream may show, and what it is shown. Default: the system's, and nothing.
    pub upstream_tls: ClientTlsOptions,
    /// Whether requests that are too long for UDP go over TCP. Default on.
    pub switch_to_tcp: bool,
    /// Who is asked for the upstream's name. Default none: the system's name servers.
    pub name_servers: Vec<SocketAddr>,
    /// Who else is upstream. Default nobody.
    pub trusted: Vec<IpNet>,
    /// The key of flow tokens. Default: random in each process.
    pub flow_key: Option<FleetKey>,
    /// Connections at once, at least 1. Default 100,000.
    pub max_connections: u32,
    /// Bytes that may wait for one connection. Default 256 KiB.
    pub queue: usize,
    /// Messages taken from one connection.
    pub messages: Option<Rate>,
    /// What one message may cost.
    pub limits: Limits,
    /// The connections, and of datagrams access and rates, in the words of the library's listeners.
    pub stream: Stream,
    /// WebSockets: what is asked of an upgrade.
    pub websocket: WebSocketOptions,
    /// Threads and sockets of UDP.
    pub datagrams: DatagramOptions,
}

impl Sip {
    /// The addresses of each listener, with what carries SIP there.
    pub fn listening(&self) -> [Listening<'_>; 5] {
        use wharf::config::Transport as On;
        let [udp, tcp, tls, ws, wss] = names();
        [
            (udp, On::Udp, &self.udp),
            (tcp, On::Tcp, &self.tcp),
            (tls, On::Tls, &self.tls),
            (ws, On::Ws, &self.ws),
            (wss, On::Wss, &self.wss),
        ]
        .map(|(name, on, addresses)| Listening {
            name,
            on,
            addresses,
        })
    }

    /// Whether requests to the upstream may go over UDP.
    pub fn may_use_udp(&self) -> bool {
        let upstream = self.upstream.as_ref();
        upstream.is_some_and(|to| {
            !to.secure
                && to
                    .transport
                    .is_none_or(|transport| transport == Transport::Udp)
        })
    }

    /// Whether the upstream is a name.
    pub fn is_named(&self) -> bool {
        let upstream = self.upstream.as_ref();
        upstream.is_some_and(|to| to.host.name().is_some())
    }

    /// Whether it listens anywhere.
    pub fn is_on(&self) -> bool {
        let mut listening = self.listening().into_iter();
        listening.any(|one| !one.addresses.is_empty())
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Sip {
    let udp = section.list("udp", listen_address).unwrap_or_default();
    let network = leaf::parsed("a network", "10.0.0.0/8");
    let limits = Limits::default();
    // A phone whose network is gone says nothing, and SIP may be silent for as long as one likes.
    let stream = toml! {
        socket.dual-stack = "ipv6-only"
        socket.keepalive = { idle = "2m", interval = "30s", count = 4 }
    };
    let websocket = toml! {
        subprotocols = ["sip"]
        subprotocol-required = true
    };
    Sip {
        tcp: section
            .list("tcp", listen_address)
            .unwrap_or_else(|| udp.clone()),
        tls: section.list("tls", listen_address).unwrap_or_default(),
        ws: section.list("ws", listen_address).unwrap_or_default(),
        wss: section.list("wss", listen_address).unwrap_or_default(),
        name: section.optional("name", host),
        aliases: section.list("aliases", host).unwrap_or_default(),
        ports: section.optional("ports", ports).unwrap_or_default(),
        upstream: section.optional("upstream", target),
        upstream_tls: section.library("upstream-tls"),
        switch_to_tcp: section.or("switch-to-tcp", true, leaf::boolean),
        name_servers: section
            .list("name-servers", listen_address)
            .unwrap_or_default(),
        trusted: section.list("trusted", network).unwrap_or_default(),
        flow_key: section.secret("flow-key", leaf::base64_bytes).map(FleetKey),
        max_connections: section.or("max-connections", 100_000, leaf::integer(1..=10_000_000)),
        queue: section.or("queue", 256 << 10, leaf::buffer),
        messages: section.optional("messages", rate),
        limits: Limits {
            head: section.or("max-head", limits.head, size),
            body: section.or("max-body", limits.body, size),
            head_time: section.or("head-time", limits.head_time, leaf::duration("1s", "5m")),
            body_time: section.or("body-time", limits.body_time, leaf::duration("1s", "5m")),
            ..limits
        },
        stream: section.library_over("stream", &stream),
        websocket: section.library_over("websocket", &websocket),
        datagrams: section.library("datagrams"),
        udp,
    }
}

/// A name or an address, without a port.
fn host(value: &Value) -> Read<OwnedHost> {
    let host = Host::parse(leaf::text(value)?.as_bytes()).ok();
    let host = host.and_then(|host| OwnedHost::new(host).ok());
    let allowed = "expected a name or an address such as \"edge.example.com\" or \"203.0.113.5\"";
    host.ok_or_else(|| allowed.to_owned())
}

/// Where requests go.
fn target(value: &Value) -> Read<Target> {
    let uri = Uri::parse(leaf::text(value)?.as_bytes());
    let uri = uri.map_err(|error| format!("{error}; write \"sip:203.0.113.10:5060\""))?;
    Target::of(&uri).map_err(|error| error.to_string())
}

/// Ports by what carries SIP.
fn ports(value: &Value) -> Read<BTreeMap<Transport, u16>> {
    let Value::Table(table) = value else {
        let allowed = "expected ports such as { udp = 5060, wss = 443 }";
        return Err(format!("{allowed}, not {}", kind(value)));
    };
    let port = |(name, value): (&String, &Value)| {
        let listened = [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Ws,
            Transport::Wss,
        ];
        let transport = Transport::parse(name.as_bytes()).filter(|one| listened.contains(one));
        let transport = transport
            .ok_or_else(|| format!("unknown key `{name}`; there are udp, tcp, tls, ws and wss"))?;
        let port = leaf::integer(1..=u16::MAX)(value);
        Ok((
            transport,
            port.map_err(|reason| format!("`{name}`: {reason}"))?,
        ))
    };
    table.iter().map(port).collect()
}

/// So many messages a second, and so many at once.
fn rate(value: &Value) -> Read<Rate> {
    let allowed = "expected a rate such as { per-second = 50, burst = 200 }";
    let Some(table) = value.as_table() else {
        return Err(format!("{allowed}, not {}", kind(value)));
    };
    let unknown = table
        .keys()
        .find(|key| !["per-second", "burst"].contains(&key.as_str()));
    if let Some(key) = unknown {
        return Err(format!("unknown key `{key}`; {allowed}"));
    }
    let number = |name| {
        let given = table.get(name);
        let given = given.ok_or_else(|| format!("`{name}` is missing; {allowed}"))?;
        let number = leaf::integer(1..=u32::MAX)(given);
        number.map_err(|reason| format!("`{name}`: {reason}"))
    };
    Ok(Rate {
        per_second: number("per-second")?,
        burst: number("burst")?,
    })
}

/// Bytes of a part of a message.
fn size(value: &Value) -> Read<u32> {
    let bytes = leaf::buffer(value)?;
    let most = 16 << 20;
    let fits = u32::try_from(bytes).ok().filter(|&bytes| bytes <= most);
    fits.ok_or_else(|| "expected a size from 4KiB to 16MiB".to_owned())
}
