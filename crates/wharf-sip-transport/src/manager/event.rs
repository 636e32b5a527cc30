//! What a manager tells and counts.

use wharf_sip::destinations::Destination;
use wharf_sip::pool::{PoolClose, PoolKey};
use wharf_sip::route::SendFailure;

use crate::counters::counters;
use crate::{DialError, FlowRef};

/// What a [`Manager`](crate::Manager) has done beside sending.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// A connection was opened.
    Connected {
        /// What for.
        key: PoolKey,
        /// It.
        flow: FlowRef,
    },
    /// A connection was not opened.
    NotConnected {
        /// What for.
        key: PoolKey,
        /// Why.
        error: DialError,
    },
    /// A connection turned out dead when a request was sent over it; the request waits for another one.
    Redialled {
        /// The one that was dead.
        dead: FlowRef,
    },
    /// A connection is closed because it was idle, or is old.
    Expired {
        /// It.
        flow: FlowRef,
        /// Why.
        why: PoolClose,
    },
    /// A connection is closed to make room for another.
    Evicted(FlowRef),
    /// A request was too long for UDP and goes over TCP (RFC 3261 §18.1.1).
    SwitchedToTcp {
        /// Where to.
        to: Destination,
        /// Its length.
        bytes: usize,
    },
    /// A request that was too long for UDP goes over it all the same, since the server does not speak TCP.
    BackToUdp {
        /// Where to.
        to: Destination,
        /// Its length.
        bytes: usize,
    },
    /// An attempt has failed. Its destination is left alone for a while, unless the request is only to go
    /// another way to the same server.
    Failed {
        /// It.
        to: Destination,
        /// Why; none where it has answered with a 503.
        failure: Option<SendFailure>,
    },
    /// A destination was passed over because it gets too many requests.
    Throttled(Destination),
    /// A response did not arrive, and goes another way (RFC 3261 §18.2.2).
    ResponseRerouted {
        /// Where it did not arrive.
        from: Destination,
    },
}

counters! {
    Counters =>
    /// The counters of a [`Manager`](crate::Manager).
    ManagerStats {
        /// Requests that were handed to a flow, each attempt by itself.
        requests,
        /// Responses that were handed to a flow, each attempt by itself.
        responses,
        /// Connections that were opened.
        connected,
        /// Attempts to open one that have failed.
        not_connected,
        /// Connections that turned out dead when a request was sent.
        redialled,
        /// Connections closed because they were idle or old.
        expired,
        /// Connections closed to make room for another.
        evicted,
        /// Requests that went over TCP for their size (RFC 3261 §18.1.1).
        switched,
        /// Requests that went back to UDP, since the server does not speak TCP.
        back_to_udp,
        /// Attempts that have failed.
        failed,
        /// Attempts that were not made because their destination gets as many requests as it may.
        throttled,
        /// Responses that went another way (RFC 3261 §18.2.2).
        rerouted,
    }
}

impl Counters {
    pub(super) fn event(&self, event: &ManagerEvent) {
        let counter = match event {
            ManagerEvent::Connected { .. } => &self.connected,
            ManagerEvent::NotConnected { .. } => &self.not_connected,
            ManagerEvent::Redialled { .. } => &self.redialled,
            ManagerEvent::Expired { .. } => &self.expired,
            ManagerEvent::Evicted(_) => &self.evicted,
            ManagerEvent::SwitchedToTcp { .. } => &self.switched,
            ManagerEvent::BackToUdp { .. } => &self.back_to_udp,
            ManagerEvent::Failed { .. } => &self.failed,
            ManagerEvent::Throttled(_) => &self.throttled,
            ManagerEvent::ResponseRerouted { .. } => &self.rerouted,
        };
        counter.add(1);
    }
}
