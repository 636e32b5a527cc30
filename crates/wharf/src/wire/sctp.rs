//! The guarded flow of packets below an association over UDP.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::guard::{Guard, Side};
use crate::connection::Hold;
use crate::sctp::{Carrier, Flow, Flows};

/// The packets of one association with the rules of its listener, as [`Wire`](super::Wire) is for a socket of
/// bytes. The flow ends when this is dropped. It stays on the thread of its socket.
pub(crate) struct SctpFlow {
    flow: Rc<Flow>,
    flows: Rc<Flows>,
    socket: Rc<wharf_udp::Socket>,
    guard: Guard,
    hold: Hold,
}

impl SctpFlow {
    pub(crate) fn new(
        flow: Rc<Flow>,
        flows: Rc<Flows>,
        socket: Rc<wharf_udp::Socket>,
        hold: Hold,
    ) -> Self {
        let mut guard = Guard::new(hold.shared());
        guard.established(hold.shared(), false);
        Self {
            flow,
            flows,
            socket,
            guard,
            hold,
        }
    }

    fn send(&self, packet: &[u8]) -> io::Result<()> {
        let (to, from) = (self.flow.key.0, self.flow.local);
        self.socket.send(to, from, 0, None, packet)
    }
}

impl Carrier for SctpFlow {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let shared = self.hold.shared();
        if let Some(reason) = shared.ending() {
            return Poll::Ready(Err(reason.error()));
        }
        ready!(self.guard.poll_pace(cx, shared))?;
        match self.flow.next(cx.waker()) {
            Some(packet) => {
                self.guard.has_read(shared, packet.len());
                Poll::Ready(Ok(packet))
            }
            None => self.guard.poll_waiting(cx, shared, Side::Read).map(Err),
        }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let shared = self.hold.shared();
        if let Some(reason) = shared.ending() {
            return Err(reason.error());
        }
        // What the kernel has no room for is lost as on the way, and sent again.
        if SctpFlow::send(self, packet).is_ok() {
            self.guard.has_written(shared, packet.len());
        }
        Ok(())
    }

    fn last(&mut self, packet: &[u8]) {
        if SctpFlow::send(self, packet).is_ok() {
            self.guard.has_written(self.hold.shared(), packet.len());
        }
    }

    fn drains(&self) -> bool {
        self.hold.shared().owner.drains()
    }
}

impl Drop for SctpFlow {
    fn drop(&mut self) {
        self.flows.remove(&self.flow.key);
    }
}
