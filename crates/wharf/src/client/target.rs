//! What a URL names.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Problem, Problems, Transport, decoded};

/// The longest URL, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest host name (RFC 1035 §3.1), in characters.
const LONGEST_HOST: usize = 253;
/// The most hosts of one URL.
const MOST_SITES: usize = 16;
/// `sun_path` is 108 bytes, one of them the final or leading zero.
const LONGEST_PATH: usize = 107;
const SCHEMES: &str = "expected a URL with the scheme tcp, tls, udp, dtls, sctp, quic, unix, unixgram, ws, wss, \
     tls+unix, ws+unix or wss+unix";

/// What to connect to, and what to speak there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) transport: Transport,
    /// Where, the preferred first; never empty.
    pub(super) sites: Vec<Site>,
    /// The path and query of a WebSocket request.
    pub(super) path: String,
}

/// A place, and the names that what is there is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) place: Place,
    /// The name that a TLS server's certificate is to have.
    pub(super) server_name: String,
    /// The `Host` of a WebSocket request.
    pub(super) host: String,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Host { host: String, port: u16 },
    Address(SocketAddr),
    Unix(PathBuf),
    Abstract(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Address(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// The transport of a scheme, and whether its address is a Unix socket.
fn scheme(name: &str) -> Option<(Transport, bool)> {
    Some(match name {
        "tcp" => (Transport::Tcp, false),
        "tls" => (Transport::Tls, false),
        "ws" => (Transport::Ws, false),
        "wss" => (Transport::Wss, false),
        #[cfg(feature = "quic")]
        "quic" => (Transport::Quic, false),
        "udp" => (Transport::Udp, false),
        "sctp" => (Transport::Sctp, false),
        #[cfg(feature = "dtls")]
        "dtls" => (Transport::Dtls, false),
        "unix" => (Transport::Unix, true),
        "unixgram" => (Transport::Unixgram, true),
        "tls+unix" => (Transport::Tls, true),
        "ws+unix" => (Transport::Ws, true),
        "wss+unix" => (Transport::Wss, true),
        _ => return None,
    })
}

impl Target {
    /// Reads a URL; every problem is told at once.
    pub(super) fn parse(url: &str) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let (name, rest) = url.split_once(':').unwrap_or((url, ""));
        let known = scheme(name).filter(|_| url.len() <= LONGEST);
        let Some((transport, is_unix)) = known else {
            let problem = if url.len() <= LONGEST {
                Problem::new("url", SCHEMES)
                    .given(name)
                    .advice("For example tcp://127.0.0.1:7000.")
            } else {
                Problem::new("url", "expected at most 64 KiB")
            };
            return Err(Problems(vec![problem]));
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        // RFC 6455 §3, and nothing that a socket has parts of.
        let (rest, fragment) = rest
            .split_once('#')
            .map_or((rest, false), |(r, _)| (r, true));
        if fragment {
            problems.push(Problem::new("url", "expected no fragment (`#`)"));
        }
        let target = if is_unix {
            unix(transport, rest, &mut problems)
        } else {
            network(transport, rest, &mut problems)
        };
        Problems(problems).into_result()?;
        Ok(target)
    }

    /// The same at this address, which is not looked up: the names stay those of the URL.
    pub(super) fn at(mut self, address: SocketAddr) -> Result<Self, Problems> {
        match &mut self.sites[..] {
            [site] if matches!(site.place, Place::Host { .. }) => {
                site.place = Place::Address(address);
                Ok(self)
            }
            _ => {
                let allowed = "expected one host: the address is given";
                Err(Problems(vec![Problem::new("url host", allowed)]))
            }
        }
    }
}

/// A Unix socket: its path or `@name`; for a WebSocket, `?path=/chat` is what to ask for there.
fn unix(transport: Transport, rest: &str, problems: &mut Vec<Problem>) -> Target {
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let address = decoded(address);
    let mut path = "/".to_owned();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "path" && transport.is_websocket() && value.starts_with('/') {
            path = value.into_owned();
        } else {
            let allowed = "expected `path=/…`, for ws+unix and wss+unix only";
            problems.push(Problem::new(format!("url query {key:?}"), allowed).given(value));
        }
    }
    let named = address.strip_prefix('@');
    let is_place = named.map_or(address.contains('/'), |name| !name.is_empty());
    if !is_place || address.contains('\0') || named.unwrap_or(&address).len() > LONGEST_PATH {
        let allowed = "expected a path with a slash or @name, of at most 107 bytes";
        let problem = Problem::new("url address", allowed).given(&address);
        problems.push(problem.advice("For example unix:/run/app.sock or unix:@name."));
    }
    let place = match named {
        Some(name) => Place::Abstract(name.to_owned()),
        None => Place::Unix(address.into()),
    };
    let site = Site {
        place,
        server_name: "localhost".to_owned(),
        host: "localhost".to_owned(),
    };
    Target {
        transport,
        sites: vec![site],
        path,
    }
}

/// Hosts with their ports, separated by commas; for a WebSocket, then the path and query to ask for.
fn network(transport: Transport, rest: &str, problems: &mut Vec<Problem>) -> Target {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !transport.is_websocket() && !matches!(path, "" | "/") {
        let allowed = format!("expected nothing behind the port for {}", transport.label());
        problems.push(Problem::new("url path", allowed).given(path));
    }
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        let allowed = "expected visible ASCII; percent-encode the rest";
        problems.push(Problem::new("url path", allowed).given(&path));
    }
    if authority.contains('@') {
        // Not shown: it may be a password.
        let problem = Problem::new("url host", "expected no user name or password");
        problems
            .push(problem.advice("Send credentials in `websocket.headers`, or in the protocol."));
    } else if authority.split(',').count() > MOST_SITES {
        problems.push(Problem::new("url host", "expected at most 16 hosts"));
    }
    let hosts = authority.split(',').take(MOST_SITES);
    Target {
        transport,
        sites: hosts.map(|text| site(transport, text, problems)).collect(),
        path,
    }
}

