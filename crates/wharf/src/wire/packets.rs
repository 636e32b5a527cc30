//! The guarded flow of datagrams below DTLS and SCTP, and below plain messages.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::guard::{Guard, Side};
use crate::connection::Hold;
use crate::counters::one_more;
use crate::datagrams::{DatagramSocket, Flow, Key, Manner, Source, Table};
use crate::reason::Closed;

/// Most bytes of payload in a datagram over IPv4 and over IPv6 (RFC 768, without jumbograms).
const LONGEST_V4: usize = 65_535 - 20 - 8;
const LONGEST_V6: usize = 65_535 - 8;
/// Over a Unix socket the send buffer is the limit, and the kernel tells.
const LONGEST_UNIX: usize = 1 << 20;

type Sending = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// One flow of datagrams with the rules of its listener, as [`Wire`](super::Wire) is for a socket of
/// bytes: counted, paced, timed, and closed from outside. The flow ends when this is dropped.
pub(crate) struct Packets {
    flow: Arc<Flow>,
    key: Key,
    table: Arc<Table>,
    socket: Arc<DatagramSocket>,
    /// A datagram for which the socket had no room.
    sending: Option<Sending>,
    guard: Guard,
    last_words: bool,
    hold: Hold,
}

impl Packets {
    /// The flow of `key` in `table`, which is answered through `socket`.
    pub(crate) fn new(
        flow: Arc<Flow>,
        key: Key,
        table: Arc<Table>,
        socket: Arc<DatagramSocket>,
        hold: Hold,
    ) -> Self {
        let guard = Guard::new(hold.shared());
        Self {
            flow,
            key,
            table,
            socket,
            sending: None,
            guard,
            last_words: false,
            hold,
        }
    }

    /// The handshakes are complete: from here on `read-idle` counts.
    pub(crate) fn established(&mut self) {
        self.guard.established(self.hold.shared(), false);
    }

    /// The connection that the flow belongs to.
    pub(crate) fn shared(&self) -> &Arc<crate::connection::Shared> {
        self.hold.shared()
    }

    /// Why the server has closed it, if it has.
    pub(crate) fn ending(&self) -> Option<Closed> {
        self.hold.shared().ending()
    }

    /// Most bytes that a datagram to this peer may have.
    pub(crate) fn longest(&self) -> usize {
        match self.flow.ends().0 {
            Source::Ip(peer) if peer.is_ipv4() => LONGEST_V4,
            Source::Ip(_) => LONGEST_V6,
            Source::Unix(_) => LONGEST_UNIX,
        }
    }

    /// The next datagram, which may be empty.
    ///
    /// # Errors
    /// The server has closed the connection; [`Closed::Idle`] when nothing came for too long.
    pub(crate) fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let shared = self.hold.shared();
        if let Some(reason) = shared.ending() {
            return Poll::Ready(Err(reason.error()));
        }
        ready!(self.guard.poll_pace(cx, shared))?;
        match self.flow.poll_next(cx) {
            Poll::Ready(datagram) => {
                self.guard.has_received(shared, datagram.len());
                Poll::Ready(Ok(datagram))
            }
            Poll::Pending => self.guard.poll_waiting(cx, shared, Side::Read).map(Err),
        }
    }

    /// A datagram that is there already, whatever has become of the connection.
    pub(crate) fn try_recv_datagram(&mut self) -> Option<Bytes> {
        let datagram = self.flow.try_next()?;
        self.guard.has_received(self.hold.shared(), datagram.len());
        Some(datagram)
    }

    /// Sends a datagram to where the last one came from. After `Pending` the next call must be with
    /// the same datagram, of which a copy waits here.
    ///
    /// # Errors
    /// The server has closed the connection, or the kernel cannot send it: the flow goes on.
    pub(crate) fn poll_send_datagram(
        &mut self,
        cx: &mut Context<'_>,
        datagram: &[u8],
    ) -> Poll<io::Result<()>> {
        let shared = self.hold.shared();
        if let Some(reason) = shared.ending().filter(|_| !self.last_words) {
            return Poll::Ready(Err(reason.error()));
        }
        let sent = match &mut self.sending {
            Some(sending) => sending.as_mut().poll(cx),
            None => match self.now(datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sending = self.sending.insert(self.later(datagram));
                    sending.as_mut().poll(cx)
                }
                done => Poll::Ready(done),
            },
        };
        let shared = self.hold.shared();
        match sent {
            Poll::Ready(done) => {
                self.sending = None;
                if done.is_ok() {
                    self.guard.has_written(shared, datagram.len());
                    one_more(&shared.owner.counters.datagrams_sent);
                }
                Poll::Ready(done)
            }
            Poll::Pending => self.guard.poll_waiting(cx, shared, Side::Write).map(Err),
        }
    }

    /// Sends a datagram if there is room now, whatever has become of the connection.
    ///
    /// # Errors
    /// There is no room, or the kernel cannot send it.
    pub(crate) fn try_send_datagram(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.now(datagram)?;
        one_more(&self.hold.shared().owner.counters.datagrams_sent);
        self.guard.has_written(self.hold.shared(), datagram.len());
        Ok(())
    }

    /// From here on datagrams are sent even though the server has closed the connection: the last
    /// words.
    pub(crate) fn last_words(&mut self) {
        self.last_words = true;
    }

    fn now(&self, datagram: &[u8]) -> io::Result<()> {
        let (to, from) = self.flow.ends();
        let how = Manner {
            from,
            ..Manner::default()
        };
        self.socket.try_send(&to, how, datagram)
    }

    fn later(&self, datagram: &[u8]) -> Sending {
        let (to, from) = self.flow.ends();
        let how = Manner {
            from,
            ..Manner::default()
        };
        let (socket, datagram) = (self.socket.clone(), Bytes::copy_from_slice(datagram));
        Box::pin(async move { socket.send(&to, how, &datagram).await })
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.table.remove(&self.key, &self.flow);
    }
}

impl std::fmt::Debug for Packets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packets")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
