//! Sockets and listeners in memory.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;

use super::faults::{Fault, Faults, Injector};
use crate::acceptor::Arrival;
use crate::config::Transport;
use crate::listen::Foreign;
use crate::path::Endpoint;
use crate::wire::Socket;
use crate::{Listen, ListenerConfig};

/// Bytes that each direction of a connection in memory holds before its writer waits.
const BUFFER: usize = 16 << 10;

/// Connections that wait in the backlog of a listener in memory.
const BACKLOG: usize = 1024;

/// One end of a connection in memory. It behaves as a socket: writing waits when the other end does
/// not read, `shutdown` ends one direction, and a reset is seen by the other end.
#[derive(Debug)]
pub struct MemoryStream {
    bytes: DuplexStream,
    local: Endpoint,
    peer: Endpoint,
    /// Set by either end: what is read next is a reset.
    reset: Arc<AtomicBool>,
    resets_on_close: AtomicBool,
    injector: Option<Box<Injector>>,
}

impl MemoryStream {
    /// A connected pair, as seen from its two ends.
    pub fn pair(client: &Endpoint, server: &Endpoint) -> (Self, Self) {
        let (one, other) = duplex(BUFFER);
        let reset = Arc::new(AtomicBool::new(false));
        let end = |bytes, local: &Endpoint, peer: &Endpoint| Self {
            bytes,
            local: local.clone(),
            peer: peer.clone(),
            reset: reset.clone(),
            resets_on_close: AtomicBool::new(false),
            injector: None,
        };
        (end(one, client, server), end(other, server, client))
    }

    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    pub(crate) fn peer(&self) -> &Endpoint {
        &self.peer
    }

    /// Dropping this end is seen by the other as a reset.
    pub fn reset_on_close(&self) {
        self.resets_on_close.store(true, Ordering::Relaxed);
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        if *self.resets_on_close.get_mut() {
            self.reset.store(true, Ordering::SeqCst);
        }
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let bytes = Pin::new(&mut this.bytes);
        let read = match &mut this.injector {
            None => bytes.poll_read(cx, buf),
            Some(injector) => injector.poll_read(bytes, cx, buf),
        };
        let ended = matches!(read, Poll::Ready(Ok(())))
            && buf.filled().len() == before
            && buf.remaining() > 0;
        if ended && this.reset.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.bytes);
        match &mut this.injector {
            None => stream.poll_write(cx, bytes),
            Some(injector) => injector.poll_write(stream, cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_shutdown(cx)
    }
}

/// Makes a listener without a network, and what connects to it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wharf::config::Transport;
/// use wharf::{Server, Stream, testkit};
///
/// let (listen, connector) = testkit::memory(Transport::Tcp);
/// let server = Server::builder()
///     .listen("hello", listen, async |mut stream: Stream| stream.write_all(b"hello").await)
///     .build()
///     .unwrap();
/// let handle = server.handle();
/// tokio::spawn(server.run());
/// let mut client = connector.connect_from("192.0.2.1:1000").await.unwrap();
/// let mut said = String::new();
/// client.read_to_string(&mut said).await.unwrap();
/// assert_eq!(said, "hello");
/// assert_eq!(handle.inspect("hello").unwrap().stats.accepted, 1);
/// # }
/// ```
pub fn memory(transport: Transport) -> (Listen, Connector) {
    let (arrivals, queue) = mpsc::channel(BACKLOG);
    let local = Endpoint::Ip(([127, 0, 0, 1], 1).into());
    let acceptor = MemoryAcceptor {
        queue: Arc::new(Mutex::new(Queue {
            arrivals: queue,
            first: None,
        })),
        turn: Arc::default(),
        local: local.clone(),
    };
    let config = ListenerConfig {
        transport,
        ..ListenerConfig::default()
    };
    let listen = Listen::from(config).foreign(Foreign::Memory(acceptor));
    let faults = None;
    (
        listen,
        Connector {
            arrivals,
            local,
            faults,
        },
    )
}

/// Connects to a listener in memory.
#[derive(Debug, Clone)]
pub struct Connector {
    arrivals: mpsc::Sender<Result<MemoryStream, FailedAccept>>,
    local: Endpoint,
    faults: Option<Faults>,
}

/// An accept that is to fail.
#[derive(Debug)]
struct FailedAccept(io::Error, Option<Faults>);

impl Connector {
    /// The same listener, by connections whose server's end suffers `faults`.
    #[must_use]
    pub fn with_faults(&self, faults: &Faults) -> Self {
        Self {
            faults: Some(faults.clone()),
            ..self.clone()
        }
    }

