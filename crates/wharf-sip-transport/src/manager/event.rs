//! What a manager tells and counts.

use wharf_sip::destinations::Destination;
use wharf_sip::pool::{PoolClose, PoolKey};
use wharf_sip::route::SendFailure;

use crate::counters::Counter;
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
    /// A destination has failed, and is left alone for a while.
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

/// The counters of a [`Manager`](crate::Manager), and how much it has at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ManagerStats {
    /// Requests that were handed to a flow, each attempt by itself.
    pub requests: u64,
    /// Responses that were handed to a flow, each attempt by itself.
    pub responses: u64,
    /// Connections that were opened.
    pub connected: u64,
    /// Attempts to open one that have failed.
    pub not_connected: u64,
    /// Connections that turned out dead when a request was sent.
    pub redialled: u64,
    /// Connections closed because they were idle or old.
    pub expired: u64,
    /// Connections closed to make room.
    pub evicted: u64,
    /// Requests that went over TCP for their size.
    pub switched: u64,
    /// Requests that went back to UDP.
    pub back_to_udp: u64,
    /// Attempts that have failed.
    pub failed: u64,
    /// Attempts that were not made because of [`ManagerOptions::throttle`](crate::ManagerOptions).
    pub throttled: u64,
    /// Responses that went another way.
    pub rerouted: u64,
    /// Connections of the pool that are open.
    pub open: usize,
    /// Connections that are being opened.
    pub dialling: usize,
    /// Destinations that are left alone, or wait for a probe.
    pub unwell: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: Counter,
    pub(super) responses: Counter,
    connected: Counter,
    not_connected: Counter,
    redialled: Counter,
    expired: Counter,
    evicted: Counter,
    switched: Counter,
    back_to_udp: Counter,
    failed: Counter,
    throttled: Counter,
    rerouted: Counter,
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

    pub(super) fn snapshot(&self) -> ManagerStats {
        ManagerStats {
            requests: self.requests.get(),
            responses: self.responses.get(),
            connected: self.connected.get(),
            not_connected: self.not_connected.get(),
            redialled: self.redialled.get(),
            expired: self.expired.get(),
            evicted: self.evicted.get(),
            switched: self.switched.get(),
            back_to_udp: self.back_to_udp.get(),
            failed: self.failed.get(),
            throttled: self.throttled.get(),
            rerouted: self.rerouted.get(),
            ..ManagerStats::default()
        }
    }
}
