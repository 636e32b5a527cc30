//! A socket's datagrams one by one, for handlers that keep nothing of their peers.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::watch;

use super::datagram::Datagram;
use super::driver::rest;
use super::intake::{Intake, Side};
use super::port::Mode;
use super::socket::{DatagramSocket, Manner, Source, local_end};
use crate::Connection;
use crate::config::ProxyMode;
use crate::connection::{Hold, Shared};
use crate::counters::one_more;
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::reason::Dropped;

/// The datagrams of one socket, for a handler that keeps nothing of its peers.
///
/// There is one call of the handler for each socket of the listener (several with several addresses,
/// or with `accept.reuse-port`). The call is listed and counted as one connection whose peer is the
/// wildcard address. When the handler returns, fails or panics while the listener goes on, it is
/// called again after a pause of 100 ms, doubling to 1 s.
///
/// ```no_run
/// use wharf::{BoxError, Datagrams, Server, Udp};
///
/// async fn echo(mut datagrams: Datagrams) -> Result<(), BoxError> {
///     while let Some(datagram) = datagrams.recv().await {
///         datagrams.reply(&datagram, datagram.payload()).await?;
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let server = Server::builder().listen_datagrams("echo", Udp::bind("[::]:7000"), echo).build()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
pub struct Datagrams {
    intake: Intake,
    listener: Arc<Listener>,
    mode: watch::Receiver<Mode>,
    sender: DatagramSender,
    // The last, so that the connection has ended when all is gone.
    hold: Hold,
}

/// Sends datagrams from the socket of a [`Datagrams`], from anywhere.
#[derive(Clone)]
pub struct DatagramSender {
    socket: Arc<DatagramSocket>,
    shared: Arc<Shared>,
}

/// Why a datagram was not sent. The socket goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The sender of a Unix datagram has bound no name: there is nowhere to send to.
    #[error("the peer's Unix socket has no name: it cannot be answered")]
    Unnamed,
    /// So much waits at a Unix peer that it takes no more: it does not read. Nothing waits for it, since
    /// the answers of all others would wait too.
    #[error("the peer's socket is full: it does not read")]
    Full,
    /// The peer is of a kind that the socket cannot send to.
    #[error("a {socket} socket cannot send to {peer}")]
    Family {
        /// `udp` or `unixgram`.
        socket: &'static str,
        /// Where it was to go.
        peer: Endpoint,
    },
    /// The server has closed the handler's turn.
    #[error("{0}")]
    Closed(io::Error),
    /// The kernel did not send it: among others `EMSGSIZE`, when it is too long.
    #[error("the datagram was not sent: {0}")]
    Io(#[from] io::Error),
}

impl Datagrams {
    pub(super) fn new(
        listener: Arc<Listener>,
        socket: Arc<DatagramSocket>,
        mode: watch::Receiver<Mode>,
        hold: Hold,
    ) -> Self {
        let shared = hold.shared().clone();
        Self {
            intake: Intake::new(listener.clone(), socket.clone()),
            listener,
            mode,
            sender: DatagramSender { socket, shared },
            hold,
        }
    }

    /// This turn of the handler, as the control plane sees it.
    pub fn connection(&self) -> Connection {
        Connection::new(self.hold.shared().clone())
    }

    /// Where the socket is bound.
    pub fn local(&self) -> Endpoint {
        self.sender.socket.local()
    }

    /// Sends from elsewhere, through the same socket.
    pub fn sender(&self) -> DatagramSender {
        self.sender.clone()
    }

    /// The next datagram that the rules let through; `None` when the listener stops or drains, the
    /// socket is another process's now, or this turn was closed. Dropping the future loses nothing.
    ///
    /// While the listener is suspended, what comes is dropped and counted.
    pub async fn recv(&mut self) -> Option<Datagram> {
        loop {
            if self.hold.shared().ending().is_some() {
                return None;
            }
            while self.intake.advance() {
                match self.current() {
                    Ok(datagram) => return Some(datagram),
                    Err(reason) => self.listener.owner.counters.dropped(reason),
                }
            }
            if matches!(*self.mode.borrow(), Mode::Stopping | Mode::Left) {
                // What was taken has been handed on; what waits in the socket may be a successor's.
                return None;
            }
            let shared = self.hold.shared();
            let closed = poll_fn(|cx| {
                shared.reader.register(cx.waker());
                // After the registration, so that no close in between goes unseen.
                match shared.ending() {
                    Some(_) => Poll::Ready(()),
                    None => Poll::Pending,
                }
            });
            tokio::select! {
                received = self.intake.wait() => if let Err(error) = received {
                    rest(&self.listener, &error, &mut self.mode).await;
                },
                _ = self.mode.changed() => {}
                () = closed => {}
            }
        }
    }

