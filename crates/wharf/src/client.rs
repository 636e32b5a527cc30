//! Connections that we make: the same shapes, options, counters and control as those that come.

mod builder;
mod dial;
mod error;
mod handshake;
mod options;
mod target;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, broadcast};

pub use builder::ClientBuilder;
pub use error::{Attempt, AttemptError, ConnectError, Stage};
pub use options::{ClientOptions, ClientTimeouts, ClientWebSocket, ProxiedClient, SendProxy};
use target::{Place, Target};

use crate::admission::Ready;
use crate::config::{Problem, Problems};
use crate::connection::{Arrived, Connection, Places, Shared};
use crate::events::{Event, State};
use crate::owner::Owner;
use crate::path::Endpoint;
use crate::reason::{Closed, Refusal};
use crate::server::{DrainReport, drain_owners};
use crate::tls::{ClientTls, TlsError};
use crate::wire::{Socket, Wire};
use crate::{Filter, Messages, Stats, Stream};

/// Makes connections. Cheap to clone; its connections go on when it is dropped.
///
/// | URL | connects to |
/// |---|---|
/// | `tcp://host:port`, `tls://host:port` | a host; each address of its name is tried in turn |
/// | `ws://host[:port]/path?query`, `wss://…` | a WebSocket server |
/// | `unix:/run/app.sock`, `unix:@name` | a Unix socket |
/// | `tls+unix:…`, `ws+unix:…?path=/chat`, `wss+unix:…` | the same over a Unix socket; its name is `localhost` |
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
    options: ClientOptions,
    tls: OnceCell<ClientTls>,
}

impl Inner {
    /// TLS, made when it is first needed.
    async fn tls(&self) -> Result<&ClientTls, TlsError> {
        self.tls
            .get_or_try_init(|| async { ClientTls::new(&self.options.tls) })
            .await
    }
}

impl Client {
    /// Begins a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Connects, and speaks bytes: over a WebSocket, binary messages. Dropping the future ends the
    /// attempt.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, url: &str) -> Result<Stream, ConnectError> {
        let target = Target::parse(url)?;
        let (ready, connection) = Box::pin(self.dial(&target)).await?;
        ready
            .into_stream(connection)
            .ok_or_else(|| not_bytes(&target))
    }

    /// Connects to a WebSocket (`ws`, `wss`), and speaks messages.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_messages(&self, url: &str) -> Result<Messages, ConnectError> {
        let target = Target::parse(url)?;
        let (ready, connection) = if target.transport.has_messages() {
            Box::pin(self.dial(&target)).await?
        } else {
            return Err(not_messages(&target));
        };
        ready
            .into_messages(connection)
            .ok_or_else(|| not_messages(&target))
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
        let target = Target::parse(url)?;
        let (ready, connection) = Box::pin(self.adopt(socket.into(), &target)).await?;
        ready
            .into_stream(connection)
            .ok_or_else(|| not_bytes(&target))
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
        let (ready, connection) = if target.transport.has_messages() {
            Box::pin(self.adopt(socket.into(), &target)).await?
        } else {
            return Err(not_messages(&target));
        };
        ready
            .into_messages(connection)
            .ok_or_else(|| not_messages(&target))
    }

    // Boxed by its callers: the state of the handshakes is large, and short-lived.
    async fn dial(&self, target: &Target) -> Result<(Ready, Connection), ConnectError> {
        let mut dial = Dial::begin(&self.0.owner)?;
        match dial::reach(&target.place, &self.0.options).await {
            Ok((socket, peer)) => self.complete(dial, target, socket, peer).await,
            Err(error) => {
                dial.outcome = error.reason();
                Err(error)
            }
        }
    }

    async fn adopt(
        &self,
        socket: Socket,
        target: &Target,
    ) -> Result<(Ready, Connection), ConnectError> {
        let dial = Dial::begin(&self.0.owner)?;
        // A socket without a peer fails at the first use.
        let peer = socket.peer().unwrap_or(Endpoint::Unix(None));
        self.complete(dial, target, socket, peer).await
    }

    /// The handshakes on a connected socket.
    async fn complete(
        &self,
        mut dial: Dial<'_>,
        target: &Target,
        socket: Socket,
        peer: Endpoint,
    ) -> Result<(Ready, Connection), ConnectError> {
        let arrived = Arrived {
            id: dial.id,
            transport: target.transport,
            peer,
            // A socket that is reset already has no address; its first use tells.
            local: socket.local().unwrap_or(Endpoint::Unix(None)),
            credentials: socket.credentials(),
            descriptor: socket.descriptor(),
        };
        // From here on the connection counts itself.
        dial.outcome = None;
        let hold = Shared::arrive(&self.0.owner, arrived, Places::default());
        let shared = hold.shared();
        if self.0.owner.connections.is_closed() {
            // It was dialled before the drain began, which does not wait for it.
            shared.count_as(Refusal::Stopped);
            shared.tell(State::Failed(Refusal::Stopped));
            return Err(ConnectError::Draining);
        }
        let connection = Connection::new(shared.clone());
        let wire = Wire::new(socket, hold.clone());
        match handshake::all(&self.0, target, wire, &connection).await {
            Ok(ready) => {
                shared.accept();
                Ok((ready, connection))
            }
            Err(error) => {
                if let Some(reason) = error.reason() {
                    shared.count_as(reason);
                    shared.tell(State::Failed(reason));
                }
                Err(error)
            }
        }
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
        let matching = self.connections(filter);
        let closed = matching
            .iter()
            .filter(|one| one.shared().end(Closed::Control))
            .count();
        let count = || Event::ConnectionsClosed { count: closed };
        self.0.owner.events.emit(count);
        closed
    }

    /// Makes no more connections, tells those that are there
    /// ([`Connection::draining`]; a WebSocket says goodbye), waits until they have ended, and
    /// closes what remains at the deadline.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        drain_owners(vec![self.0.owner.clone()], deadline, Closed::Drained).await
    }
}

fn not_bytes(target: &Target) -> ConnectError {
    let allowed = "expected a transport of bytes: this one keeps the boundaries of messages";
    let problem = Problem::new("url", allowed).given(target.transport.label());
    Problems(vec![problem.advice("Use `connect_messages`.")]).into()
}

fn not_messages(target: &Target) -> ConnectError {
    let allowed = "expected a transport with messages of its own";
    let problem = Problem::new("url", allowed).given(target.transport.label());
    Problems(vec![
        problem.advice("Use `connect`, with a `Session` over it."),
    ])
    .into()
}

/// A connection that is being made, counted however that ends.
struct Dial<'a> {
    owner: &'a Owner,
    id: u64,
    /// What it counts as if it ends here: stopped, until something else is known.
    outcome: Option<Refusal>,
}

impl<'a> Dial<'a> {
    fn begin(owner: &'a Owner) -> Result<Self, ConnectError> {
        if owner.draining.is_cancelled() {
            return Err(ConnectError::Draining);
        }
        let dial = Self {
            owner,
            id: owner.next_id(),
            outcome: Some(Refusal::Stopped),
        };
        dial.tell(State::Dial);
        Ok(dial)
    }

    fn tell(&self, state: State) {
        self.owner.events.emit(|| Event::Connection {
            listener: self.owner.name.clone(),
            id: self.id,
            state,
        });
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        if let Some(reason) = self.outcome {
            self.owner.counters.refused(reason);
            self.tell(State::Failed(reason));
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