/// One host and its port.
fn site(transport: Transport, authority: &str, problems: &mut Vec<Problem>) -> Site {
    // With a user name it is refused already, and not shown.
    let shown = !authority.contains('@');
    let (host, port) = split(authority);
    let own = match transport {
        Transport::Ws => Some(80),
        Transport::Wss => Some(443),
        _ => None,
    };
    let is_host = if host.contains(':') {
        authority.starts_with('[') && host.parse::<Ipv6Addr>().is_ok()
    } else {
        is_name(host)
    };
    if !is_host && shown {
        let allowed = "expected a host name, an IPv4 address or an IPv6 address in brackets";
        problems.push(Problem::new("url host", allowed).given(authority));
    }
    let port = match port {
        None => own,
        Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0),
    };
    if port.is_none() && shown {
        let problem = Problem::new("url port", "expected a port, 1 to 65535").given(authority);
        problems.push(problem.advice(format!("For example {}://{host}:7000.", transport.label())));
    }
    let port = port.unwrap_or_default();
    let place = Place::Host {
        host: host.to_owned(),
        port,
    };
    let place_text = place.to_string();
    let host_field = if own == Some(port) {
        // RFC 6455 §4.1: without the port that is the scheme's own.
        place_text
            .strip_suffix(&format!(":{port}"))
            .unwrap_or(&place_text)
            .to_owned()
    } else {
        place_text
    };
    Site {
        place,
        server_name: host.to_owned(),
        host: host_field,
    }
}

/// The host without its brackets, and the text of the port if there is one.
fn split(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        return match rest {
            "" => (host, None),
            // What is no `:port` is no port either, and told as such.
            rest => (host, Some(rest.strip_prefix(':').unwrap_or(""))),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

fn is_name(host: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=LONGEST_HOST).contains(&host.len()) && host.chars().all(legal)
}

#[cfg(test)]
mod tests;
