//! SIP next to TURN: the edge of `[sip]`, and what it has counted.

mod metrics;

use crate::config::{self, Settings, sip_names};
use crate::problem::{Problem, Problems};
use std::collections::BTreeMap;
use wharf::config::Transport as On;
use wharf::{Builder, Client};
use wharf_sip::Transport;
use wharf_sip_transport::edge::{Edge, EdgeError, EdgeOptions, EdgeSecret};
use wharf_sip_transport::{
    DialOptions, Dialer, DnsError, DnsOptions, DnsResolver, Manager, ManagerOptions, Sip,
    SipOptions, TableResolver,
};

pub(crate) use metrics::Counted;

/// The edge and the layer that carries its messages. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    sip: Sip,
    edge: Edge,
    dialer: Dialer,
}

impl Service {
    /// The edge that the settings ask for, if they do.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, Problems> {
        let sip = &settings.sip;
        let Some(asked) = edge_options(sip).filter(|_| sip.is_on()) else {
            return Ok(None);
        };
        let wrong = |error: EdgeError| Problem::new("sip", error.to_string());
        let manager = ManagerOptions {
            sent_by: asked.sent_by().map_err(wrong)?,
            ..manager_options(sip)
        };
        let manager = if sip.is_named() {
            let resolver = DnsResolver::new(&dns_options(sip));
            let unknown = |error: DnsError| Problem::new("sip.name-servers", error.to_string());
            Manager::new(manager, resolver.map_err(unknown)?)
        } else {
            Manager::new(manager, TableResolver::default())
        };
        let edge = Edge::with_manager(asked, manager.clone()).map_err(wrong)?;
        let layer = Sip::new(options(sip), manager.watch(edge.clone()));
        let dialer = Dialer::new(layer.clone(), dial_options(sip)).map_err(in_file)?;
        manager.begin(layer.clone(), dialer.clone());
        Ok(Some(Self {
            sip: layer,
            edge,
            dialer,
        }))
    }

    /// Reads the certificates anew that the upstream may show, and that it is shown. Connections that are
    /// open stay.
    pub(crate) fn reload_upstream_tls(&self) -> Result<(), Problems> {
        self.dialer.change(|_| {}).map_err(in_file)
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
        messages: sip.messages,
        ..SipOptions::default()
    }
}

fn manager_options(sip: &config::Sip) -> ManagerOptions {
    let mut options = ManagerOptions::default();
    options.switch.enabled = sip.switch_to_tcp;
    let no_udp = sip.udp.is_empty();
    let transports = &mut options.locate.transports;
    transports.retain(|&transport| transport != Transport::Udp || !no_udp);
    options
}

fn dns_options(sip: &config::Sip) -> DnsOptions {
    DnsOptions {
        servers: sip.name_servers.clone(),
        ..DnsOptions::default()
    }
}

fn dial_options(sip: &config::Sip) -> DialOptions {
    let mut options = DialOptions::default();
    options.client.tls = sip.upstream_tls.clone();
    options
}

/// Whether connections to the upstream can be opened so: the files that TLS names are read.
pub(crate) fn check_upstream_tls(sip: &config::Sip) -> Result<(), Problems> {
    let client = Client::builder().options(dial_options(sip).client);
    client.build().map(drop).map_err(in_file)
}

/// Problems of what opens connections at the keys of the file.
fn in_file(problems: wharf::config::Problems) -> Problems {
    let at = |mut problem: wharf::config::Problem| {
        let key = problem.key.rsplit_once("tls.").map(|(_, key)| key);
        problem.key = format!("sip.upstream-tls.{}", key.unwrap_or(&problem.key));
        Problem::from(problem)
    };
    Problems(problems.0.into_iter().map(at).collect())
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
    fn what_the_file_says_reaches_the_manager() {
        let options = |more: &str| manager_options(&settings(more).sip);
        assert!(options("").switch.enabled && !options("switch-to-tcp = false").switch.enabled);
        assert!(options("").locate.transports.contains(&Transport::Udp));
        let file = "[listen]\nudp = ['127.0.0.1:3478']\n[auth]\nusers = { a = 'b' }\n[sip]\n\
                    ws = ['127.0.0.1:80']\nname = 'a.example'\nupstream = 'sips:b.example'";
        let without = manager_options(&Settings::parse(file).unwrap().sip);
        assert!(!without.locate.transports.contains(&Transport::Udp));
        let dial = dial_options(&settings("upstream-tls = { ca = ['/a.pem'] }").sip);
        assert_eq!(dial.client.tls.ca.len(), 1);
        let file = file.replace(
            "'sips:b.example'",
            "'sips:b.example'\nname-servers = ['192.0.2.53:53']",
        );
        let dns = dns_options(&Settings::parse(&file).unwrap().sip);
        assert_eq!(dns.servers, ["192.0.2.53:53".parse().unwrap()]);
    }

    #[test]
    fn what_the_file_says_reaches_the_layer() {
        let more = "max-connections = 7\nqueue = '64KiB'\nmax-head = '8KiB'\nmax-body = '1MiB'\n\
                    head-time = '3s'\nbody-time = '4s'\nmessages = { per-second = 5, burst = 6 }";
        let options = options(&settings(more).sip);
        assert_eq!((options.max_connections, options.queue), (7, 64 << 10));
        let rate = options.messages.unwrap();
        assert_eq!((rate.per_second, rate.burst), (5, 6));
        let limits = options.limits;
        assert_eq!((limits.head, limits.body), (8 << 10, 1 << 20));
        let times = (limits.head_time, limits.body_time);
        assert_eq!(times, (Duration::from_secs(3), Duration::from_secs(4)));
    }
}
