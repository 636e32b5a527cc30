//! From what a user writes to listeners and targets: URIs, schemes, configurations.
//!
//! | written | listens on |
//! |---|---|
//! | `sip:192.0.2.1` | UDP and TCP, port 5060 (RFC 3261 §18.2.1) |
//! | `sip:[::]:5080;transport=tcp` | TCP |
//! | `sips:192.0.2.1?cert=/a.pem&key=/a.key` | TLS, port 5061 |
//! | `ws://0.0.0.0:8080/sip` | WebSocket, upgraded at this path only |
//! | `wss://[::]?cert=/a.pem&key=/a.key` | WebSocket over TLS, port 443 |
//!
//! What follows the `?` are options of the listener, as in [`ListenerConfig::from_url`].
//!
//! ```
//! use wharf_sip_transport::factory;
//!
//! let config = factory::listeners(["sip:127.0.0.1:5070", "ws://127.0.0.1:8080"]).unwrap();
//! let names: Vec<_> = config.listeners.keys().map(String::as_str).collect();
//! assert_eq!(names, ["sip-0", "sip-0-tcp", "sip-1"]);
//!
//! let target = factory::target("wss://edge.example.com").unwrap();
//! assert_eq!(target.transport, Some(wharf_sip::Transport::Wss));
//! ```

use std::net::{IpAddr, SocketAddr};

use wharf::config::{Address, Problem, Problems, Transport as On};
use wharf::{ListenerConfig, Server, ServerConfig};
use wharf_sip::locate::{LocateError, Target};
use wharf_sip::{Host, OwnedHost, Transport, Uri};

use crate::Sip;

/// The subprotocol of SIP (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";

/// The transport that a scheme names without a `transport` parameter: that of `sip` is UDP, of `sips` TLS
/// (RFC 3263 §4.1); `ws` and `wss` are those of URLs (RFC 6455 §3). In any case of letters.
pub fn transport(scheme: &str) -> Option<Transport> {
    let schemes = [
        ("sip", Transport::Udp),
        ("sips", Transport::Tls),
        ("ws", Transport::Ws),
        ("wss", Transport::Wss),
    ];
    let known = schemes
        .iter()
        .find(|known| known.0.eq_ignore_ascii_case(scheme));
    known.map(|&(_, transport)| transport)
}

/// Where requests to this URI go: a `sip` or `sips` URI, or the URL of a WebSocket server, of which the path
/// is a matter of [`DialOptions::path`](crate::DialOptions::path).
///
/// # Errors
/// It is none of these, or asks for what cannot be followed.
pub fn target(uri: &str) -> Result<Target, LocateError> {
    let Some((transport, authority, _)) = websocket(uri) else {
        return Target::of(&Uri::parse(uri.as_bytes())?);
    };
    // An authority is written like the host and port of a SIP URI.
    let uri = format!("sip:{authority}");
    let uri = Uri::parse(uri.as_bytes())?;
    Ok(Target {
        host: OwnedHost::new(uri.host)?,
        port: uri.port,
        transport: Some(transport),
        secure: transport.is_secure(),
    })
}

/// The listeners of these URIs, the first named `sip-0`, [completed](complete).
///
/// # Errors
/// All problems at once, each with the number of its URI.
pub fn listeners<'a>(uris: impl IntoIterator<Item = &'a str>) -> Result<ServerConfig, Problems> {
    let mut config = ServerConfig::default();
    let mut problems = Vec::new();
    for (index, uri) in uris.into_iter().enumerate() {
        match listener(uri) {
            Ok(listener) => {
                config.listeners.insert(format!("sip-{index}"), listener);
            }
            Err(Problems(more)) => problems.extend(more.into_iter().map(|problem| Problem {
                key: format!("uri[{index}].{}", problem.key),
                ..problem
            })),
        }
    }
    Problems(problems).into_result()?;
    complete(&mut config)?;
    Ok(config)
}

/// One listener of a URI, not completed.
fn listener(uri: &str) -> Result<ListenerConfig, Problems> {
    let (transport, address, path, options) =
        place(uri).map_err(|problem| Problems(vec![problem.given(uri)]))?;
    let scheme = on(transport).map_or("", On::label);
    let mut listener = ListenerConfig::from_url(&format!("{scheme}://{address}?{options}"))?;
    if !path.is_empty() && path != "/" {
        listener.websocket.paths.push(path.to_owned());
    }
    Ok(listener)
}

