//! Connections that we make: the same shapes, options, counters and control as those that come.

mod builder;
mod check;
mod dial;
mod error;
mod establish;
mod handshake;
mod keep;
mod options;
mod pool;
mod proxy;
#[cfg(feature = "quic")]
mod quic;
mod race;
mod reach;
mod rules;
mod target;
mod tries;
mod ways;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

pub use builder::ClientBuilder;
pub use error::{Attempt, AttemptError, ConnectError, Stage};
use establish::{not_bytes, not_messages};
pub use keep::{KeepEnd, KeepState, Keeper, Lost};
pub use options::{
    ClientOptions, ClientTimeouts, ClientWebSocket, ProxiedClient, Reconnect, SendProxy,
};
pub use pool::{Pool, PoolError, PoolOptions, PoolStats, PoolStatus, Pooled};
use rules::Rules;
use target::{Place, Site, Target};
pub use tries::AttemptStats;
use tries::Tries;
use ways::Ways;

use crate::connection::Connection;
use crate::events::Event;
use crate::owner::Owner;
use crate::reason::Closed;
use crate::server::{DrainReport, drain_owners};
use crate::wire::Socket;
use crate::{Filter, Messages, Stats, Stream};

/// Makes connections. Cheap to clone; its connections go on when it is dropped.
///
/// | URL | connects to |
/// |---|---|
/// | `tcp://host:port`, `tls://host:port` | a host, an address or a name |
/// | `quic://host:port` | a QUIC server: a stream on the connection that is there, or on a new one |
/// | `udp://host:port`, `unixgram:/run/app.sock` | a socket of datagrams, each a message |
/// | `dtls://host:port` | a DTLS server: a session, as messages |
/// | `sctp://host:port` | an SCTP server: an association, as messages |
/// | `ws://host[:port]/path?query`, `wss://…` | a WebSocket server |
/// | `unix:/run/app.sock`, `unix:@name` | a Unix socket |
/// | `tls+unix:…`, `ws+unix:…?path=/chat`, `wss+unix:…` | the same over a Unix socket; its name is `localhost` |
///
/// Between the addresses of a name there is a race, as RFC 8305 ("Happy Eyeballs") has it: IPv6 and
/// IPv4 in turn, the next one [`attempt_delay`](ClientTimeouts::attempt_delay) after the one before,
/// and the first that answers wins. A URL may name up to 16 hosts, `tls://a.example:5061,b.example:5061`:
/// the next one is tried when a host cannot be reached or its handshakes fail.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wharf::{BoxError, Client, Server, Stream, Tcp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// async fn hello(mut stream: Stream) -> Result<(), BoxError> {
///     Ok(stream.write_all(b"hello").await?)
/// }
/// let server = Server::builder().listen("hello", Tcp::bind("127.0.0.1:0"), hello).build()?;
/// let url = format!("tcp://{}", server.handle().address("hello")?);
/// tokio::spawn(server.run());
///
/// let client = Client::builder().build()?;
/// let mut stream = client.connect(&url).await?;
/// let mut said = String::new();
/// stream.read_to_string(&mut said).await?;
/// assert_eq!(said, "hello");
/// assert_eq!(client.stats().received, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    owner: Arc<Owner>,
    rules: ArcSwap<Rules>,
    changing: Mutex<()>,
    ways: Ways,
    tries: Tries,
    pools: pool::Counters,
    #[cfg(feature = "quic")]
    quic: crate::quic::Dialer,
    #[cfg(feature = "sctp")]
    sctp: crate::sctp::Dialer,
}

impl Client {
    /// Begins a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Connects, and speaks bytes: over a WebSocket, binary messages. Dropping the future ends the
    /// attempt. A transport without bytes is refused.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, url: &str) -> Result<Stream, ConnectError> {
        let target = Target::parse(url)?;
        target.has_bytes()?;
        self.0.stream(&target).await
    }

    /// Connects to a WebSocket (`ws`, `wss`), a DTLS server, an SCTP server or a socket of datagrams, or has
    /// the datagrams of a QUIC connection, and speaks messages.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_messages(&self, url: &str) -> Result<Messages, ConnectError> {
        self.0.messages(&Target::parse(url)?).await
    }

    /// As [`connect`](Self::connect), at this address, which somebody else has looked up: the URL
    /// says what to speak and which names to ask for there.
    ///
    /// # Errors
    /// [`ConnectError`]. A URL of several hosts or of a Unix socket is refused.
    pub async fn connect_at(&self, address: SocketAddr, url: &str) -> Result<Stream, ConnectError> {
        let target = Target::parse(url)?.at(address)?;
        target.has_bytes()?;
        self.0.stream(&target).await
    }

    /// As [`connect_messages`](Self::connect_messages), at this address, which somebody else has
    /// looked up.
    ///
    /// # Errors
    /// [`ConnectError`]. A URL of several hosts or of a Unix socket is refused.
    pub async fn connect_messages_at(
        &self,
        address: SocketAddr,
        url: &str,
    ) -> Result<Messages, ConnectError> {
        let target = Target::parse(url)?.at(address)?;
        self.0.messages(&target).await
    }

    /// As [`connect`](Self::connect), over a connection that was made elsewhere. The URL says what
    /// to speak and which names to ask for; the socket keeps its options.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_over(
        &self,
        socket: impl Into<Socket>,
        url: &str,
    ) -> Result<Stream, ConnectError> {
        let (ready, connection) = self.0.adopt(socket.into(), &Target::parse(url)?).await?;
        ready.into_stream(connection).ok_or_else(not_bytes)
    }

    /// As [`connect_messages`](Self::connect_messages), over a connection that was made elsewhere.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_messages_over(
        &self,
        socket: impl Into<Socket>,
        url: &str,
    ) -> Result<Messages, ConnectError> {
        let target = Target::parse(url)?;
        target.has_messages()?;
        let (ready, connection) = self.0.adopt(socket.into(), &target).await?;
        ready.into_messages(connection).ok_or_else(not_messages)
    }

    /// Its name in events and logs.
    pub fn name(&self) -> &str {
        &self.0.owner.name
    }

    /// The counters: `arrived` are those that were dialled, `accepted` those whose handshakes are
    /// complete, and `refused` counts by [`ConnectError::reason`].
    pub fn stats(&self) -> Stats {
        self.0.owner.stats()
    }

    /// What became of the addresses that were tried.
    pub fn attempts(&self) -> AttemptStats {
        self.0.tries.snapshot()
    }

    /// Bytes that wait in write buffers and `Session` buffers over all connections.
    pub fn memory(&self) -> u64 {
        self.0.owner.memory.used()
    }

    /// Events from now on. A receiver that is 1,024 behind loses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.owner.events.subscribe()
    }

    /// The connections that `filter` matches.
    pub fn connections(&self, filter: &Filter) -> Vec<Connection> {
        let all = self.0.owner.connections.all().into_iter();
        all.map(Connection::new)
            .filter(|connection| filter.matches(connection))
            .collect()
    }

    /// Closes the connections that `filter` matches; says how many.
    pub fn close(&self, filter: &Filter) -> usize {
        crate::handle::close(&self.connections(filter), &self.0.owner.events)
    }

    /// Makes no more connections, tells those that are there
    /// ([`Connection::draining`]; a WebSocket says goodbye), waits until they have ended, and
    /// closes what remains at the deadline.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        drain_owners(vec![self.0.owner.clone()], deadline, Closed::Drained).await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
