//! What happened to every arrival and every connection, counted.

mod workers;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use workers::{Tally, Workers};

use wharf_policy::first_bytes::Protocol;

use crate::reason::{Closed, Dropped, Refusal};

/// The counters of one listener or client. Each event is counted once, when it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    arrived: AtomicU64,
    pending: AtomicU64,
    accepted: AtomicU64,
    live: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    closed: [AtomicU64; Closed::ALL.len()],
    /// Bytes of connections that are gone.
    received: AtomicU64,
    sent: AtomicU64,
    pub(crate) challenged: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) accept_pauses: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_dropped: AtomicU64,
    pub(crate) messages_oversized: AtomicU64,
    pub(crate) messages_incomplete: AtomicU64,
    pub(crate) messages_unparsable: AtomicU64,
    pub(crate) datagrams_received: AtomicU64,
    pub(crate) datagrams_delivered: AtomicU64,
    pub(crate) datagrams_answered: AtomicU64,
    pub(crate) datagrams_sent: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    /// By what they are; the last place is for all others.
    spoken: [AtomicU64; Protocol::ALL.len() + 1],
    kernel_drops: AtomicU64,
    pub(crate) icmp_errors: AtomicU64,
    pub(crate) certificate_reloads: AtomicU64,
    pub(crate) certificate_failures: AtomicU64,
    /// Worker threads, which count for themselves.
    pub(crate) workers: Workers,
}

impl Counters {
    /// One that was refused before anything was kept of it.
    pub(crate) fn refused(&self, reason: Refusal) {
        one_more(&self.arrived);
        one_more(&self.refused[reason as usize]);
    }

    /// One that is let in, its handshakes still to come.
    pub(crate) fn arrived(&self) {
        one_more(&self.arrived);
        one_more(&self.pending);
    }

    pub(crate) fn accepted(&self) {
        one_more(&self.accepted);
        one_more(&self.live);
        one_less(&self.pending);
    }

    pub(crate) fn pending_refused(&self, reason: Refusal, bytes: (u64, u64)) {
        one_more(&self.refused[reason as usize]);
        one_less(&self.pending);
        self.add_bytes(bytes);
    }

    pub(crate) fn closed(&self, reason: Closed, bytes: (u64, u64)) {
        one_more(&self.closed[reason as usize]);
        one_less(&self.live);
        self.add_bytes(bytes);
    }

    /// First bytes were looked at, and are those of a protocol or of none that is wanted.
    pub(crate) fn spoken(&self, protocol: Option<Protocol>) {
        one_more(&self.spoken[protocol.map_or(Protocol::ALL.len(), |one| one as usize)]);
    }

    /// A datagram goes no further.
    pub(crate) fn dropped(&self, reason: Dropped) {
        one_more(&self.dropped[reason as usize]);
    }

    /// Datagrams that the kernel has discarded.
    pub(crate) fn add_kernel_drops(&self, datagrams: u32) {
        self.kernel_drops
            .fetch_add(datagrams.into(), Ordering::Relaxed);
    }

    fn add_bytes(&self, (received, sent): (u64, u64)) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// The values now. Counters move while they are read; at rest the sums are exact.
    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            arrived: read(&self.arrived),
            pending: read(&self.pending),
            accepted: read(&self.accepted),
            live: read(&self.live),
            refused: Refusal::ALL
                .map(|reason| (reason, read(&self.refused[reason as usize])))
                .into(),
            closed: Closed::ALL
                .map(|reason| (reason, read(&self.closed[reason as usize])))
                .into(),
            received: read(&self.received),
            sent: read(&self.sent),
            challenged: read(&self.challenged),
            accept_errors: read(&self.accept_errors),
            accept_pauses: read(&self.accept_pauses),
            throttled: read(&self.throttled),
            messages_received: read(&self.messages_received),
            messages_sent: read(&self.messages_sent),
            messages_dropped: read(&self.messages_dropped),
            messages_oversized: read(&self.messages_oversized),
            messages_incomplete: read(&self.messages_incomplete),
            messages_unparsable: read(&self.messages_unparsable),
            datagrams_received: read(&self.datagrams_received),
            datagrams_delivered: read(&self.datagrams_delivered),
            datagrams_answered: read(&self.datagrams_answered),
            datagrams_sent: read(&self.datagrams_sent),
            dropped: Dropped::ALL
                .map(|reason| (reason, read(&self.dropped[reason as usize])))
                .into(),
            spoken: Protocol::ALL
                .map(|protocol| (protocol, read(&self.spoken[protocol as usize])))
                .into(),
            unknown: read(&self.spoken[Protocol::ALL.len()]),
            kernel_drops: read(&self.kernel_drops),
            icmp_errors: read(&self.icmp_errors),
            certificate_reloads: read(&self.certificate_reloads),
            certificate_failures: read(&self.certificate_failures),
            ..Stats::default()
        };
        self.workers.add_to(&mut stats);
        stats
    }
}