    /// Connects from an address, such as `"192.0.2.1:1000"`; waits while the backlog is full.
    ///
    /// # Errors
    /// The listener is gone, or the address is none.
    pub async fn connect_from(&self, peer: &str) -> io::Result<MemoryStream> {
        let peer = peer
            .parse()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let peer = Endpoint::from_socket(peer);
        let (client, mut server) = MemoryStream::pair(&peer, &self.local);
        server.injector = self
            .faults
            .as_ref()
            .map(|faults| Box::new(Injector::new(faults)));
        self.arrivals
            .send(Ok(server))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(client)
    }

    /// Makes an `accept` of the listener fail with `error`, after what is in the backlog already.
    /// With [faults](Self::with_faults) it is counted as [`Fault::Accept`].
    ///
    /// # Errors
    /// The listener is gone.
    pub async fn fail_accept(&self, error: io::Error) -> io::Result<()> {
        let failed = FailedAccept(error, self.faults.clone());
        let failed = self.arrivals.send(Err(failed)).await;
        failed.map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }
}

/// The listening side.
#[derive(Debug, Clone)]
pub(crate) struct MemoryAcceptor {
    queue: Arc<Mutex<Queue>>,
    /// Who waits for an arrival: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    local: Endpoint,
}

/// The backlog.
#[derive(Debug)]
struct Queue {
    arrivals: mpsc::Receiver<Result<MemoryStream, FailedAccept>>,
    /// Seen by an acceptor that waits for room, and not taken yet.
    first: Option<Result<MemoryStream, FailedAccept>>,
}

impl Queue {
    fn take(&mut self) -> Option<Result<MemoryStream, FailedAccept>> {
        self.first.take().or_else(|| self.arrivals.try_recv().ok())
    }
}

impl MemoryAcceptor {
    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    pub(crate) async fn accept(&self) -> io::Result<Arrival> {
        loop {
            self.arrived().await;
            match self.take() {
                // Another acceptor was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
        }
    }

    /// Waits until there is something to take.
    pub(crate) async fn arrived(&self) {
        let _turn = self.turn.lock().await;
        poll_fn(|cx| {
            let mut queue = self.queue();
            if queue.first.is_none() {
                queue.first = match ready!(queue.arrivals.poll_recv(cx)) {
                    Some(arrival) => Some(arrival),
                    // Nobody can connect any more.
                    None => return Poll::Pending,
                };
            }
            Poll::Ready(())
        })
        .await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is there now; `WouldBlock` if nobody is.
    pub(crate) fn take(&self) -> io::Result<Arrival> {
        let taken = self.queue().take();
        match taken.ok_or(io::ErrorKind::WouldBlock)? {
            Ok(stream) => {
                let peer = stream.peer().clone();
                Ok(Arrival {
                    socket: Socket::Memory(stream),
                    peer,
                    credentials: None,
                })
            }
            Err(FailedAccept(error, faults)) => {
                if let Some(faults) = faults {
                    faults.fire(Fault::Accept);
                }
                Err(error)
            }
        }
    }

    /// Takes a waiting connection and closes it; says whether there was one.
    pub(crate) fn refuse_one(&self) -> bool {
        matches!(self.queue().take(), Some(Ok(_)))
    }
}