/// The transport, address, path and options that a URI names.
fn place(uri: &str) -> Result<(Transport, SocketAddr, &str, &str), Problem> {
    if let Some((transport, authority, rest)) = websocket(uri) {
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        let address = address(authority, transport)
            .ok_or_else(|| Problem::new("bind", "expected an IP address, as in ws://[::]:8080"))?;
        return Ok((transport, address, path, options));
    }
    let allowed = "expected a sip, sips, ws or wss URI with an IP address, as in sip:[::]:5060";
    let read = Uri::parse(uri.as_bytes());
    let read = read.map_err(|error| Problem::new("uri", allowed).advice(error.to_string()))?;
    let ip = read
        .host
        .ip()
        .ok_or_else(|| Problem::new("bind", allowed))?;
    if read.user.is_some() {
        return Err(Problem::new(
            "uri",
            "expected no user: a listener is for all of them",
        ));
    }
    let target = Target {
        host: OwnedHost::Ip(ip),
        ..Target::of(&read).map_err(|error| Problem::new("transport", error.to_string()))?
    };
    let transport = match (target.transport, target.secure) {
        (None, secure) => transport(if secure { "sips" } else { "sip" }),
        (Some(transport), true) => transport.secured(),
        (transport, false) => transport,
    };
    let transport = transport.filter(|&one| on(one).is_some());
    let transport = transport.ok_or_else(|| {
        Problem::new(
            "transport",
            "expected udp, tcp, tls, ws or wss, and none but tls and wss with sips",
        )
    })?;
    let others = read.parameters.iter();
    if let Some(other) = others
        .into_iter()
        .find(|one| !one.name.eq_ignore_ascii_case(b"transport"))
    {
        let name = String::from_utf8_lossy(other.name).into_owned();
        let advice = "Options of a listener follow a question mark.";
        return Err(Problem::new(name, "is no parameter of a listener").advice(advice));
    }
    let options = read.headers.unwrap_or_default();
    let options = str::from_utf8(options).map_err(|_| Problem::new("uri", "expected UTF-8"))?;
    let port = read.port.unwrap_or(transport.default_port());
    Ok((transport, SocketAddr::new(ip, port), "", options))
}

/// A WebSocket's URL: its transport, its authority, and what follows.
fn websocket(uri: &str) -> Option<(Transport, &str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let transport = transport(scheme).filter(|one| one.is_websocket())?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    Some((transport, authority, rest))
}

fn address(authority: &str, transport: Transport) -> Option<SocketAddr> {
    let ip = || Host::parse(authority.as_bytes()).ok()?.ip();
    let usual = |ip: IpAddr| SocketAddr::new(ip, transport.default_port());
    authority.parse().ok().or_else(|| ip().map(usual))
}

/// What carries this transport below.
fn on(transport: Transport) -> Option<On> {
    match transport {
        Transport::Udp => Some(On::Udp),
        Transport::Tcp => Some(On::Tcp),
        Transport::Tls => Some(On::Tls),
        Transport::Ws => Some(On::Ws),
        Transport::Wss => Some(On::Wss),
        Transport::Sctp | Transport::TlsSctp => None,
    }
}

/// Makes listeners those of SIP:
///
/// - each one over UDP gets one over TCP on the same addresses, named `NAME-tcp`, with the same access and
///   socket options, where there is none yet (RFC 3261 §18.2.1: "if a server listens over UDP, it must listen
///   over TCP on the same port and interface");
/// - each WebSocket agrees to the subprotocol `sip` and refuses who does not offer it (RFC 7118 §4).
///
/// # Errors
/// All problems at once: a listener that no transport of SIP runs over, one over UDP without a port of its
/// own, and what [`ServerConfig::check`] finds.
pub fn complete(config: &mut ServerConfig) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut twins = Vec::new();
    for (name, listener) in &mut config.listeners {
        match listener.transport {
            On::Udp => twins.push((name.clone(), listener.clone())),
            On::Ws | On::Wss => {
                listener.websocket.subprotocols = vec![SUBPROTOCOL.to_owned()];
                listener.websocket.subprotocol_required = true;
            }
            On::Tcp | On::Tls => {}
            other => {
                let key = format!("listeners.{name}.transport");
                let problem = Problem::new(
                    key,
                    "expected udp, tcp, tls, ws or wss: SIP runs over these",
                );
                problems.push(problem.given(other.label()));
            }
        }
    }
    for (name, udp) in twins {
        for (index, address) in udp.bind.iter().enumerate() {
            if matches!(address, Address::Ip(address) if address.port() == 0) {
                let key = format!("listeners.{name}.bind[{index}]");
                let allowed = "expected a port: TCP is served on the same one";
                problems.push(Problem::new(key, allowed).given(address));
            }
        }
        let twin = format!("{name}-tcp");
        let tcp = config
            .listeners
            .values()
            .filter(|one| one.transport == On::Tcp);
        let taken: Vec<_> = tcp.flat_map(|one| &one.bind).cloned().collect();
        let mut bind = udp.bind;
        bind.retain(|address| matches!(address, Address::Ip(_)) && !taken.contains(address));
        if bind.is_empty() {
            continue;
        }
        if config.listeners.contains_key(&twin) {
            let allowed = "expected TCP on the addresses of the listener over UDP, or another name";
            problems.push(Problem::new(format!("listeners.{twin}"), allowed));
            continue;
        }
        let listener = ListenerConfig {
            transport: On::Tcp,
            bind,
            access: udp.access,
            socket: udp.socket,
            ..ListenerConfig::default()
        };
        config.listeners.insert(twin, listener);
    }
    if let Err(Problems(more)) = config.check() {
        problems.extend(more);
    }
    Problems(problems).into_result()
}

impl Sip {
    /// A server whose listeners are these, [completed](complete), each with this layer as its handler; to be
    /// built as any other.
    ///
    /// # Errors
    /// All problems at once.
    pub fn server(&self, mut config: ServerConfig) -> Result<wharf::Builder, Problems> {
        complete(&mut config)?;
        let handlers = config.listeners.iter().map(|(name, listener)| {
            let handlers = match listener.transport {
                On::Udp => self.datagrams(),
                On::Ws | On::Wss => self.websockets(),
                _ => self.streams(),
            };
            (name.clone(), handlers)
        });
        let handlers: Vec<_> = handlers.collect();
        let server = Server::builder().config(config);
        Ok(handlers
            .into_iter()
            .fold(server, |server, (name, handlers)| {
                server.handler(&name, handlers)
            }))
    }
}

#[cfg(test)]
mod tests;
