//! SIP over UDP: one worker thread's share of a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use wharf::batch::{BatchHandler, Burst, Datagram, IcmpError, Outgoing as Packet, Seat, Turn, Via};
use wharf_sip::flow::Flow;
use wharf_sip::route::SendFailure;
use wharf_sip::{Boundary, FrameKind, Transport, packet};

use crate::FlowRef;
use crate::layer::Inner;
use crate::outgoing::{Way, with_outgoing};
use crate::ports::{Parcel, Port};
use crate::stun;
use crate::upper::{Event, Incoming, Taken};

/// Datagrams of others that are sent in one turn, between two looks at the socket.
const PARCELS: usize = 256;

pub(crate) struct Worker {
    layer: Arc<Inner>,
    port: Arc<Port>,
}

/// What is sent while a datagram is handled leaves in the same turn, where this socket can send it.
struct Here<'a, 'b> {
    turn: &'a mut Turn<'b>,
    datagram: &'a Datagram<'a>,
    worker: &'a Worker,
}

impl Way for Here<'_, '_> {
    fn send(&mut self, message: &[u8]) {
        self.turn.reply(self.datagram, message);
        self.worker.layer.counters.sent.add(1);
    }

    fn send_to_port(&mut self, port: u16, message: &[u8]) {
        let (datagram, worker) = (self.datagram, self.worker);
        if port == datagram.from.port() {
            return self.send(message);
        }
        let remote = SocketAddr::new(datagram.from.ip(), port);
        let flow = worker.flow(datagram.local, remote).flow;
        worker.send(self.turn, datagram.via, &flow, message);
    }

    fn direct(&mut self, to: &FlowRef, message: &[u8]) -> bool {
        let ours = to.flow.transport == Transport::Udp && self.worker.port.has(to.flow.local);
        if ours {
            self.worker
                .send(self.turn, self.datagram.via, &to.flow, message);
        }
        ours
    }
}

impl Worker {
    pub(crate) fn new(layer: Arc<Inner>, seat: &Seat) -> Self {
        let port = Arc::new(Port::new(seat));
        if layer.ports.open(port.clone()) {
            layer.upper.event(Event::Listening(port.local));
        }
        Self { layer, port }
    }

    /// Sends a datagram from the address of its flow.
    fn send(&self, turn: &mut Turn<'_>, via: Via, flow: &Flow, message: &[u8]) {
        let from = Some(flow.local.ip()).filter(|ip| !ip.is_unspecified());
        let packet = Packet {
            from,
            header: message,
            ..Packet::to(flow.remote)
        };
        if turn.send(via, &packet) {
            self.layer.counters.sent.add(1);
        } else {
            self.layer.counters.lost.add(1);
        }
    }

    /// The flow to a peer from an address of ours, which the kernel tells for wildcard sockets.
    fn flow(&self, local: Option<std::net::IpAddr>, remote: SocketAddr) -> FlowRef {
        let bound = self.port.local;
        let local = SocketAddr::new(local.unwrap_or(bound.ip()), bound.port());
        FlowRef::datagrams(local, remote)
    }

    fn datagram(&self, turn: &mut Turn<'_>, datagram: &Datagram<'_>) {
        let layer = &self.layer;
        let bytes = datagram.payload;
        if stun::is_stun(bytes) {
            return self.stun(turn, datagram);
        }
        let at = turn.now();
        let mut here = Here {
            turn,
            datagram,
            worker: self,
        };
        let frame = match packet(bytes, Boundary::Datagram, &layer.options.limits) {
            Ok(frame) => frame,
            Err(error) => {
                layer.counters.refused(&error);
                return with_outgoing(layer, &mut here, |outgoing| {
                    outgoing.refuse(bytes, error, datagram.from);
                });
            }
        };
        let FrameKind::Message(scan) = frame.kind else {
            return;
        };
        let incoming = Incoming {
            message: &bytes[frame.start..frame.end],
            scan: &scan,
            flow: self.flow(datagram.local, datagram.from),
            source: datagram.from,
            at,
            connection: None,
            identities: None,
        };
        match layer.hand_over(&incoming, &mut here) {
            Taken::Yes => {}
            Taken::Full => layer.counters.full.add(1),
        }
    }

    fn stun(&self, turn: &mut Turn<'_>, datagram: &Datagram<'_>) {
        let mut answer = Vec::new();
        if stun::answer(datagram.payload, datagram.from, &mut answer) {
            turn.reply(datagram, &answer);
            self.layer.counters.stun.add(1);
        } else if !self.layer.stun_answered(datagram.from, datagram.payload) {
            self.layer.counters.stun_refused.add(1);
        }
    }
}

impl BatchHandler for Worker {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            self.datagram(turn, &datagram);
        }
    }

    /// Sends what others have handed over.
    fn woken(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..PARCELS {
            let Some(Parcel { flow, message }) = self.port.outbox.next() else {
                return;
            };
            self.send(turn, Via::Listener(0), &flow, &message);
        }
        self.port.wake();
    }

    fn error(&mut self, _turn: &mut Turn<'_>, _via: Via, error: &IcmpError) {
        let (kind, code) = (error.icmp_type, error.code);
        let failure = if error.destination.is_ipv4() {
            SendFailure::from_icmp(kind, code)
        } else {
            SendFailure::from_icmpv6(kind, code)
        };
        let Some(failure) = failure else {
            return;
        };
        self.layer.counters.unreachable.add(1);
        let flow = self.flow(None, error.destination);
        let mtu = (error.mtu > 0).then_some(error.mtu);
        self.layer
            .upper
            .event(Event::Unreachable { flow, failure, mtu });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let layer = &self.layer;
        let last = layer.ports.close(&self.port);
        layer.counters.lost.add(self.port.outbox.close() as u64);
        if last {
            layer.upper.event(Event::Stopped(self.port.local));
        }
    }
}
