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
//! that comes back at once, 480 for a `sips` target where the upstream is not reached over TLS, 513 for a
//! request that no datagram takes, 503 where there is no room, 400 for what cannot be read.
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
mod request;
mod response;
mod stats;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use wharf_sip::locate::{LocateRules, Locator, Next};
use wharf_sip::{OwnedHost, StartLine, Transport};

pub use options::{EdgeError, EdgeOptions, EdgeSecret};
pub use stats::EdgeStats;

use crate::{FlowRef, Incoming, Outgoing, SendError, Sip, Taken, Upper};
use names::Names;
use stats::EdgeCounters;
use tokens::{Side, Tokens};

/// A stateless edge proxy (RFC 3261 §16.11, RFC 5626 §5). Cheap to clone.
///
/// It is the [`Upper`] of one [`Sip`] layer, whose listeners are for both sides. Its answers, refusals and
/// what it forwards leave at once: it holds no queue of its own.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Names,
    tokens: Tokens,
    upstream: SocketAddr,
    trusted: Vec<IpNet>,
    counters: EdgeCounters,
}

impl Edge {
    /// An edge with these options.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub fn new(options: EdgeOptions) -> Result<Self, EdgeError> {
        if matches!(options.host, OwnedHost::Ip(ip) if ip.is_unspecified()) {
            return Err(EdgeError::Unspecified);
        }
        let mut locator = Locator::new(&options.upstream, Arc::new(LocateRules::default()), 0)?;
        let upstream = match locator.next() {
            Next::Try(candidate) if candidate.transport == Transport::Udp => candidate.address,
            _ => return Err(EdgeError::Unreachable),
        };
        Ok(Self(Arc::new(Inner {
            names: Names::new(&options),
            tokens: Tokens::new(options.secret)?,
            upstream,
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

    /// On which side the sender of a message is.
    fn side(&self, incoming: &Incoming<'_>) -> Side {
        let transport = incoming.flow.flow.transport;
        let (ip, port) = (incoming.source.ip().to_canonical(), incoming.source.port());
        let itself = transport == Transport::Udp && SocketAddr::new(ip, port) == self.0.upstream;
        let trusted = || self.0.trusted.iter().any(|net| net.contains(&ip));
        if !transport.is_websocket() && (itself || trusted()) {
            Side::Upstream
        } else {
            Side::Client
        }
    }

    /// The flow to the upstream.
    fn upstream(&self, sip: &Sip) -> Result<FlowRef, SendError> {
        sip.datagrams_to(self.0.upstream).ok_or(SendError::NoSocket)
    }
}

impl Upper for Edge {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        match incoming.scan.start {
            StartLine::Request { .. } => self.request(incoming, out),
            StartLine::Response { .. } => self.response(incoming, out),
        }
        Taken::Yes
    }
}
