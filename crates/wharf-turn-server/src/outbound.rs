//! What leaves: staged per socket, flushed in batches, never waited for.

use std::net::IpAddr;
use std::ops::Range;

use wharf_turn::{ClientPath, Output, RelayId, Reply, ToClient, ToPeer};
use wharf_udp::{Full, ReceiveBatch, SendBatch, SendReport, Socket};

use crate::appetite::Appetite;
use crate::counters::{Counter, Counters};
use crate::relays::RelaySockets;
use crate::streams::Streams;

/// Messages and datagrams staged for one socket before they are flushed. As many messages as there are
/// slots to receive into, so that a full turn is one system call; datagrams for a few bursts more.
const MESSAGES: usize = 64;
const DATAGRAMS: usize = 1_024;

/// Where the payload of an output is: a slot of the receive batch, and where the input began in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source {
    pub(crate) slot: usize,
    pub(crate) start: usize,
    /// TOS or traffic class octet of the input.
    pub(crate) tos: u8,
}

impl Source {
    /// A part of the input, as the send batch names it.
    fn payload(self, part: &Range<usize>) -> (usize, Range<usize>) {
        (self.slot, self.start + part.start..self.start + part.end)
    }
}

/// One listening socket of one worker.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    /// Bound to all addresses: replies name the address that the client sent to.
    pub(crate) wildcard: bool,
    pub(crate) appetite: Appetite,
    pub(crate) drops: u32,
}

/// Staged datagrams: a batch for each listener, and one for the relay that is sending; and what is
/// staged for streams.
pub(crate) struct Outbound {
    pub(crate) streams: Streams,
    to_clients: Vec<SendBatch>,
    to_peers: SendBatch,
    /// The relay that `to_peers` leaves from, and whether with DF.
    sender: Option<(RelayId, bool)>,
}

impl Outbound {
    pub(crate) fn new(listeners: usize) -> Self {
        let batch = || SendBatch::new(MESSAGES, DATAGRAMS);
        Self {
            streams: Streams::default(),
            to_clients: (0..listeners).map(|_| batch()).collect(),
            to_peers: batch(),
            sender: None,
        }
    }
}

/// The sockets and counters that staged datagrams leave by, and the bytes that they refer to.
pub(crate) struct Exits<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) relays: &'a RelaySockets,
    pub(crate) received: &'a ReceiveBatch,
    pub(crate) counters: &'a Counters,
}

impl Exits<'_> {
    /// The bytes that a part of an output is about.
    fn bytes(&self, slot: usize, part: Range<usize>) -> &[u8] {
        let received = self.received.payload(slot);
        received.and_then(|data| data.get(part)).unwrap_or_default()
    }
}

impl Outbound {
    /// Stages an output of the core.
    pub(crate) fn stage(&mut self, output: Output<'_>, source: Source, exits: &Exits<'_>) {
        match output {
            Output::Dropped(reason) => exits.counters.dropped(reason),
            Output::Waiting => {}
            Output::ToPeer(to) => self.stage_to_peer(&to, source, exits),
            Output::ToClient(to) => self.stage_to_client(&to, source, exits),
            Output::Reply(reply) => self.stage_reply(&reply, exits),
        }
    }

    fn stage_to_peer(&mut self, to: &ToPeer, source: Source, exits: &Exits<'_>) {
        let sender = Some((to.relay, to.dont_fragment));
        if self.sender != sender {
            self.flush_peers(exits);
        }
        let payload = source.payload(&to.payload);
        let stage = |batch: &mut SendBatch| {
            batch.push(to.peer, None, source.tos, &[], Some(payload.clone()), 0)
        };
        if stage(&mut self.to_peers).is_err() {
            self.flush_peers(exits);
            // An empty batch has room for one.
            let _ = stage(&mut self.to_peers);
        }
        self.sender = sender;
    }

    fn stage_to_client(&mut self, to: &ToClient<'_>, source: Source, exits: &Exits<'_>) {
        if to.path.transport.is_stream() {
            let (slot, range) = source.payload(&to.payload);
            let parts = [to.header, exits.bytes(slot, range), &[0; 3][..to.padding]];
            return self.streams.stage_data(to.path, parts, exits.counters);
        }
        let (client, from) = (to.path.client, from(exits, to.path));
        let payload = (!to.payload.is_empty()).then(|| source.payload(&to.payload));
        self.stage_at_listener(to.path.listener, exits, |batch| {
            let payload = payload.clone();
            batch.push(client, from, source.tos, to.header, payload, to.padding)
        });
    }

    fn stage_reply(&mut self, reply: &Reply<'_>, exits: &Exits<'_>) {
        exits.counters.replied(reply);
        if reply.path.transport.is_stream() {
            let Reply { path, bytes, .. } = reply;
            return self.streams.stage_reply(path, bytes, exits.counters);
        }
        let (client, from) = (reply.path.client, from(exits, &reply.path));
        self.stage_at_listener(reply.path.listener, exits, |batch| {
            batch.push_bytes(client, from, 0, reply.bytes)
        });
    }

    fn stage_at_listener(
        &mut self,
        listener: u32,
        exits: &Exits<'_>,
        stage: impl Fn(&mut SendBatch) -> Result<(), Full>,
    ) {
        let listener = listener as usize;
        if let Some(batch) = self.to_clients.get_mut(listener)
            && stage(batch).is_err()
        {
            self.flush_clients(listener, exits);
            // An empty batch has room for one.
            let _ = stage(&mut self.to_clients[listener]);
        }
    }

    /// Sends all that is staged. What refers to the receive batch is done with it then.
    pub(crate) fn flush(&mut self, exits: &Exits<'_>) {
        self.flush_peers(exits);
        for listener in 0..self.to_clients.len() {
            self.flush_clients(listener, exits);
        }
        self.streams.flush();
    }

    /// Sends what is staged for the relay that is sending. A relay that is gone takes its datagrams
    /// with it.
    pub(crate) fn flush_peers(&mut self, exits: &Exits<'_>) {
        let Some((relay, dont_fragment)) = self.sender.take() else {
            return;
        };
        let Some(socket) = exits.relays.get(relay) else {
            self.to_peers.clear();
            return;
        };
        if socket.set_dont_fragment(dont_fragment).is_err() && dont_fragment {
            // RFC 8656 §11.2: sent with DF or not at all.
            self.to_peers.clear();
            exits.counters.add(Counter::SendFailed, 1);
            return;
        }
        let report = self.to_peers.flush(socket, exits.received);
        count(
            exits.counters,
            &report,
            Counter::ToPeerPackets,
            Counter::ToPeerBytes,
        );
    }

    fn flush_clients(&mut self, listener: usize, exits: &Exits<'_>) {
        if self.to_clients[listener].is_empty() {
            return;
        }
        let socket = &exits.listeners[listener].socket;
        let report = self.to_clients[listener].flush(socket, exits.received);
        count(
            exits.counters,
            &report,
            Counter::ToClientPackets,
            Counter::ToClientBytes,
        );
    }
}

/// The source address of a datagram to a client; a socket with one address has no choice.
fn from(exits: &Exits<'_>, path: &ClientPath) -> Option<IpAddr> {
    let listener = exits.listeners.get(path.listener as usize)?;
    listener.wildcard.then_some(path.server.ip())
}

fn count(counters: &Counters, report: &SendReport, packets: Counter, bytes: Counter) {
    counters.add(packets, report.sent);
    counters.add(bytes, report.sent_bytes);
    if report.would_block + report.failed > 0 {
        counters.add(Counter::SendBlocked, report.would_block);
        counters.add(Counter::SendFailed, report.failed);
    }
}
