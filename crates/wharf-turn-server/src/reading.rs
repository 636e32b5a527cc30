//! What a worker is told of its sockets, and the core's answer to each datagram.

use wharf_turn::{ClientPath, Output, RelayId, Transport};
use wharf_udp::{Burst, Datagram, IcmpError, Turn};

use crate::counters::Counter;
use crate::outbound::Source;
use crate::worker::Worker;

impl Worker {
    pub(crate) fn handle_client(&mut self, turn: &mut Turn<'_>, listener: u32, burst: &Burst<'_>) {
        let Some(server) = turn.local_addr(burst.via()) else {
            return;
        };
        let mut path = ClientPath {
            transport: Transport::Udp,
            client: burst.from(),
            server,
            listener,
        };
        if let Some(ip) = burst.received().local {
            path.server.set_ip(ip);
        }
        for datagram in burst.datagrams() {
            if !self.hand_back(turn, &path, &datagram) {
                self.handle_one(turn, &path, &datagram);
            }
        }
    }

    pub(crate) fn handle_one(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        datagram: &Datagram<'_>,
    ) {
        // RFC 7983 §7.
        if let Some(20..=63) = datagram.payload.first() {
            return self.handle_dtls(turn, path, datagram);
        }
        let output = self.core.handle_client(turn.now(), path, datagram.payload);
        if matches!(output, Output::ToClient(_)) {
            self.counters.add(Counter::HandedAcross, 1);
        }
        let source = Source::Datagram(datagram);
        self.outbound.stage(turn, output, source, &self.counters);
        self.effects(turn);
    }

    pub(crate) fn handle_peer(&mut self, turn: &mut Turn<'_>, relay: RelayId, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            let output =
                self.core
                    .handle_peer(turn.now(), relay, datagram.from, datagram.payload.len());
            let source = Source::Datagram(&datagram);
            self.outbound.stage(turn, output, source, &self.counters);
        }
    }

    pub(crate) fn handle_peer_error(
        &mut self,
        turn: &mut Turn<'_>,
        relay: RelayId,
        error: &IcmpError,
    ) {
        let output = self.core.handle_peer_error(
            turn.now(),
            relay,
            error.destination,
            error.icmp_type,
            error.code,
            error.mtu,
        );
        self.outbound
            .stage(turn, output, Source::Nothing, &self.counters);
    }
}