pub(crate) fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn one_less(counter: &AtomicU64) {
    counter.fetch_sub(1, Ordering::Relaxed);
}

/// The counters of a listener at one moment.
///
/// At rest `arrived = pending + accepted + Σ refused`, `accepted = live + Σ closed` and
/// `datagrams_received = datagrams_delivered + datagrams_answered + Σ dropped`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that the kernel handed over; for a client, that were dialled.
    pub arrived: u64,
    /// Of these, whose handshakes are pending now.
    pub pending: u64,
    /// Connections that reached their handler.
    pub accepted: u64,
    /// Of these, how many are there now.
    pub live: u64,
    /// Arrivals that did not reach a handler, by reason; every reason is listed.
    pub refused: Vec<(Refusal, u64)>,
    /// Accepted connections that ended, by reason; every reason is listed.
    pub closed: Vec<(Closed, u64)>,
    /// Bytes received, as on the wire.
    pub received: u64,
    /// Bytes sent, as on the wire.
    pub sent: u64,
    /// Clients that were asked to prove their address, and are not yet arrivals (QUIC Retry, DTLS
    /// cookies).
    pub challenged: u64,
    /// Errors of `accept(2)` other than a connection that was gone again.
    pub accept_errors: u64,
    /// Pauses in accepting for want of descriptors or memory.
    pub accept_pauses: u64,
    /// Pauses in reading from a connection over its rate.
    pub throttled: u64,
    /// Messages received (WebSocket, `Session`).
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages dropped because the peer was too slow to take them.
    pub messages_dropped: u64,
    /// Messages larger than allowed.
    pub messages_oversized: u64,
    /// Connections that ended in the middle of a message.
    pub messages_incomplete: u64,
    /// Messages that could not be parsed.
    pub messages_unparsable: u64,
    /// Datagrams that the kernel handed over.
    pub datagrams_received: u64,
    /// Of these, given to a handler or queued for one.
    pub datagrams_delivered: u64,
    /// Of these, answered without a handler: requests of health, and what a cookie is asked for.
    pub datagrams_answered: u64,
    /// Datagrams that handlers have sent; with a batch handler answers to requests of health too.
    pub datagrams_sent: u64,
    /// Datagrams that batch handlers could not send: the socket's buffer was full, or the system refused.
    pub datagrams_unsent: u64,
    /// Panics of batch handlers. Each ended the turn that it happened in.
    pub worker_panics: u64,
    /// Of those that were received, dropped, by reason; every reason is listed.
    pub dropped: Vec<(Dropped, u64)>,
    /// Connections whose first bytes were looked at, and flows of such listeners, by what they speak;
    /// what is within TLS counts beside the TLS. Every protocol is listed.
    pub spoken: Vec<(Protocol, u64)>,
    /// Of these, those that spoke none of the protocols that were looked for, or were silent.
    pub unknown: u64,
    /// Datagrams that the kernel has discarded for want of room in the socket's buffer, as far as it
    /// has told: it does so with the next datagram that it has room for.
    pub kernel_drops: u64,
    /// ICMP errors that came for datagrams that were sent.
    pub icmp_errors: u64,
    /// Certificates that were reloaded.
    pub certificate_reloads: u64,
    /// Reloads that failed and left the certificates as they were.
    pub certificate_failures: u64,
}

impl Stats {
    /// How many were refused for `reason`.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused
            .iter()
            .find(|(listed, _)| *listed == reason)
            .map_or(0, |(_, count)| *count)
    }

    /// How many ended for `reason`.
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed
            .iter()
            .find(|(listed, _)| *listed == reason)
            .map_or(0, |(_, count)| *count)
    }

    /// How many spoke `protocol`, where the first bytes were looked at.
    pub fn spoken(&self, protocol: Protocol) -> u64 {
        self.spoken
            .iter()
            .find(|(listed, _)| *listed == protocol)
            .map_or(0, |(_, count)| *count)
    }

    /// How many datagrams were dropped for `reason`.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped
            .iter()
            .find(|(listed, _)| *listed == reason)
            .map_or(0, |(_, count)| *count)
    }

    /// How many datagrams were dropped.
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// How many were refused.
    pub fn all_refused(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    /// How many accepted ones ended.
    pub fn all_closed(&self) -> u64 {
        self.closed.iter().map(|(_, count)| count).sum()
    }
}
