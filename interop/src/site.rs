//! A daemon and the peer behind it.

use std::time::Duration;

use crate::{Config, Daemon, Finished, PASSWORD, Peer, PortBlock, Process, USER, Uclient, tool};

/// One daemon and one echo peer, on ports that nobody else uses.
#[derive(Debug)]
pub struct Site {
    /// The daemon under test.
    pub daemon: Daemon,
    /// The echo peer its clients send to.
    pub peer: Peer,
    config: Config,
    // After the daemon and the peer: the ports are given back when their users have ended.
    _ports: PortBlock,
}

impl Site {
    /// Starts both with the configuration of [`Config::new`].
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts both after `change` has been at the configuration.
    #[must_use]
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut ports = PortBlock::claim();
        let mut config = Config::new(&mut ports);
        change(&mut config);
        let peer = Peer::start(&mut ports);
        Self {
            daemon: Daemon::start(&config),
            peer,
            config,
            _ports: ports,
        }
    }

    /// The daemon's configuration, to be changed for a reload.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// coturn's client, pointed at the daemon's IPv4 listener, as the daemon's static user.
    #[must_use]
    pub fn uclient(&self) -> Uclient {
        Uclient::new(self.daemon.port(), self.peer.port()).user(USER, PASSWORD)
    }

    /// The same client over TCP.
    #[must_use]
    pub fn tcp(&self) -> Uclient {
        self.uclient().flags("-t")
    }

    /// The same client over DTLS.
    #[must_use]
    pub fn dtls(&self) -> Uclient {
        let port = self.daemon.tls_port();
        self.uclient().flags(&format!("-S -p {port}"))
    }

    /// The same client over TLS. It takes any certificate; `-E FILE` makes it look.
    #[must_use]
    pub fn tls(&self) -> Uclient {
        let port = self.daemon.tls_port();
        self.uclient().flags(&format!("-t -S -p {port}"))
    }

    /// A handshake of OpenSSL's client at the port of TLS and DTLS, which hangs up when it is done.
    #[must_use]
    pub fn openssl(&self, flags: &str) -> Finished {
        let mut command = tool("openssl");
        let address = format!("127.0.0.1:{}", self.daemon.tls_port());
        command.args(["s_client", "-connect", &address]);
        command.args(flags.split_whitespace());
        Process::spawn(&command).finish(Duration::from_secs(20))
    }
}
