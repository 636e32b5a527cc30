//! What a handler can do while it is called.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use crate::worker::outbox::{Mail, Outbox, Outgoing};
use crate::worker::sockets::Sockets;
use crate::worker::traffic::Traffic;
use crate::{Datagram, Poller, ReceiveBatch, Socket, SocketKey, Via};

/// One turn of a worker: what a [`BatchHandler`](crate::BatchHandler) may ask of it.
///
/// What is sent is staged and leaves when the turn ends, or before when the stage is full. Nothing waits
/// for a socket: what cannot leave at once is dropped and counted ([`Traffic`]).
pub struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) received: &'a ReceiveBatch,
    pub(super) sockets: &'a mut Sockets,
    pub(super) outbox: &'a mut Outbox,
    pub(super) poller: &'a Poller,
    pub(super) traffic: &'a Traffic,
    pub(super) stopped: &'a mut bool,
}

impl Turn<'_> {
    /// The time at which this turn has begun.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The address and port that a socket is bound to; `None` when there is no such socket.
    pub fn local_addr(&self, via: Via) -> Option<SocketAddr> {
        self.sockets.get(via).map(Socket::local_addr)
    }

    /// Answers a datagram with these bytes, from the address that it was sent to.
    pub fn reply(&mut self, to: &Datagram<'_>, bytes: &[u8]) {
        self.send(
            to.via,
            &Outgoing {
                from: to.local,
                header: bytes,
                ..Outgoing::to(to.from)
            },
        );
    }

    /// Answers a datagram with a header and a part of its own payload, which is not copied.
    pub fn reply_with(&mut self, to: &Datagram<'_>, header: &[u8], payload: Range<usize>) {
        self.send(
            to.via,
            &Outgoing {
                from: to.local,
                header,
                piece: Some(to.piece(payload)),
                ..Outgoing::to(to.from)
            },
        );
    }

    /// Sends a datagram through a socket. False when there is no such socket.
    pub fn send(&mut self, via: Via, message: &Outgoing<'_>) -> bool {
        self.mail().stage(via, message)
    }

    /// Adds a socket of the handler's: from the next turn on, what it receives comes to the handler as
    /// well. A socket that had the index before is closed, after what was staged for it has left.
    ///
    /// Fails when the socket can't be watched (`epoll_ctl(2)`); it is closed then.
    pub fn add(&mut self, key: SocketKey, socket: Socket) -> io::Result<()> {
        self.mail().flush_own();
        self.sockets.add(self.poller, key, socket)
    }

    /// Takes a socket of the handler's out, after what was staged for it has left: to be closed, or to be
    /// given to another worker.
    pub fn remove(&mut self, key: SocketKey) -> Option<Socket> {
        self.mail().flush_own();
        let (socket, drops) = self.sockets.remove(self.poller, key)?;
        self.traffic.dropped_by_kernel(drops);
        Some(socket)
    }

    /// Listens on these sockets from the next turn on, and no more on those before, which are closed
    /// after what was staged for them has left. Fails when one can't be watched; nothing has changed then.
    pub fn listen(&mut self, sockets: Vec<Socket>) -> io::Result<()> {
        self.mail().flush_listeners();
        let count = sockets.len();
        let drops = self.sockets.listen(self.poller, sockets)?;
        self.traffic.dropped_by_kernel(drops);
        *self.outbox = Outbox::new(count);
        Ok(())
    }

    /// Leaves what comes to the listening sockets unread, or reads it again. Meanwhile it waits in their
    /// buffers, and the kernel drops and counts what does not fit.
    pub fn pause(&mut self, paused: bool) -> io::Result<()> {
        self.sockets.pause(self.poller, paused)
    }

    /// Makes this turn the last one.
    pub fn stop(&mut self) {
        *self.stopped = true;
    }

    fn mail(&mut self) -> Mail<'_> {
        Mail {
            outbox: self.outbox,
            sockets: self.sockets,
            received: self.received,
            traffic: self.traffic,
        }
    }
}
