//! What an edge writes of itself, and recognizes.

use std::collections::BTreeMap;

use wharf_sip::flow::Flow;
use wharf_sip::{Host, OwnedHost, Scheme, Transport, Uri};

use super::EdgeOptions;
use super::tokens::Side;

/// One side of the edge as a message sees it that comes in or goes out there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop {
    pub(super) side: Side,
    pub(super) transport: Transport,
    /// The port of the listener, where it is known.
    port: Option<u16>,
}

impl Hop {
    pub(super) fn of(side: Side, flow: &Flow) -> Self {
        // A connection to the upstream may be one that the edge has opened, from no listener's port.
        let opened = side == Side::Upstream && flow.transport.is_reliable();
        Self {
            side,
            transport: flow.transport,
            port: (!opened).then_some(flow.local.port()),
        }
    }

    /// The upstream's side, before there is a flow.
    pub(super) fn opened(transport: Transport) -> Self {
        Self {
            side: Side::Upstream,
            transport,
            port: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Names {
    host: OwnedHost,
    aliases: Vec<OwnedHost>,
    ports: BTreeMap<Transport, u16>,
}

impl Names {
    pub(super) fn new(options: &EdgeOptions) -> Self {
        Self {
            host: options.host.clone(),
            aliases: options.aliases.clone(),
            ports: options.ports.clone(),
        }
    }

    fn port(&self, hop: Hop) -> u16 {
        let chosen = self.ports.get(&hop.transport).copied();
        let default = || hop.transport.default_port();
        chosen.or(hop.port).unwrap_or_else(default)
    }

    /// The Via for a request that leaves there. Over UDP the answer is to come to the port that it left from
    /// (RFC 3581 §3).
    pub(super) fn via(&self, hop: Hop, branch: &str) -> String {
        let (host, port) = (self.host.as_host(), self.port(hop));
        let rport = if hop.transport == Transport::Udp {
            ";rport"
        } else {
            ""
        };
        format!(
            "SIP/2.0/{} {host}:{port};branch={branch}{rport}",
            hop.transport
        )
    }

    /// The URI, in angle brackets, that whoever is there reaches the edge by (RFC 3261 §16.6 step 4).
    /// `user` is its user part, or empty.
    pub(super) fn route(&self, hop: Hop, scheme: Scheme, user: &str, parameters: &str) -> String {
        let (host, port) = (self.host.as_host(), self.port(hop));
        let scheme = match scheme {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
        };
        let at = if user.is_empty() { "" } else { "@" };
        let transport = match (hop.transport, scheme) {
            (Transport::Udp, _) | (Transport::Tls, "sips") => "",
            (Transport::Tls, _) => ";transport=tls",
            // RFC 7118 §5.2.2: the same over TLS.
            (Transport::Ws | Transport::Wss, _) => ";transport=ws",
            _ => ";transport=tcp",
        };
        format!("<{scheme}:{user}{at}{host}:{port}{transport};lr{parameters}>")
    }

    /// Whether a host is one of the edge's names.
    pub(super) fn is_host(&self, host: Host<'_>) -> bool {
        let mut names = std::iter::once(&self.host).chain(&self.aliases);
        names.any(|name| name.as_host() == host)
    }

    /// Whether a URI has one of the edge's names, and the port that `flow` came to or one that is written.
    pub(super) fn is_in(&self, uri: &Uri<'_>, flow: &Flow) -> bool {
        let usual = if uri.scheme == Scheme::Sips {
            Transport::Tls
        } else {
            Transport::Udp
        };
        let transport = uri.transport().ok().flatten().unwrap_or(usual);
        let port = uri.port.unwrap_or(transport.default_port());
        let known = port == flow.local.port() || self.ports.values().any(|&own| own == port);
        known && self.is_host(uri.host)
    }
}
