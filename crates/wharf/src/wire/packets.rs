//! The guarded flow of datagrams below DTLS and SCTP, and below plain messages.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::guard::{Guard, Side};
use crate::connection::Hold;
use crate::counters::one_more;
use crate::datagrams::End;
use crate::reason::Closed;

/// One flow of datagrams with the rules of its listener, as [`Wire`](super::Wire) is for a socket of
/// bytes: counted, paced, timed, and closed from outside. The flow ends when this is dropped.
pub(crate) struct Packets {
    end: End,
    guard: Guard,
    last_words: bool,
    hold: Hold,
}

impl Packets {
    /// The connection of `hold`, whose datagrams go through `end`.
    pub(crate) fn new(end: End, hold: Hold) -> Self {
        let guard = Guard::new(hold.shared());
        Self {
            end,
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
        self.end.longest()
    }

    /// The next datagram, which may be empty.
    ///
    /// # Errors
    /// The connection was closed from outside, with [`Closed::Idle`] when nothing came for too long;
    /// or as of [`End::poll_recv`].
    pub(crate) fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let shared = self.hold.shared();
        if let Some(reason) = shared.ending() {
            return Poll::Ready(Err(reason.error()));
        }
        ready!(self.guard.poll_pace(cx, shared))?;
        match self.end.poll_recv(cx) {
            Poll::Ready(Ok(datagram)) => {
                self.guard.has_received(shared, datagram.len());
                Poll::Ready(Ok(datagram))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.guard.poll_waiting(cx, shared, Side::Read).map(Err),
        }
    }

    /// A datagram that is there already, whatever has become of the connection.
    pub(crate) fn try_recv_datagram(&mut self) -> Option<Bytes> {
        let datagram = self.end.try_recv()?;
        self.guard.has_received(self.hold.shared(), datagram.len());
        Some(datagram)
    }

    /// Sends a datagram to where the last one came from. After `Pending` the next call must be with
    /// the same datagram.
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
        match self.end.poll_send(cx, datagram) {
            Poll::Ready(done) => {
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
        self.end.try_send(datagram)?;
        one_more(&self.hold.shared().owner.counters.datagrams_sent);
        self.guard.has_written(self.hold.shared(), datagram.len());
        Ok(())
    }

    /// From here on datagrams are sent even though the server has closed the connection: the last
    /// words.
    pub(crate) fn last_words(&mut self) {
        self.last_words = true;
    }
}

impl std::fmt::Debug for Packets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packets")
            .field("id", &self.hold.shared().id)
            .finish_non_exhaustive()
    }
}
