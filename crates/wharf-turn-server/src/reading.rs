//! What a worker reads from its sockets, and the core's answer to each datagram.

use std::time::Instant;

use wharf_turn::{ClientPath, Output, RelayId, Transport};

use crate::counters::Counter;
use crate::outbound::{Exits, Listener, Source};
use crate::worker::{Worker, exits};

/// Datagrams (or bursts) read from one socket at a time, so that a busy one does not starve others.
const LISTENER_BUDGET: usize = 64;
const RELAY_BUDGET: usize = 16;
/// ICMP errors read from one socket at a time.
const ICMP_BUDGET: usize = 16;

impl Worker {
    pub(crate) fn read_clients(&mut self, now: Instant, index: usize) {
        let first = self.make_room();
        let Listener {
            socket, appetite, ..
        } = &mut self.listeners[index];
        let count = appetite.read(socket, &mut self.received, LISTENER_BUDGET);
        let local = socket.local_addr();
        for slot in first..first + count {
            let datagrams = self.received.get(slot);
            if datagrams.truncated {
                self.counters.add(Counter::Truncated, 1);
                continue;
            }
            let mut path = ClientPath {
                transport: Transport::Udp,
                client: datagrams.from,
                server: local,
                listener: index as u32,
            };
            if let Some(ip) = datagrams.local {
                path.server.set_ip(ip);
            }
            let segments = datagrams.segments();
            let tos = datagrams.tos;
            self.counters
                .add(Counter::ClientBytes, datagrams.data.len() as u64);
            for range in segments {
                self.counters.add(Counter::ClientPackets, 1);
                let source = Source {
                    slot,
                    start: range.start,
                    tos,
                };
                let Some(datagram) = self.received.payload(slot).and_then(|data| data.get(range))
                else {
                    continue;
                };
                let output = self.core.handle_client(now, &path, datagram);
                if matches!(output, Output::ToClient(_)) {
                    self.counters.add(Counter::HandedAcross, 1);
                }
                self.outbound.stage(output, source, &exits!(self));
                self.effects(now);
            }
        }
        self.busy |= count > 0;
    }

    pub(crate) fn read_peers(&mut self, now: Instant, relay: RelayId) {
        let first = self.make_room();
        let count = self.relays.read(relay, &mut self.received, RELAY_BUDGET);
        for slot in first..first + count {
            let datagrams = self.received.get(slot);
            if datagrams.truncated {
                self.counters.add(Counter::Truncated, 1);
                continue;
            }
            self.counters
                .add(Counter::PeerBytes, datagrams.data.len() as u64);
            for range in datagrams.segments() {
                self.counters.add(Counter::PeerPackets, 1);
                let source = Source {
                    slot,
                    start: range.start,
                    tos: datagrams.tos,
                };
                let output = self
                    .core
                    .handle_peer(now, relay, datagrams.from, range.len());
                self.outbound.stage(output, source, &exits!(self));
            }
        }
        self.busy |= count > 0;
    }

    pub(crate) fn read_errors(&mut self, now: Instant, relay: RelayId) {
        for _ in 0..ICMP_BUDGET {
            let Some(socket) = self.relays.get(relay) else {
                return;
            };
            let Ok(Some(error)) = socket.receive_error() else {
                return;
            };
            self.counters.add(Counter::IcmpErrors, 1);
            let output = self.core.handle_peer_error(
                now,
                relay,
                error.destination,
                error.icmp_type,
                error.code,
                error.mtu,
            );
            let source = Source::default();
            self.outbound.stage(output, source, &exits!(self));
        }
    }

    /// The first free slot; all are free after a flush.
    fn make_room(&mut self) -> usize {
        if self.received.is_full() {
            self.flush();
        }
        self.received.len()
    }
}
