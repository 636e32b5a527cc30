//! What a service is to a worker: told what has come, once for each burst.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Instant;

use crate::{IcmpError, Received, Turn};

/// A service of one worker. It owns its state and is called by one thread only: no lock, no task and no
/// allocation is needed for a datagram. It must not wait for anything; what takes time belongs to another
/// thread, whose answers come with [`woken`](BatchHandler::woken).
///
/// A panic ends the turn in which it happens and is counted; the datagrams of that turn that were not
/// looked at yet are lost, and everything else goes on.
///
/// ```
/// use wharf_udp::{BatchHandler, Burst, Turn};
///
/// struct Echo;
///
/// impl BatchHandler for Echo {
///     fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
///         for datagram in burst.datagrams() {
///             turn.reply_with(&datagram, b"> ", 0..datagram.payload.len());
///         }
///     }
/// }
/// ```
pub trait BatchHandler: Send + 'static {
    /// Datagrams of one sender have come: one, or as many as the kernel has joined.
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>);

    /// A router or a host has answered an earlier datagram with an ICMP error. Comes only from sockets
    /// with [`SocketOptions::errors`](crate::SocketOptions). Default: nothing.
    fn error(&mut self, _turn: &mut Turn<'_>, _via: Via, _error: &IcmpError) {}

    /// The worker's [`Waker`](crate::Waker) was set, once or several times. Default: nothing.
    fn woken(&mut self, _turn: &mut Turn<'_>) {}

    /// When [`timeout`](BatchHandler::timeout) is due; asked for once a turn. Default: never.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed. Default: nothing.
    fn timeout(&mut self, _turn: &mut Turn<'_>) {}

    /// All that has come in this turn was handled, and what is staged leaves next. Default: nothing.
    fn finish(&mut self, _turn: &mut Turn<'_>) {}
}

/// One of a worker's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// A listening socket, by its place in the list that the worker was made with.
    Listener(u32),
    /// A socket that the handler has added.
    Own(SocketKey),
}

/// A handler's name for a socket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketKey {
    /// Its place in the worker's table, which is as long as the largest index in use: deal them out from
    /// zero.
    pub index: u32,
    /// Tells the socket from those that had the index before, whose events may still be under way.
    pub generation: u16,
}

/// Datagrams of one sender that have come through one socket: one, or several that were sent in a row.
#[derive(Clone, Copy, Debug)]
pub struct Burst<'a> {
    via: Via,
    slot: usize,
    received: Received<'a>,
    /// Where they begin in the slot.
    start: usize,
}

impl<'a> Burst<'a> {
    pub(crate) fn new(via: Via, slot: usize, received: Received<'a>) -> Self {
        Self {
            via,
            slot,
            received,
            start: 0,
        }
    }

    /// The socket they have come through.
    pub fn via(&self) -> Via {
        self.via
    }

    /// The sender.
    pub fn from(&self) -> SocketAddr {
        self.received.from
    }

    /// What the kernel has told of them, with all payloads back to back.
    pub fn received(&self) -> &Received<'a> {
        &self.received
    }

    /// How many there are: at least one.
    pub fn count(&self) -> usize {
        self.received.segments().len()
    }

    /// Those of these numbers, counted from zero; `None` when there are none.
    ///
    /// ```
    /// # fn example<'a>(burst: &wharf_udp::Burst<'a>) -> Option<wharf_udp::Burst<'a>> {
    /// burst.part(1..burst.count()) // All but the first.
    /// # }
    /// ```
    #[must_use]
    pub fn part(&self, numbers: Range<usize>) -> Option<Self> {
        if numbers.is_empty() || numbers.start >= self.count() {
            return None;
        }
        let length = self.received.data.len();
        let at = |number: usize| number.saturating_mul(self.received.segment).min(length);
        let (from, to) = (at(numbers.start), at(numbers.end));
        let received = Received {
            data: &self.received.data[from..to],
            ..self.received
        };
        Some(Self {
            received,
            start: self.start + from,
            ..*self
        })
    }

    /// Each of them, in the order in which they came.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'a>> + use<'a> {
        let burst = *self;
        let received = burst.received;
        received.segments().map(move |range| Datagram {
            payload: &received.data[range.clone()],
            from: received.from,
            local: received.local,
            tos: received.tos,
            via: burst.via,
            slot: burst.slot,
            start: burst.start + range.start,
        })
    }
}

/// One received datagram, where it was received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload, which may be empty.
    pub payload: &'a [u8],
    /// The sender.
    pub from: SocketAddr,
    /// The address that it was sent to, where the socket reports it
    /// ([`SocketOptions::packet_info`](crate::SocketOptions)).
    pub local: Option<IpAddr>,
    /// The TOS or traffic class octet; its two low bits are ECN (RFC 3168 §5). 0 without
    /// [`SocketOptions::receive_tos`](crate::SocketOptions).
    pub tos: u8,
    /// The socket it has come through.
    pub via: Via,
    slot: usize,
    start: usize,
}

impl Datagram<'_> {
    /// The same without its first `header` bytes; `None` when it is shorter.
    #[must_use]
    pub fn behind(&self, header: usize) -> Option<Self> {
        Some(Self {
            payload: self.payload.get(header..)?,
            start: self.start.saturating_add(header),
            ..*self
        })
    }

    /// A part of the payload, to be sent from where it is.
    ///
    /// A range outside the payload may name bytes of its neighbours, or none: then the datagram made of
    /// it counts as failed.
    pub fn piece(&self, range: Range<usize>) -> Piece {
        Piece {
            slot: self.slot,
            start: self.start.saturating_add(range.start),
            end: self.start.saturating_add(range.end),
        }
    }
}

/// Received bytes that are to be sent, by their place. Good until the end of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    slot: usize,
    start: usize,
    end: usize,
}

impl Piece {
    pub(crate) fn place(self) -> (usize, Range<usize>) {
        (self.slot, self.start..self.end)
    }
}
