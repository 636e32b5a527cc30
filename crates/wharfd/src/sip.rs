//! SIP next to TURN: the edge of `[sip]`, and what it has counted.

mod metrics;

use crate::config::{self, Settings, sip_names};
use crate::problem::Problem;
use std::collections::BTreeMap;
use wharf::Builder;
use wharf::config::Transport as On;
use wharf_sip::Transport;
use wharf_sip_transport::edge::{Edge, EdgeOptions, EdgeSecret};
use wharf_sip_transport::{Sip, SipOptions};

pub(crate) use metrics::Counted;

/// The edge and the layer that carries its messages. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    sip: Sip,
    edge: Edge,
}

impl Service {
    /// The edge that the settings ask for, if they do.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, Problem> {
        let sip = &settings.sip;
        let Some(asked) = edge_options(sip).filter(|_| sip.is_on()) else {
            return Ok(None);
        };
        let edge = Edge::new(asked);
        let edge = edge.map_err(|error| Problem::new("sip", error.to_string()))?;
        let sip = Sip::new(options(sip), edge.clone());
        Ok(Some(Self { sip, edge }))
    }

    /// What handles its listeners, those of a later configuration too.
    pub(crate) fn handlers(&self, server: Builder) -> Builder {
        let [udp, tcp, tls, ws, wss] = sip_names();
        server
            .handler(udp, self.sip.datagrams())
            .handler(tcp, self.sip.streams())
            .handler(tls, self.sip.streams())
            .handler(ws, self.sip.websockets())
            .handler(wss, self.sip.websockets())
    }
}

fn options(sip: &config::Sip) -> SipOptions {
    SipOptions {
        limits: sip.limits,
        max_connections: sip.max_connections as usize,
        queue: sip.queue,
        ..SipOptions::default()
    }
}

/// The edge's options; none where what it needs is missing.
pub(crate) fn edge_options(sip: &config::Sip) -> Option<EdgeOptions> {
    let (name, upstream) = (sip.name.clone()?, sip.upstream.clone()?);
    Some(EdgeOptions {
        aliases: sip.aliases.clone(),
        ports: ports(sip),
        trusted: sip.trusted.clone(),
        secret: sip.flow_key.as_ref().map(|key| EdgeSecret(key.0)),
        ..EdgeOptions::new(name, upstream)
    })
}

/// The ports to be told: those of the file, otherwise the one that is listened on, where there is one.
fn ports(sip: &config::Sip) -> BTreeMap<Transport, u16> {
    let mut ports = sip.ports.clone();
    for listening in sip.listening() {
        let transport = match listening.on {
            On::Udp => Transport::Udp,
            On::Tcp => Transport::Tcp,
            On::Tls => Transport::Tls,
            On::Ws => Transport::Ws,
            _ => Transport::Wss,
        };
        let mut listened = listening.addresses.iter().map(std::net::SocketAddr::port);
        if let Some(first) = listened.next()
            && listened.all(|other| other == first)
        {
            ports.entry(transport).or_insert(first);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(more: &str) -> Settings {
        let file = format!(
            "[listen]\nudp = ['127.0.0.1:3478']\n[auth]\nusers = {{ a = 'b' }}\n[sip]\n\
             udp = ['127.0.0.1:5060']\nname = 'a.example'\nupstream = 'sip:192.0.2.1'\n{more}"
        );
        Settings::parse(&file).unwrap()
    }

    #[test]
    fn what_the_file_says_reaches_the_edge() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let more = format!(
            "ws = ['127.0.0.1:80', '127.0.0.1:81']\nports = {{ tcp = 5099 }}\naliases = ['b.example']\n\
             trusted = ['192.0.2.0/24']\nflow-key = '{key}'"
        );
        let options = edge_options(&settings(&more).sip).unwrap();
        // Of two ports neither is the one: each message has that which it came to.
        let ports = [(Transport::Udp, 5060), (Transport::Tcp, 5099)];
        assert_eq!(options.ports, ports.into());
        assert_eq!(options.aliases.len(), 1);
        assert_eq!(options.trusted, ["192.0.2.0/24".parse().unwrap()]);
        let key = EdgeSecret(std::array::from_fn(|at| at as u8));
        assert_eq!(options.secret, Some(key));
    }

    #[test]
    fn what_the_file_says_reaches_the_layer() {
        let more = "max-connections = 7\nqueue = '64KiB'\nmax-head = '8KiB'\nmax-body = '1MiB'\n\
                    head-time = '3s'\nbody-time = '4s'";
        let options = options(&settings(more).sip);
        assert_eq!((options.max_connections, options.queue), (7, 64 << 10));
        let limits = options.limits;
        assert_eq!((limits.head, limits.body), (8 << 10, 1 << 20));
        let times = (limits.head_time, limits.body_time);
        assert_eq!(times, (Duration::from_secs(3), Duration::from_secs(4)));
    }
}
