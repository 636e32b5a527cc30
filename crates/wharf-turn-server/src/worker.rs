//! One worker: a core with its own ports, on a thread with its own sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use wharf_turn::Server;
use wharf_udp::{BatchHandler, Burst, IcmpError, SocketOptions, Turn, Via};

use crate::control::{Drained, Inbox};
use crate::counters::{Counter, Counters};
use crate::dtls::Sessions;
use crate::outbound::Outbound;
use crate::passage::{PREDECESSOR, SUCCESSOR};
use crate::{Credentials, EventHook, relays};

/// How far a worker has got with ending its allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It goes on as usual.
    No,
    /// It makes no more.
    Begun,
    /// None is left, and the operator knows.
    Done,
}

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) core: Server,
    /// How relay sockets are bound.
    pub(crate) relays: SocketOptions,
    pub(crate) outbound: Outbound,
    pub(crate) counters: Arc<Counters>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) hook: Option<EventHook>,
    /// The inboxes of all workers, this one's among them.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) drained: Arc<Drained>,
    pub(crate) drain: Drain,
    /// The other end of the passage to a process before this one, as long as it lives.
    pub(crate) predecessor: Option<SocketAddr>,
    /// The other end of the passage from a process after this one.
    pub(crate) successor: Option<SocketAddr>,
}

impl BatchHandler for Worker {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        match burst.via() {
            Via::Listener(listener) => self.handle_client(turn, listener, burst),
            Via::Own(SUCCESSOR) => self.handle_handed_back(turn, burst),
            // Answers leave by themselves.
            Via::Own(PREDECESSOR) => {}
            Via::Own(key) => self.handle_peer(turn, relays::name(key), burst),
        }
    }

    fn error(&mut self, turn: &mut Turn<'_>, via: Via, error: &IcmpError) {
        match via {
            Via::Own(key @ (PREDECESSOR | SUCCESSOR)) => self.passage_failed(turn, key, error),
            Via::Own(key) => self.handle_peer_error(turn, relays::name(key), error),
            Via::Listener(_) => {}
        }
    }

    fn woken(&mut self, turn: &mut Turn<'_>) {
        self.read_inbox(turn);
    }

    fn deadline(&self) -> Option<Instant> {
        let sessions = self.outbound.dtls.as_ref();
        let sessions = sessions.and_then(Sessions::deadline);
        [self.core.poll_timeout(), sessions]
            .into_iter()
            .flatten()
            .min()
    }

    fn timeout(&mut self, turn: &mut Turn<'_>) {
        self.core.handle_timeout(turn.now());
        self.effects(turn);
        self.time_sessions(turn);
    }

    fn finish(&mut self, turn: &mut Turn<'_>) {
        self.dismiss_streams(turn);
        self.dismiss_sessions(turn);
        // Before the replies leave, so that a client's next look finds what its request has changed.
        self.gauge();
        self.note_drained();
        self.outbound.streams.flush();
    }
}

impl Worker {
    pub(crate) fn gauge(&self) {
        let set = |counter, value: usize| self.counters.set(counter, value as u64);
        set(Counter::Streams, self.outbound.streams.len());
        if let Some(dtls) = &self.outbound.dtls {
            let (open, handshakes) = dtls.count();
            set(Counter::DtlsSessions, open);
            set(Counter::DtlsHandshakes, handshakes);
        }
        set(Counter::Allocations, self.core.allocations());
        set(Counter::Permissions, self.core.permissions());
        set(Counter::Channels, self.core.channels());
        set(Counter::FreePorts, self.core.free_ports());
    }
}

/// Its thread has ended: nothing is taken from others any more.
impl Drop for Worker {
    fn drop(&mut self) {
        self.outbound.streams.finish();
        self.inboxes[self.index].close();
    }
}
