//! From the kernel to the first rules: datagrams in batches, one by one to whoever asks.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use wharf_udp::{ReceiveBatch, Segments, UnixBatch};

use super::rules::{Rules, Verdict};
use super::socket::{DatagramSocket, Manner, Source};
use crate::admission::Proxied;
use crate::counters::one_more;
use crate::events::Event;
use crate::listener::Listener;
use crate::reason::Dropped;
use crate::sockets::PeerCredentials;

/// Slots that one system call fills: 64 KiB each, which are backed by memory as they are used.
const SLOTS: usize = 32;

/// The same of a Unix socket: no more wait in one unless the system says so (`net.unix.max_dgram_qlen`).
const UNIX_SLOTS: usize = 11;

/// What is known of a datagram beside its payload.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) source: Source,
    /// The address of ours that it came to, where the socket has many.
    pub(crate) local: Option<IpAddr>,
    /// The TOS or traffic class octet.
    pub(crate) tos: u8,
    pub(crate) ttl: Option<u8>,
    /// Since the Unix epoch.
    pub(crate) timestamp: Option<Duration>,
    pub(crate) credentials: Option<PeerCredentials>,
    /// What the PROXY header of this very datagram said.
    pub(crate) proxied: Option<Proxied>,
}

/// The datagrams of one socket that pass the rules for single ones.
pub(crate) struct Intake {
    listener: Arc<Listener>,
    socket: Arc<DatagramSocket>,
    batch: Batch,
    rules: Rules,
    side: Side,
    /// Where the current datagram is in its slot or buffer.
    range: Range<usize>,
    /// What the kernel's counter of discarded datagrams said last.
    discarded: u32,
}

enum Batch {
    Udp {
        received: Box<ReceiveBatch>,
        /// The next slot to look at.
        next: usize,
        /// What is left of the slot before it.
        segments: Option<Segments>,
        /// The socket is bound to a wildcard address: replies must say where they leave from.
        wildcard: bool,
    },
    Unix {
        received: Box<UnixBatch>,
        /// The next slot to look at.
        next: usize,
    },
}

