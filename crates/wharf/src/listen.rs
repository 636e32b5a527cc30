//! Where and what to listen: the builder's words for a [`ListenerConfig`].

use std::net;
use std::os::unix::net as unix;

use crate::bound::Bound;
use crate::config::{
    Address, Certificate, DemuxLayer, Limits, ListenerConfig, Pem, Problem, ProxyMode, Rates,
    Timeouts, Transport,
};

/// A listener to be: its configuration, and sockets that were made elsewhere.
#[derive(Debug)]
pub struct Listen {
    pub(crate) config: ListenerConfig,
    pub(crate) foreign: Vec<Foreign>,
    /// What was wrong in the words of the builder, told by `build`.
    pub(crate) problems: Vec<Problem>,
}

/// A listening socket made elsewhere.
#[derive(Debug)]
pub(crate) enum Foreign {
    /// By a listener of this server, which gives it up.
    Handed(Bound),
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
    Udp(net::UdpSocket),
    Unixgram(unix::UnixDatagram),
    #[cfg(any(test, feature = "testkit"))]
    Memory(crate::testkit::MemoryAcceptor),
}

/// TCP listeners.
#[derive(Debug, Clone, Copy)]
pub struct Tcp;

/// TLS listeners.
#[derive(Debug, Clone, Copy)]
pub struct Tls;

/// Unix stream listeners.
#[derive(Debug, Clone, Copy)]
pub struct Unix;

/// WebSocket listeners.
#[derive(Debug, Clone, Copy)]
pub struct Ws;

/// WebSocket listeners over TLS.
#[derive(Debug, Clone, Copy)]
pub struct Wss;

/// UDP listeners: datagrams, or the flows of their peers as messages.
#[derive(Debug, Clone, Copy)]
pub struct Udp;

/// DTLS listeners: sessions over UDP, as messages.
#[cfg(feature = "dtls")]
#[derive(Debug, Clone, Copy)]
pub struct Dtls;

#[cfg(feature = "dtls")]
impl Dtls {
    /// Receives on `address`; see [`Address`] for how it is written.
    pub fn bind(address: impl AsRef<str>) -> Listen {
        Listen::on(Transport::Dtls).bind(address)
    }

    /// Receives on a bound UDP socket made elsewhere.
    pub fn from_std(socket: net::UdpSocket) -> Listen {
        Listen::on(Transport::Dtls).foreign(Foreign::Udp(socket))
    }
}

/// Unix datagram listeners.
#[derive(Debug, Clone, Copy)]
pub struct Unixgram;

/// Gives a transport's name its ways to begin a [`Listen`].
macro_rules! transport {
    ($name:ident, $transport:expr) => {
        impl $name {
            /// Listens on `address`; see [`Address`] for how it is written.
            pub fn bind(address: impl AsRef<str>) -> Listen {
                Listen::on($transport).bind(address)
            }

            /// Listens on a TCP socket made elsewhere.
            pub fn from_std(listener: net::TcpListener) -> Listen {
                Listen::on($transport).foreign(Foreign::Tcp(listener))
            }

            /// Listens on a Unix socket made elsewhere; its file is left to its maker.
            pub fn from_std_unix(listener: unix::UnixListener) -> Listen {
                Listen::on($transport).foreign(Foreign::Unix(listener))
            }
        }
    };
}

transport!(Tcp, Transport::Tcp);
transport!(Tls, Transport::Tls);
transport!(Unix, Transport::Unix);
transport!(Ws, Transport::Ws);
transport!(Wss, Transport::Wss);

/// QUIC listeners.
#[cfg(feature = "quic")]
#[derive(Debug, Clone, Copy)]
pub struct Quic;

#[cfg(feature = "quic")]
impl Quic {
    /// Listens on `address`; see [`Address`] for how it is written.
    pub fn bind(address: impl AsRef<str>) -> Listen {
        Listen::on(Transport::Quic).bind(address)
    }

    /// Listens on a UDP socket made elsewhere.
    pub fn from_std(socket: net::UdpSocket) -> Listen {
        Listen::on(Transport::Quic).foreign(Foreign::Udp(socket))
    }
}

impl Udp {
    /// Receives on `address`; see [`Address`] for how it is written.
    pub fn bind(address: impl AsRef<str>) -> Listen {
        Listen::on(Transport::Udp).bind(address)
    }

    /// Receives on a bound UDP socket made elsewhere.
    pub fn from_std(socket: net::UdpSocket) -> Listen {
        Listen::on(Transport::Udp).foreign(Foreign::Udp(socket))
    }
}

