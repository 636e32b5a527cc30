//! SIP over UDP: one worker thread's share of a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use wharf::batch::{BatchHandler, Burst, Datagram, Turn};
use wharf_sip::flow::{Flow, FlowId};
use wharf_sip::{Boundary, FrameKind, Transport, packet};

use crate::FlowRef;
use crate::counters::Counters;
use crate::layer::Inner;
use crate::outgoing::{Way, hand_over, with_outgoing};
use crate::upper::{Incoming, Taken};

pub(crate) struct Worker {
    layer: Arc<Inner>,
    /// The address of its socket.
    local: SocketAddr,
}

/// What is sent goes back to the sender of a datagram, from the address that it was sent to.
struct Back<'a, 'b> {
    turn: &'a mut Turn<'b>,
    datagram: &'a Datagram<'a>,
    counters: &'a Counters,
}

impl Way for Back<'_, '_> {
    fn send(&mut self, message: &[u8]) {
        self.turn.reply(self.datagram, message);
        self.counters.sent.add(1);
    }
}

impl Worker {
    pub(crate) fn new(layer: Arc<Inner>, local: SocketAddr) -> Self {
        Self { layer, local }
    }

    fn datagram(&self, turn: &mut Turn<'_>, datagram: &Datagram<'_>) {
        let layer = &self.layer;
        let (bytes, now) = (datagram.payload, turn.now());
        let mut back = Back {
            turn,
            datagram,
            counters: &layer.counters,
        };
        let frame = match packet(bytes, Boundary::Datagram, &layer.options.limits) {
            Ok(frame) => frame,
            Err(error) => {
                layer.counters.refused(&error);
                return with_outgoing(&mut back, |outgoing| {
                    outgoing.refuse(bytes, error, datagram.from, &layer.options.limits);
                });
            }
        };
        let FrameKind::Message(scan) = frame.kind else {
            return;
        };
        let ip = datagram.local.unwrap_or(self.local.ip());
        let flow = Flow {
            transport: Transport::Udp,
            local: SocketAddr::new(ip, self.local.port()),
            remote: datagram.from,
        };
        let incoming = Incoming {
            message: &bytes[frame.start..frame.end],
            scan: &scan,
            flow: FlowRef {
                id: FlowId::default(),
                flow,
            },
            source: datagram.from,
            at: now,
            connection: None,
        };
        match hand_over(&*layer.upper, &incoming, &mut back) {
            Taken::Yes => layer.counters.received.add(1),
            Taken::Full => layer.counters.full.add(1),
        }
    }
}

impl BatchHandler for Worker {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            self.datagram(turn, &datagram);
        }
    }
}