impl Intake {
    pub(crate) fn new(listener: Arc<Listener>, socket: Arc<DatagramSocket>) -> Self {
        let rules = Rules::new(&listener);
        let batch = match socket.local_ip() {
            Some(local) => Batch::Udp {
                received: Box::new(ReceiveBatch::new(SLOTS)),
                next: 0,
                segments: None,
                wildcard: local.ip().is_unspecified(),
            },
            None => Batch::Unix {
                received: Box::new(UnixBatch::new(UNIX_SLOTS, longest(&rules))),
                next: 0,
            },
        };
        Self {
            listener,
            socket,
            batch,
            rules,
            side: Side {
                source: Source::Unix(None),
                local: None,
                tos: 0,
                ttl: None,
                timestamp: None,
                credentials: None,
                proxied: None,
            },
            range: 0..0,
            discarded: 0,
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Waits until there are datagrams, and takes them from the kernel. Dropping the future loses
    /// none. To be called when [`advance`](Self::advance) has said that none is left.
    ///
    /// # Errors
    /// The socket is broken, or the system is out of memory. Never the ICMP error of a datagram sent
    /// before: that is told as an event.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        // A socket that always has more must not keep others from running.
        tokio::task::coop::consume_budget().await;
        match (&*self.socket, &mut self.batch) {
            (DatagramSocket::Udp(socket), Batch::Udp { received, .. }) => {
                receive(socket, received, &self.listener).await?;
            }
            (DatagramSocket::Unix(socket, _), Batch::Unix { received, next }) => {
                self.rules.refresh(&self.listener);
                let longest = longest(&self.rules);
                if received.slot_size() != longest {
                    **received = UnixBatch::new(UNIX_SLOTS, longest);
                }
                let take = |socket: &_| received.receive(socket);
                socket.async_io(Interest::READABLE, take).await?;
                *next = 0;
            }
            _ => {}
        }
        self.rules.refresh(&self.listener);
        self.rules.now = Instant::now().into_std();
        Ok(())
    }

    /// Goes on to the next datagram that passes the rules. Says whether there is one.
    pub(crate) fn advance(&mut self) -> bool {
        while self.step() {
            one_more(&self.listener.owner.counters.datagrams_received);
            if self.passes() {
                return true;
            }
        }
        false
    }

    /// The datagram that [`advance`](Self::advance) has gone to.
    pub(crate) fn current(&self) -> (&Side, &[u8]) {
        (&self.side, &self.payload()[self.range.clone()])
    }

    fn payload(&self) -> &[u8] {
        match &self.batch {
            Batch::Udp { received, next, .. } => {
                received.payload(next.wrapping_sub(1)).unwrap_or_default()
            }
            Batch::Unix { received, next } => {
                received.payload(next.wrapping_sub(1)).unwrap_or_default()
            }
        }
    }

    /// Goes on to the next datagram of the batch.
    fn step(&mut self) -> bool {
        let (received, next, segments, wildcard) = match &mut self.batch {
            Batch::Unix { received, next } => {
                let Some(one) = received.get(*next) else {
                    return false;
                };
                *next += 1;
                self.range = 0..one.length;
                self.side.source = Source::Unix(one.from.clone());
                self.side.credentials = one.credentials;
                return true;
            }
            Batch::Udp {
                received,
                next,
                segments,
                wildcard,
            } => (received, next, segments, *wildcard),
        };
        loop {
            if let Some(range) = segments.as_mut().and_then(Iterator::next) {
                self.range = range;
                return true;
            }
            if *next == received.len() {
                received.clear();
                (*next, *segments) = (0, None);
                return false;
            }
            let slot = received.get(*next);
            *next += 1;
            if let Some(discarded) = slot.drops {
                let more = discarded.wrapping_sub(self.discarded);
                self.discarded = discarded;
                self.listener.owner.counters.add_kernel_drops(more);
            }
            *segments = Some(slot.segments());
            self.side.source = Source::Ip(slot.from);
            self.side.local = slot.local.filter(|_| wildcard);
            self.side.tos = slot.tos;
            self.side.ttl = slot.ttl;
            self.side.timestamp = slot.timestamp;
        }
    }

    /// Whether the current datagram may go further; if not it is counted, or answered.
    fn passes(&mut self) -> bool {
        self.side.proxied = None;
        let cut = match &self.batch {
            Batch::Unix { received, next } => received
                .get(next.wrapping_sub(1))
                .is_some_and(|one| one.truncated),
            Batch::Udp { .. } => false,
        };
        let payload = &self.payload()[self.range.clone()];
        let counters = &self.listener.owner.counters;
        let verdict = if cut {
            Verdict::Drop(Dropped::Oversized)
        } else {
            self.rules.judge(&self.listener, &self.side, payload)
        };
        match verdict {
            Verdict::Pass => true,
            Verdict::PassBehind { proxied, header } => {
                self.side.proxied = Some(proxied);
                self.range.start += header;
                true
            }
            Verdict::Answer(answer) => {
                let how = Manner {
                    from: self.side.local,
                    ..Manner::default()
                };
                // As far as the socket takes it at once: the one who asks will ask again.
                let _ = self
                    .socket
                    .try_send(&self.side.source, how, answer.as_bytes());
                one_more(&counters.datagrams_answered);
                false
            }
            Verdict::Drop(reason) => {
                counters.dropped(reason);
                false
            }
        }
    }
}

/// Bytes of the longest datagram that is passed on.
fn longest(rules: &Rules) -> usize {
    usize::try_from(rules.live().config.datagrams.max_size).unwrap_or(usize::MAX)
}

/// Fills a batch with at least one datagram.
async fn receive(
    socket: &AsyncFd<wharf_udp::Socket>,
    batch: &mut ReceiveBatch,
    listener: &Listener,
) -> io::Result<()> {
    loop {
        let mut ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.ready().is_error() {
            ready.clear_ready_matching(tokio::io::Ready::ERROR);
            tell_errors(socket.get_ref(), listener)?;
        }
        let received = ready.try_io(|socket| match socket.get_ref().receive(batch, SLOTS) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            other => other,
        });
        if let Ok(received) = received {
            return received.map(|_| ());
        }
    }
}

/// Tells the ICMP errors that wait. They are hints which anybody can forge: no flow ends for one.
fn tell_errors(socket: &wharf_udp::Socket, listener: &Listener) -> io::Result<()> {
    let owner = &listener.owner;
    while let Some(error) = socket.receive_error()? {
        one_more(&owner.counters.icmp_errors);
        owner.events.emit(|| Event::Icmp {
            listener: owner.name.clone(),
            peer: crate::Endpoint::from_socket(error.destination),
            icmp_type: error.icmp_type,
            code: error.code,
        });
    }
    Ok(())
}
