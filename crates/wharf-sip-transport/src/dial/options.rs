//! How connections are opened.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf::Client;
use wharf::client::ClientOptions;
use wharf::config::{Certificate, KeepAlive, Problem, Problems};
use wharf::tls::ServerNames;
use wharf_sip::Domain;
use wharf_sip::identity::Wildcards;

use super::SUBPROTOCOL;
use crate::PURPOSES;

/// The name of its clients in events and logs.
const NAME: &str = "sip";

/// How a [`Dialer`](crate::Dialer) opens connections.
#[derive(Debug, Clone, PartialEq)]
pub struct DialOptions {
    /// Sockets, times, rates, TLS and WebSockets of all connections. `tls.names` and
    /// `websocket.subprotocols` are as SIP has them, whatever is said here, and `tls.purposes` has those of SIP
    /// too ([`PURPOSES`]); `tls.certificate` is what is
    /// shown where a [`PoolKey`](wharf_sip::pool::PoolKey) names no domain of this element. Default: those of
    /// [`ClientOptions`], but for two of the socket, by which a connection whose server is gone ends, and takes
    /// no more requests: `user-timeout` is 32 s, the life of a transaction, and `keepalive` probes an idle one
    /// after 2 min, four times every 30 s.
    pub client: ClientOptions,
    /// What is shown on behalf of each domain of this element, if the server asks for a certificate. A key
    /// with a domain that is not here fails. Default: none.
    pub identities: BTreeMap<Domain, Certificate>,
    /// Whether a server proves a domain by a name with `*`. Default: it does not (RFC 5922 §7.2).
    pub wildcards: Wildcards,
    /// The path and query to ask a WebSocket server for, beginning with `/`. Default `/`.
    pub path: String,
}

impl Default for DialOptions {
    fn default() -> Self {
        let mut client = ClientOptions::default();
        client.socket.user_timeout = Some(Duration::from_secs(32));
        client.socket.keepalive = Some(KeepAlive {
            idle: Duration::from_mins(2),
            interval: Duration::from_secs(30),
            count: 4,
        });
        Self {
            client,
            identities: BTreeMap::new(),
            wildcards: Wildcards::default(),
            path: "/".to_owned(),
        }
    }
}

impl DialOptions {
    /// A client for each certificate.
    pub(super) fn clients(&self) -> Result<BTreeMap<Option<Domain>, Client>, Problems> {
        let mut problems = Vec::new();
        let visible = self
            .path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !visible || !self.path.starts_with('/') {
            let allowed = "expected a path that begins with a slash, of visible ASCII without `#`";
            problems.push(Problem::new("path", allowed).given(&self.path));
        }
        let mut clients = BTreeMap::new();
        let own = (None, &self.client.tls.certificate);
        let others = self.identities.iter();
        let others = others.map(|(domain, certificate)| (Some(domain), Some(certificate)));
        for (local, certificate) in std::iter::once((own.0, own.1.as_ref())).chain(others) {
            let mut options = self.client.clone();
            options.tls.certificate = certificate.cloned();
            options.tls.names = ServerNames::Caller;
            let purposes = PURPOSES.into_iter().map(str::to_owned);
            options.tls.purposes.extend(purposes);
            options.websocket.subprotocols = vec![SUBPROTOCOL.to_owned()];
            match Client::builder().name(NAME).options(options).build() {
                Ok(client) => {
                    clients.insert(local.cloned(), client);
                }
                Err(Problems(found)) => {
                    let at =
                        local.map_or("client".to_owned(), |domain| format!("identities.{domain}"));
                    problems.extend(found.into_iter().map(|mut problem| {
                        problem.key = format!("{at}.{}", problem.key);
                        problem
                    }));
                }
            }
        }
        Problems(problems).into_result()?;
        Ok(clients)
    }
}
