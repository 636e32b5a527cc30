//! What leaves: staged per socket, flushed in batches, never waited for.

use std::net::{IpAddr, SocketAddr};

use crate::worker::sockets::Sockets;
use crate::worker::traffic::Traffic;
use crate::{Full, Piece, ReceiveBatch, SendBatch, SocketKey, Via};

/// Messages and datagrams staged for one socket before they are flushed. As many messages as there are
/// slots to receive into, so that a full turn is one system call; datagrams for a few bursts more.
const MESSAGES: usize = 64;
const DATAGRAMS: usize = 1_024;

/// A datagram to send: a header, a piece of what was received, and padding, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where it goes.
    pub to: SocketAddr,
    /// The address that it leaves from. Needed only through a socket bound to the wildcard, and ignored
    /// through others. Default: what the system chooses.
    pub from: Option<IpAddr>,
    /// The TOS or traffic class octet. Default 0.
    pub tos: u8,
    /// Sent with the DF bit, or not at all. Default off.
    pub dont_fragment: bool,
    /// Bytes of the handler's, copied. Default none.
    pub header: &'a [u8],
    /// Bytes received in this turn, sent from where they are. Default none.
    pub piece: Option<Piece>,
    /// Zero bytes at the end, [`MAX_PADDING`](crate::MAX_PADDING) at the most. Default 0.
    pub padding: usize,
}

impl Outgoing<'_> {
    /// An empty datagram to this address.
    pub fn to(to: SocketAddr) -> Self {
        Self {
            to,
            from: None,
            tos: 0,
            dont_fragment: false,
            header: &[],
            piece: None,
            padding: 0,
        }
    }
}

/// Staged datagrams: a batch for each listening socket, and one for that of the handler's sockets which is
/// sending.
pub(super) struct Outbox {
    listeners: Vec<Exit>,
    own: Exit,
    /// The socket that `own` leaves through.
    sender: Option<SocketKey>,
}

/// What leaves through one socket, with DF or without.
struct Exit {
    batch: SendBatch,
    dont_fragment: bool,
}

impl Exit {
    fn new() -> Self {
        Self {
            batch: SendBatch::new(MESSAGES, DATAGRAMS),
            dont_fragment: false,
        }
    }

    fn stage(&mut self, message: &Outgoing<'_>, from: Option<IpAddr>) -> Result<(), Full> {
        if self.dont_fragment != message.dont_fragment {
            if !self.batch.is_empty() {
                return Err(Full);
            }
            self.dont_fragment = message.dont_fragment;
        }
        let (to, tos, piece) = (message.to, message.tos, message.piece.map(Piece::place));
        self.batch
            .push(to, from, tos, message.header, piece, message.padding)
    }
}

impl Outbox {
    pub(super) fn new(listeners: usize) -> Self {
        Self {
            listeners: (0..listeners).map(|_| Exit::new()).collect(),
            own: Exit::new(),
            sender: None,
        }
    }
}

/// An outbox with the sockets, the received bytes and the counters that it needs.
pub(super) struct Mail<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) sockets: &'a Sockets,
    pub(super) received: &'a ReceiveBatch,
    pub(super) traffic: &'a Traffic,
}

impl Mail<'_> {
    /// Stages a datagram, after what was staged is sent if there is no room. False, and nothing staged,
    /// when there is no such socket.
    pub(super) fn stage(&mut self, via: Via, message: &Outgoing<'_>) -> bool {
        let (exit, from) = match via {
            Via::Listener(index) => {
                let index = index as usize;
                let listener = self.sockets.listeners.get(index);
                let exit = self.outbox.listeners.get_mut(index);
                let (Some(listener), Some(exit)) = (listener, exit) else {
                    return false;
                };
                (exit, message.from.filter(|_| listener.wildcard))
            }
            Via::Own(key) => {
                if self.outbox.sender != Some(key) {
                    if self.sockets.get(via).is_none() {
                        return false;
                    }
                    self.flush_own();
                    self.outbox.sender = Some(key);
                }
                (&mut self.outbox.own, message.from)
            }
        };
        if exit.stage(message, from).is_err() {
            flush(exit, via, self.sockets, self.received, self.traffic);
            // An empty batch has room for one.
            let _ = exit.stage(message, from);
        }
        true
    }

    /// Sends all that is staged. What refers to the received bytes is done with them then.
    pub(super) fn flush(&mut self) {
        self.flush_own();
        self.flush_listeners();
    }

    /// Sends what is staged for the listening sockets.
    pub(super) fn flush_listeners(&mut self) {
        for (index, exit) in self.outbox.listeners.iter_mut().enumerate() {
            let via = Via::Listener(index as u32);
            flush(exit, via, self.sockets, self.received, self.traffic);
        }
    }

    /// Sends what is staged for that of the handler's sockets which is sending.
    pub(super) fn flush_own(&mut self) {
        if let Some(key) = self.outbox.sender.take() {
            let (exit, via) = (&mut self.outbox.own, Via::Own(key));
            flush(exit, via, self.sockets, self.received, self.traffic);
        }
    }
}

fn flush(exit: &mut Exit, via: Via, sockets: &Sockets, received: &ReceiveBatch, traffic: &Traffic) {
    if exit.batch.is_empty() {
        return;
    }
    let report = match sockets.get(via) {
        // RFC 8656 §11.2: with DF or not at all.
        Some(socket)
            if socket.set_dont_fragment(exit.dont_fragment).is_ok() || !exit.dont_fragment =>
        {
            exit.batch.flush(socket, received)
        }
        _ => exit.batch.discard(),
    };
    let side = match via {
        Via::Listener(_) => &traffic.listeners,
        Via::Own(_) => &traffic.own,
    };
    traffic.sent(side, &report);
}