impl Unixgram {
    /// Receives on `address`, a path or an abstract name.
    pub fn bind(address: impl AsRef<str>) -> Listen {
        Listen::on(Transport::Unixgram).bind(address)
    }

    /// Receives on a bound Unix datagram socket made elsewhere; its file is left to its maker.
    pub fn from_std(socket: unix::UnixDatagram) -> Listen {
        Listen::on(Transport::Unixgram).foreign(Foreign::Unixgram(socket))
    }
}

/// SCTP listeners: the kernel's, or over UDP (`sctp.via`).
#[derive(Debug, Clone, Copy)]
pub struct Sctp;

impl Sctp {
    /// Listens on `address`; see [`Address`] for how it is written. Over UDP its port is the UDP port and the SCTP
    /// port.
    pub fn bind(address: impl AsRef<str>) -> Listen {
        Listen::on(Transport::Sctp).bind(address)
    }
}

impl From<ListenerConfig> for Listen {
    fn from(config: ListenerConfig) -> Self {
        Self {
            config,
            foreign: Vec::new(),
            problems: Vec::new(),
        }
    }
}

impl Listen {
    fn on(transport: Transport) -> Self {
        ListenerConfig {
            transport,
            ..ListenerConfig::default()
        }
        .into()
    }

    /// From a URL such as `tls://[::]:5061?cert=/etc/cert.pem&key=/etc/key.pem`. What is wrong with
    /// it is told by `build`.
    pub fn url(url: &str) -> Self {
        match ListenerConfig::from_url(url) {
            Ok(config) => config.into(),
            Err(problems) => {
                let mut listen = Self::from(ListenerConfig::default());
                listen.problems = problems.0;
                listen
            }
        }
    }

    /// Listens on this address too.
    #[must_use]
    pub fn bind(mut self, address: impl AsRef<str>) -> Self {
        let text = address.as_ref();
        match text.parse::<Address>() {
            Ok(address) => self.config.bind.push(address),
            Err(error) => self
                .problems
                .push(Problem::new("bind", error.to_string()).given(text)),
        }
        self
    }

    pub(crate) fn foreign(mut self, foreign: Foreign) -> Self {
        self.foreign.push(foreign);
        self
    }

    /// A certificate and its key, as files or PEM text. The first is the default one; more are
    /// chosen by server name.
    #[must_use]
    pub fn cert(mut self, cert: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        let certificate = Certificate {
            cert: cert.into(),
            key: key.into(),
            names: Vec::new(),
        };
        self.config.tls.certificates.push(certificate);
        self
    }

    /// Application protocols, in the server's order of preference.
    #[must_use]
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.config.tls.alpn = protocols.into_iter().map(str::to_owned).collect();
        self
    }

    /// What connections may bring along beside the transport: it is taken off where their first bytes say
    /// that it is there.
    ///
    /// ```
    /// use wharf::Tcp;
    /// use wharf::config::DemuxLayer;
    ///
    /// // Plain and encrypted on one port.
    /// let listen = Tcp::bind("[::]:5060").demux([DemuxLayer::Tls]).cert("cert.pem", "key.pem");
    /// # let _ = listen;
    /// ```
    #[must_use]
    pub fn demux(mut self, layers: impl IntoIterator<Item = DemuxLayer>) -> Self {
        self.config.demux.layers = layers.into_iter().collect();
        self
    }

    /// Permissions of the socket file.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.config.unix.mode = mode;
        self
    }

    /// How many connections, and what happens to one too many.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// How fast.
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        self.config.rates = rates;
        self
    }

    /// How long.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// An access rule, after those that are there: `"allow 10.0.0.0/8"`, `"deny all"`.
    #[must_use]
    pub fn access(mut self, rule: &str) -> Self {
        match rule.parse() {
            Ok(rule) => self.config.access.push(rule),
            Err(error) => self
                .problems
                .push(Problem::new("access", error.to_string()).given(rule)),
        }
        self
    }

    /// PROXY headers from these source ranges.
    #[must_use]
    pub fn proxy<'a>(
        mut self,
        mode: ProxyMode,
        trusted: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.config.proxy.mode = mode;
        for range in trusted {
            match range.parse() {
                Ok(range) => self.config.proxy.trusted.push(range),
                Err(_) => self.problems.push(
                    Problem::new("proxy.trusted", "expected a range such as \"10.0.0.0/8\"")
                        .given(range),
                ),
            }
        }
        self
    }

    /// Changes any other option.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ListenerConfig)) -> Self {
        change(&mut self.config);
        self
    }
}
