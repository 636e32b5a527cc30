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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::site::{host, target};

    fn names(ports: &[(Transport, u16)]) -> Names {
        let mut options = EdgeOptions::new(host("edge.example"), target("sip:192.0.2.1"));
        options.ports = ports.iter().copied().collect();
        Names::new(&options)
    }

    fn hop(side: Side, transport: Transport) -> Hop {
        let flow = Flow {
            transport,
            local: "192.0.2.9:7000".parse().unwrap(),
            remote: "192.0.2.8:9000".parse().unwrap(),
        };
        Hop::of(side, &flow)
    }

    #[test]
    fn rfc5658_each_side_is_written_as_it_is_reached() {
        use Scheme::{Sip, Sips};
        use Transport::{Tcp, Tls, Udp, Ws, Wss};
        for (transport, scheme, expected) in [
            (Udp, Sip, "<sip:t@edge.example:7000;lr;ob>"),
            (Tcp, Sip, "<sip:t@edge.example:7000;transport=tcp;lr;ob>"),
            (Tls, Sip, "<sip:t@edge.example:7000;transport=tls;lr;ob>"),
            (Ws, Sip, "<sip:t@edge.example:7000;transport=ws;lr;ob>"),
            (Wss, Sip, "<sip:t@edge.example:7000;transport=ws;lr;ob>"),
            (Tls, Sips, "<sips:t@edge.example:7000;lr;ob>"),
            (Wss, Sips, "<sips:t@edge.example:7000;transport=ws;lr;ob>"),
        ] {
            let route = names(&[]).route(hop(Side::Client, transport), scheme, "t", ";ob");
            assert_eq!(route, expected, "{transport}");
        }
        let without = names(&[]).route(hop(Side::Client, Udp), Sip, "", "");
        assert_eq!(without, "<sip:edge.example:7000;lr>");
    }

    #[test]
    fn c3_the_port_is_the_one_given_or_that_of_the_listener() {
        use Transport::{Tcp, Tls, Udp, Ws};
        for (side, transport, ports, expected) in [
            (Side::Client, Ws, &[][..], 7000),
            (Side::Client, Ws, &[(Ws, 443)][..], 443),
            (Side::Client, Ws, &[(Udp, 443)][..], 7000),
            (Side::Upstream, Udp, &[][..], 7000),
            // That of a connection that the edge has opened is nobody's to connect to.
            (Side::Upstream, Tcp, &[][..], 5060),
            (Side::Upstream, Tls, &[][..], 5061),
            (Side::Upstream, Tcp, &[(Tcp, 5070)][..], 5070),
        ] {
            let via = names(ports).via(hop(side, transport), "z9hG4bK1");
            let rport = if transport == Udp { ";rport" } else { "" };
            let sent_by = format!("SIP/2.0/{transport} edge.example:{expected}");
            assert_eq!(via, format!("{sent_by};branch=z9hG4bK1{rport}"));
        }
    }
}