    /// The datagram that the intake is at.
    fn current(&self) -> Result<Datagram, Dropped> {
        let (side, payload) = self.intake.current();
        let required = self.intake.rules().live().config.proxy.mode == ProxyMode::Required;
        if required && side.proxied.is_none() {
            return Err(Dropped::Proxy);
        }
        if *self.mode.borrow() == Mode::Suspended {
            return Err(Dropped::Suspended);
        }
        one_more(&self.listener.owner.counters.datagrams_delivered);
        self.hold.shared().count_received(payload.len());
        Ok(Datagram {
            payload: Bytes::copy_from_slice(payload),
            local: local_end(&self.sender.socket, side.local),
            side: side.clone(),
        })
    }

    /// Answers a datagram: to where it came from, from the address that it was sent to.
    ///
    /// # Errors
    /// Its sender has no name, or the kernel did not send it.
    pub async fn reply(&self, to: &Datagram, payload: &[u8]) -> Result<(), DatagramError> {
        self.sender.reply(to, payload).await
    }

    /// Sends a datagram of one's own accord.
    ///
    /// # Errors
    /// The socket cannot send to such a peer, or the kernel did not send it.
    pub async fn send_to(&self, peer: &Endpoint, payload: &[u8]) -> Result<(), DatagramError> {
        self.sender.send_to(peer, payload).await
    }
}

impl DatagramSender {
    /// Answers a datagram: to where it came from, from the address that it was sent to.
    ///
    /// # Errors
    /// Its sender has no name, or the kernel did not send it.
    pub async fn reply(&self, to: &Datagram, payload: &[u8]) -> Result<(), DatagramError> {
        self.send(&to.side.source, to.side.local, None, payload)
            .await
    }

    /// Answers with a burst: datagrams of `size` bytes (at least 1), the last of what is left, which
    /// the kernel cuts from `payload` where it can (`UDP_SEGMENT`).
    ///
    /// # Errors
    /// As of [`reply`](Self::reply); what was sent before the error is sent.
    pub async fn reply_burst(
        &self,
        to: &Datagram,
        size: u16,
        payload: &[u8],
    ) -> Result<(), DatagramError> {
        let Side { source, local, .. } = &to.side;
        let one = usize::from(size.max(1));
        // What one message of the kernel may hold: 64 datagrams, and 65,000 bytes of them.
        let many = one * (65_000 / one).clamp(1, 64);
        let by_kernel = matches!(*self.socket, DatagramSocket::Udp(_));
        for burst in payload.chunks(many) {
            let cut = Some(size.max(1)).filter(|_| by_kernel && burst.len() > one);
            let sent = match cut {
                None => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
                Some(_) => self.send(source, *local, cut, burst).await,
            };
            match sent {
                // `EINVAL` and `EIO`: the device cannot cut, or a piece is over its MTU.
                Err(DatagramError::Io(error)) if is_uncut(&error) => {
                    for piece in burst.chunks(one) {
                        self.send(source, *local, None, piece).await?;
                    }
                }
                sent => sent?,
            }
        }
        Ok(())
    }

    /// Sends a datagram of one's own accord.
    ///
    /// # Errors
    /// The socket cannot send to such a peer, or the kernel did not send it.
    pub async fn send_to(&self, peer: &Endpoint, payload: &[u8]) -> Result<(), DatagramError> {
        let source = match peer {
            Endpoint::Ip(address) => Source::Ip(*address),
            Endpoint::Unix(None) => Source::Unix(None),
            Endpoint::Unix(Some(name)) => {
                let address = match name.strip_prefix('@') {
                    Some(name) => unix::SocketAddr::from_abstract_name(name),
                    None => unix::SocketAddr::from_pathname(&**name),
                };
                Source::Unix(Some(address?))
            }
        };
        self.send(&source, None, None, payload).await
    }

    async fn send(
        &self,
        to: &Source,
        from: Option<IpAddr>,
        segment: Option<u16>,
        payload: &[u8],
    ) -> Result<(), DatagramError> {
        if let Some(reason) = self.shared.ending() {
            return Err(DatagramError::Closed(reason.error()));
        }
        let socket = match (&*self.socket, to) {
            (_, Source::Unix(None)) => return Err(DatagramError::Unnamed),
            (DatagramSocket::Udp(_), Source::Unix(_)) => Some("udp"),
            (DatagramSocket::Unix(..), Source::Ip(_)) => Some("unixgram"),
            _ => None,
        };
        if let Some(socket) = socket {
            let peer = to.endpoint();
            return Err(DatagramError::Family { socket, peer });
        }
        let tos = 0;
        let how = Manner { from, tos, segment };
        match to {
            Source::Ip(_) => self.socket.send(to, how, payload).await?,
            Source::Unix(_) => match self.socket.try_send(to, how, payload) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(DatagramError::Full);
                }
                sent => sent?,
            },
        }
        // Many may send at once.
        let bytes = payload.len() as u64;
        self.shared.sent.fetch_add(bytes, Ordering::Relaxed);
        one_more(&self.shared.owner.counters.datagrams_sent);
        Ok(())
    }
}

fn is_uncut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(
            error.raw_os_error(),
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::ENOPROTOOPT)
        )
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Datagrams").field(&self.local()).finish()
    }
}

impl std::fmt::Debug for DatagramSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DatagramSender")
            .field(&self.socket.local())
            .finish()
    }
}
