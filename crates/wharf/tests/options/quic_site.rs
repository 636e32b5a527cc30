//! A QUIC listener on loopback, and clients of bare quinn.

use std::net::UdpSocket;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use wharf::quic::quinn::crypto::rustls::QuicClientConfig;
use wharf::quic::quinn::{
    ClientConfig, Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime,
    TransportConfig,
};
use wharf::testkit::{Authority, Leaf};
use wharf::{Builder, Handle, Handlers, ListenerConfig, Quic, Server, Stats};

/// The name of the listener.
pub(crate) const IT: &str = "it";
/// Its server name.
pub(crate) const NAME: &str = "a.example";

pub(crate) struct Site {
    pub(crate) ca: Authority,
    pub(crate) handle: Handle,
}

impl Site {
    /// A listener with a certificate for [`NAME`] and the protocol `it`.
    pub(crate) fn new(
        handlers: impl Into<Handlers>,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        Self::with(Server::builder(), handlers, change)
    }

    pub(crate) fn with(
        builder: Builder,
        handlers: impl Into<Handlers>,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        let ca = Authority::new("ca");
        let leaf = ca.issue(&Leaf::named("a", &[NAME]));
        let listen = Quic::bind("127.0.0.1:0")
            .with(|config| config.tls.certificates.push(leaf.certificate()))
            .alpn([IT])
            .with(change);
        let server = builder
            .listen_with(IT, listen, handlers.into())
            .build()
            .unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        Self { ca, handle }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.handle.address(IT).unwrap().ip().unwrap()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.handle.inspect(IT).unwrap().stats
    }

    /// Waits until the counters are as expected, at most 5 s.
    pub(crate) async fn until(&self, what: impl Fn(&Stats) -> bool) -> Stats {
        let mut events = self.handle.events();
        let waiting = async {
            loop {
                let stats = self.stats();
                if what(&stats) {
                    return stats;
                }
                // Each change of a counter comes with an event, some a moment later.
                let next =
                    tokio::time::timeout(std::time::Duration::from_millis(20), events.recv());
                let _ = next.await;
            }
        };
        let patience = std::time::Duration::from_secs(5);
        let waited = tokio::time::timeout(patience, waiting).await;
        waited.unwrap_or_else(|_| panic!("the counters stay at {:?}", self.stats()))
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(|_, _| {})
    }

    pub(crate) fn client_with(
        &self,
        set: impl FnOnce(&mut TransportConfig, &mut rustls::ClientConfig),
    ) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let wharf::config::Pem::Inline { pem } = self.ca.pem() else {
            unreachable!("the authority is in memory")
        };
        let root = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![IT.into()];
        let mut transport = TransportConfig::default();
        set(&mut transport, &mut tls);
        let crypto = QuicClientConfig::try_from(tls).unwrap();
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        Client {
            endpoint: endpoint(),
            config,
        }
    }

    /// Connects with a client of its own.
    pub(crate) async fn dial(&self) -> Result<Connection, ConnectionError> {
        self.client().begin(self).await
    }
}

/// A client of bare quinn.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    config: ClientConfig,
}

impl Client {
    pub(crate) fn begin(&self, site: &Site) -> Connecting {
        self.begin_at(site.address())
    }

    pub(crate) fn begin_at(&self, address: std::net::SocketAddr) -> Connecting {
        let config = self.config.clone();
        self.endpoint.connect_with(config, address, NAME).unwrap()
    }
}

fn endpoint() -> Endpoint {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), None, socket, runtime).unwrap()
}
