//! A stateless edge: clients on one side, over WebSockets or anything else, their server on the other.
//!
//! An [`Edge`] is an [`Upper`]. It sends the requests of clients to its upstream, and those of the upstream to
//! the client whose flow a token names: one that the edge has given to the upstream in the Path of a REGISTER
//! (RFC 3327, RFC 5626 §5.1) or in the Record-Route of a dialog. Responses go back by a token in the branch of
//! the edge's own Via. So it keeps nothing of transactions, dialogs and registrations, which are the
//! upstream's business, and is an open relay to nobody: what a client sends reaches the upstream or nothing,
//! and nobody reaches a client but the upstream.
//!
//! | request | goes |
//! |---|---|
//! | of a client, with no Route of the edge's or with one from a dialog | to the upstream |
//! | of a client, with the token of another client's flow | nowhere: 403 |
//! | of the upstream, with the token of a client's flow | over that flow; 430 where it is gone |
//! | of the upstream, without one | nowhere: 403 |
//! | OPTIONS to the edge itself | answered: 200 |
//!
//! Besides: 403 for a token that the edge has not made, 483 where Max-Forwards is used up, 482 for a request
//! that comes back at once, 420 for one that demands something of proxies, 480 for a `sips` target where the
//! upstream is not reached over TLS, 513 for a request that no datagram takes, 503 where there is no room or no
//! server of the upstream is reached, 400 for what cannot be read.
//!
//! With a [`Manager`], the upstream may be a name and reached over TCP and TLS: [`Edge::with_manager`].
//!
//! ```no_run
//! use wharf::{Server, Udp, Ws};
//! use wharf_sip::locate::Target;
//! use wharf_sip::{Host, OwnedHost, Uri};
//! use wharf_sip_transport::edge::{Edge, EdgeOptions};
//! use wharf_sip_transport::{Sip, SipOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let name = OwnedHost::new(Host::Name("edge.example.com"))?;
//! let upstream = Target::of(&Uri::parse(b"sip:192.0.2.10:5060")?)?;
//! let edge = Edge::new(EdgeOptions::new(name, upstream))?;
//! let sip = Sip::new(SipOptions::default(), edge.clone());
//! let ws = Ws::bind("[::]:80").with(|ws| ws.websocket.subprotocols = vec!["sip".into()]);
//! let server = Server::builder()
//!     .listen_with("udp", Udp::bind("[::]:5060"), sip.datagrams())
//!     .listen_with("ws", ws, sip.websockets())
//!     .build()?;
//! server.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
//! println!("{:?}", edge.stats());
//! # Ok(())
//! # }
//! ```

mod names;
mod options;
mod refusal;
mod request;
mod response;
mod stats;
#[cfg(test)]
mod tests;
mod tokens;
mod upstream;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use wharf_sip::{StartLine, Transport};

pub use options::{EdgeError, EdgeOptions, EdgeSecret};
pub use stats::EdgeStats;

use crate::{Incoming, Manager, Outgoing, Sip, Taken, Upper};
use names::Names;
use stats::EdgeCounters;
use tokens::{Side, Tokens};
use upstream::Upstream;

/// A stateless edge proxy (RFC 3261 §16.11, RFC 5626 §5). Cheap to clone.
///
/// It is the [`Upper`] of one [`Sip`] layer, whose listeners are for both sides. Its answers, refusals and
/// what it forwards leave at once. With a [`Manager`], up to 1,024 requests wait for DNS and connections; while
/// there are as many, connections are not read, and datagrams that would have to wait are dropped.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Names,
    tokens: Tokens,
    upstream: Upstream,
    trusted: Vec<IpNet>,
    counters: EdgeCounters,
}

impl Edge {
    /// An edge with these options, whose upstream is at an address and reached over UDP, however long a
    /// request is.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub fn new(options: EdgeOptions) -> Result<Self, EdgeError> {
        Self::build(options, None)
    }

    /// An edge whose requests get to the upstream by this manager, wherever and over whatever that is: by DNS,
    /// over TCP and TLS, and over TCP what is too long for UDP (RFC 3261 §18.1.1). It opens no connections to
    /// clients.
    ///
    /// The manager has to [watch](Manager::watch) the edge and to [begin](Manager::begin); its
    /// [`sent_by`](crate::ManagerOptions::sent_by) is [`EdgeOptions::sent_by`].
    ///
    /// # Errors
    /// [`EdgeError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_manager(options: EdgeOptions, manager: Manager) -> Result<Self, EdgeError> {
        Self::build(options, Some(manager))
    }

    fn build(options: EdgeOptions, manager: Option<Manager>) -> Result<Self, EdgeError> {
        options.check()?;
        Ok(Self(Arc::new(Inner {
            names: Names::new(&options),
            tokens: Tokens::new(options.secret)?,
            upstream: Upstream::new(options.upstream, manager)?,
            trusted: options.trusted,
            counters: EdgeCounters::default(),
        })))
    }

    /// The counters.
    pub fn stats(&self) -> EdgeStats {
        self.0.counters.snapshot()
    }

    fn counters(&self) -> &EdgeCounters {
        &self.0.counters
    }

    fn names(&self) -> &Names {
        &self.0.names
    }

    fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    /// On which side the sender of a message is.
    fn side(&self, incoming: &Incoming<'_>, sip: &Sip) -> Side {
        let transport = incoming.flow.flow.transport;
        let (ip, port) = (incoming.source.ip().to_canonical(), incoming.source.port());
        let trusted = || self.0.trusted.iter().any(|net| net.contains(&ip));
        let is_upstream = match transport {
            Transport::Ws | Transport::Wss => false,
            Transport::Udp => self.upstream().is_at(SocketAddr::new(ip, port)) || trusted(),
            // The edge opens connections to nobody else.
            _ => trusted() || sip.is_dialled(&incoming.flow),
        };
        if is_upstream {
            Side::Upstream
        } else {
            Side::Client
        }
    }
}

impl Upper for Edge {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        match incoming.scan.start {
            StartLine::Request { .. } => self.request(incoming, out),
            StartLine::Response { .. } => {
                self.response(incoming, out);
                Taken::Yes
            }
        }
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.upstream().room())
    }
}
