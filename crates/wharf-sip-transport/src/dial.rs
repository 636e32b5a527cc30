//! Connections that this element opens: TCP, TLS, WS and WSS.
//!
//! The address comes from RFC 3263 and the name from before it: the domain of a [`PoolKey`] is asked for by
//! SNI, and the server has to prove it by the rules of RFC 5922, which are stricter than those of the Web.
//!
//! ```
//! use wharf_sip_transport::{DialOptions, Dialer, Incoming, Outgoing, Sip, SipOptions, Taken, Upper};
//!
//! struct Nobody;
//!
//! impl Upper for Nobody {
//!     fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
//!         Taken::Yes
//!     }
//! }
//!
//! let sip = Sip::new(SipOptions::default(), Nobody);
//! let dialer = Dialer::new(sip, DialOptions::default())?;
//! # Ok::<(), wharf::config::Problems>(())
//! ```

mod error;
mod options;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wharf::config::Problems;
use wharf::{Client, Connection, DrainReport};
use wharf_sip::identity::Wildcards;
use wharf_sip::pool::PoolKey;
use wharf_sip::{Domain, Transport};

use crate::identity::identities;
use crate::{FlowRef, Sip};

pub use error::DialError;
pub use options::DialOptions;

/// The subprotocol of SIP (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";

/// Opens connections for a [`Sip`] layer. Cheap to clone; may be used by many tasks at once.
///
/// Each attempt has times of its own ([`ClientTimeouts`](wharf::client::ClientTimeouts)): one that is slow
/// holds up no other.
#[derive(Debug, Clone)]
pub struct Dialer {
    sip: Sip,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    options: DialOptions,
    /// By the domain whose certificate is shown.
    clients: BTreeMap<Option<Domain>, Client>,
}

/// What an attempt is made with.
struct Plan {
    client: Client,
    url: String,
    wildcards: Wildcards,
}

impl Dialer {
    /// Checks every option, and reads the files that those of TLS name.
    ///
    /// # Errors
    /// All problems at once.
    pub fn new(sip: Sip, options: DialOptions) -> Result<Self, Problems> {
        let clients = options.clients()?;
        let state = Arc::new(Mutex::new(State { options, clients }));
        Ok(Self { sip, state })
    }

    /// Opens a connection, and attaches it to the layer, whose messages it brings from now on.
    ///
    /// Over TLS the server has to prove `key.domain`, or the address where there is none. Dropping the future
    /// ends the attempt.
    ///
    /// # Errors
    /// [`DialError`]; [`failure`](DialError::failure) says what it means for a request (RFC 3261 §18.4).
    pub async fn dial(&self, key: &PoolKey) -> Result<FlowRef, DialError> {
        let Plan {
            client,
            url,
            wildcards,
        } = self.plan(key)?;
        if !key.transport.is_websocket() {
            let stream = client.connect_at(key.address, &url).await?;
            prove(stream.connection(), key, wildcards)?;
            return Ok(self.sip.attach(stream)?);
        }
        let messages = client.connect_messages_at(key.address, &url).await?;
        prove(messages.connection(), key, wildcards)?;
        if messages.connection().subprotocol() != Some(SUBPROTOCOL) {
            return Err(DialError::NoSubprotocol);
        }
        Ok(self.sip.attach_messages(messages)?)
    }

    /// The layer that it opens connections for.
    pub fn sip(&self) -> &Sip {
        &self.sip
    }

    fn plan(&self, key: &PoolKey) -> Result<Plan, DialError> {
        let scheme = match key.transport {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
            other => return Err(DialError::NotSupported(other)),
        };
        let state = self.state();
        let local = key.local.clone().filter(|_| key.transport.is_secure());
        let Some(client) = state.clients.get(&local) else {
            return Err(local.map_or(
                DialError::NotSupported(key.transport),
                DialError::NoIdentity,
            ));
        };
        let (ip, port) = (key.address.ip(), key.address.port());
        let authority = match &key.domain {
            Some(domain) => format!("{domain}:{port}"),
            None => SocketAddr::new(ip, port).to_string(),
        };
        let path = if key.transport.is_websocket() {
            &*state.options.path
        } else {
            ""
        };
        Ok(Plan {
            client: client.clone(),
            url: format!("{scheme}://{authority}{path}"),
            wildcards: state.options.wildcards,
        })
    }

    /// Changes the options. What concerns certificates, names and times holds for connections that are opened
    /// from now on; those that are open stay. The files that the options of TLS name are read again, even if
    /// nothing else has changed: so a certificate is renewed.
    ///
    /// `change` must not use this dialer.
    ///
    /// # Errors
    /// All problems at once; then the options stay as they were.
    pub fn change(&self, change: impl FnOnce(&mut DialOptions)) -> Result<(), Problems> {
        let mut state = self.state();
        let mut options = state.options.clone();
        change(&mut options);
        // Those that are there go on with their connections and counters.
        let mut clients = options.clients()?;
        for (local, client) in &mut clients {
            if let Some(there) = state.clients.get(local) {
                there.change(|options| *options = client.options())?;
                *client = there.clone();
            }
        }
        *state = State { options, clients };
        Ok(())
    }

    /// The options in force.
    pub fn options(&self) -> DialOptions {
        self.state().options.clone()
    }

    /// The client that opens connections on behalf of this domain, with its counters; `None` as the domain
    /// is the one of all others.
    pub fn client(&self, local: Option<&Domain>) -> Option<Client> {
        self.state().clients.get(&local.cloned()).cloned()
    }

    /// Opens no more connections, and lets those that are open end: each when no answer can be waited for on
    /// it any more (RFC 3261 §17.1.1.2, 64×T1), all at the deadline. A report for each client.
    pub async fn drain(&self, deadline: Duration) -> Vec<DrainReport> {
        let clients: Vec<_> = self.state().clients.values().cloned().collect();
        let draining = clients
            .into_iter()
            .map(|client| tokio::spawn(async move { client.drain(deadline).await }));
        let draining: Vec<_> = draining.collect();
        let mut reports = Vec::with_capacity(draining.len());
        for one in draining {
            reports.extend(one.await.ok());
        }
        reports
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server is who it should be (RFC 5922 §7.3). An address is no SIP domain: it is proven by an
/// IP address in the certificate.
fn prove(connection: &Connection, key: &PoolKey, wildcards: Wildcards) -> Result<(), DialError> {
    if !key.transport.is_secure() {
        return Ok(());
    }
    let peer = connection.tls().and_then(|tls| tls.peer.as_deref());
    let peer = peer.ok_or(DialError::Unidentified)?;
    let identities = identities(peer);
    let proven = match &key.domain {
        Some(domain) => identities.prove(domain, wildcards),
        None => peer.ip_addresses.contains(&key.address.ip()),
    };
    if proven {
        return Ok(());
    }
    Err(DialError::WrongName {
        expected: match &key.domain {
            Some(domain) => domain.to_string(),
            None => key.address.ip().to_string(),
        },
        shown: identities.domains().to_vec(),
    })
}

#[cfg(test)]
mod tests;
