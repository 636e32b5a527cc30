//! Who waits to hear that a destination was not reached.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::sync::oneshot;
use wharf_sip::Transport;
use wharf_sip::destinations::Destination;
use wharf_sip::flow::FlowId;
use wharf_sip::route::SendFailure;

use crate::FlowRef;

/// The attempts under way, by their destination. There are as many as those who made them hold.
#[derive(Debug, Default)]
pub(super) struct Losses {
    waiting: HashMap<Destination, HashMap<u64, Waiting>>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    flow: FlowId,
    tell: oneshot::Sender<SendFailure>,
}

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) to: Destination,
    number: u64,
    pub(super) lost: oneshot::Receiver<SendFailure>,
}

impl Losses {
    /// An attempt over this flow is under way, until its ticket is given back.
    pub(super) fn enter(&mut self, flow: &FlowRef) -> Ticket {
        let to = Destination {
            transport: flow.flow.transport,
            address: flow.flow.remote,
        };
        let number = self.next;
        self.next += 1;
        let (tell, lost) = oneshot::channel();
        let flow = flow.id;
        let waiting = self.waiting.entry(to).or_default();
        waiting.insert(number, Waiting { flow, tell });
        Ticket { to, number, lost }
    }

    pub(super) fn leave(&mut self, ticket: &Ticket) {
        if let Some(waiting) = self.waiting.get_mut(&ticket.to) {
            waiting.remove(&ticket.number);
            if waiting.is_empty() {
                self.waiting.remove(&ticket.to);
            }
        }
    }

    /// The attempts under way to a destination.
    pub(super) fn busy(&self, to: Destination) -> usize {
        self.waiting.get(&to).map_or(0, HashMap::len)
    }

    /// ICMP says that datagrams do not arrive.
    pub(super) fn unreachable(&mut self, remote: SocketAddr, failure: SendFailure) {
        let to = Destination {
            transport: Transport::Udp,
            address: remote,
        };
        for waiting in self
            .waiting
            .remove(&to)
            .into_iter()
            .flat_map(HashMap::into_values)
        {
            // Whoever does not wait any more has got an answer.
            let _ = waiting.tell.send(failure);
        }
    }

    /// A connection has closed.
    pub(super) fn closed(&mut self, flow: &FlowRef) {
        let to = Destination {
            transport: flow.flow.transport,
            address: flow.flow.remote,
        };
        let Some(waiting) = self.waiting.get_mut(&to) else {
            return;
        };
        let over = waiting.extract_if(|_, waiting| waiting.flow == flow.id);
        for (_, waiting) in over {
            let _ = waiting.tell.send(SendFailure::Reset);
        }
        if waiting.is_empty() {
            self.waiting.remove(&to);
        }
    }
}
