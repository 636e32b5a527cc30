//! The flows of a client to its outbound proxies, opened again when they fail (RFC 5626 §4).
//!
//! ```no_run
//! use wharf_sip_transport::{Dialer, Outbound, OutboundEvent, OutboundRules};
//! # use wharf_sip::pool::PoolKey;
//! # async fn client(dialer: Dialer, proxies: Vec<PoolKey>) {
//! let mut outbound = Outbound::start(&dialer, proxies, OutboundRules::default());
//! while let Some(event) = outbound.next().await {
//!     match event {
//!         OutboundEvent::Opened { place, flow } => {
//!             // Register over the flow, with `reg-id` from the place (§4.2.1). When that has succeeded:
//!             outbound.registered(place);
//!             # let _ = flow;
//!         }
//!         OutboundEvent::Failed { place, why, wait } => println!("{place}: {why}; again in {wait:?}"),
//!     }
//! }
//! # }
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wharf_sip::Transport;
use wharf_sip::keep_alive::{FlowFailure, KeepAliveRules, Recovery, RecoveryRules};
use wharf_sip::pool::PoolKey;

use crate::{DialError, Dialer, FlowRef, KeepAliveError};

/// The rules of an [`Outbound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboundRules {
    /// How flows over connections are kept alive. Default [`KeepAliveRules::connection`].
    pub connection: KeepAliveRules,
    /// How flows over UDP are kept alive. Default [`KeepAliveRules::datagrams`].
    pub datagrams: KeepAliveRules,
    /// How long to wait before a flow that has failed is opened again. Default those of RFC 5626 §4.5.
    pub recovery: RecoveryRules,
}

impl Default for OutboundRules {
    fn default() -> Self {
        Self {
            connection: KeepAliveRules::connection(),
            datagrams: KeepAliveRules::datagrams(),
            recovery: RecoveryRules::default(),
        }
    }
}

/// What becomes of the flows.
#[derive(Debug, Clone)]
pub enum OutboundEvent {
    /// The flow to this place is open, and kept alive.
    Opened {
        /// The place, by its number in the list.
        place: usize,
        /// The flow.
        flow: FlowRef,
    },
    /// The flow to this place has failed, or was not opened.
    Failed {
        /// The place, by its number in the list.
        place: usize,
        /// Why.
        why: OutboundFailure,
        /// How long until it is tried again.
        wait: Duration,
    },
}

/// Why there is no flow to a place.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundFailure {
    /// The connection was not opened.
    #[error(transparent)]
    Dial(DialError),
    /// There is no UDP socket for this family of addresses.
    #[error("no UDP socket reaches the address")]
    NoSocket,
    /// It cannot be kept alive.
    #[error(transparent)]
    KeepAlive(KeepAliveError),
    /// A keep-alive was not answered as it should be.
    #[error(transparent)]
    Flow(FlowFailure),
    /// The connection has closed, or the flow was [given up](Outbound::abandon).
    #[error("the flow has ended")]
    Ended,
}

/// The flows of a client to its outbound proxies, one to each, on a task each.
///
/// A flow that fails is opened again after the wait of RFC 5626 §4.5. When this is dropped the flows close.
#[derive(Debug)]
pub struct Outbound {
    shared: Arc<Shared>,
    events: mpsc::Receiver<OutboundEvent>,
    /// Aborted when it is dropped.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    rules: OutboundRules,
    places: Mutex<Vec<Place>>,
}

#[derive(Debug, Default)]
struct Place {
    flow: Option<FlowRef>,
    /// A registration over this flow has succeeded.
    registered: bool,
    recovery: Recovery,
}

impl Outbound {
    /// Opens a flow to each place, and keeps it open. The places have to differ.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(dialer: &Dialer, places: Vec<PoolKey>, rules: OutboundRules) -> Self {
        let (sender, events) = mpsc::channel(places.len().max(1));
        let shared = Arc::new(Shared {
            dialer: dialer.clone(),
            rules,
            places: Mutex::new(places.iter().map(|_| Place::default()).collect()),
        });
        let mut tasks = JoinSet::new();
        for (place, key) in places.into_iter().enumerate() {
            tasks.spawn(shared.clone().keep(place, key, sender.clone()));
        }
        Self {
            shared,
            events,
            _tasks: tasks,
        }
    }

    /// What happens next; `None` when there are no places. As many events wait as there are places; a place
    /// whose event finds no room waits with it.
    pub async fn next(&mut self) -> Option<OutboundEvent> {
        self.events.recv().await
    }

    /// A registration over the flow to this place has succeeded: the failures before it are forgotten.
    pub fn registered(&self, place: usize) {
        if let Some(place) = self.shared.places().get_mut(place) {
            place.registered = place.flow.is_some();
            if place.registered {
                place.recovery.succeeded();
            }
        }
    }

    /// The flow to this place, while it is open.
    pub fn flow(&self, place: usize) -> Option<FlowRef> {
        self.shared.places().get(place)?.flow
    }

    /// Gives the flow to this place up, as when a registration over it has failed: it counts as failed. False
    /// where there is none.
    pub fn abandon(&self, place: usize) -> bool {
        let flow = self.flow(place);
        flow.is_some_and(|flow| self.shared.end(&flow))
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // A task that is just opening a flow finds no place for it.
        let places = std::mem::take(&mut *self.shared.places());
        for flow in places.into_iter().filter_map(|place| place.flow) {
            self.shared.end(&flow);
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, flow: &FlowRef) -> bool {
        let sip = self.dialer.sip();
        sip.close(flow) | sip.stop_keep_alive(flow)
    }

    /// The task of a place.
    async fn keep(
        self: Arc<Self>,
        place: usize,
        key: PoolKey,
        events: mpsc::Sender<OutboundEvent>,
    ) {
        loop {
            let why = match self.open(place, &key).await {
                Ok((flow, ended)) => {
                    if events
                        .send(OutboundEvent::Opened { place, flow })
                        .await
                        .is_err()
                    {
                        return;
                    }
                    ended
                        .await
                        .map_or(OutboundFailure::Ended, OutboundFailure::Flow)
                }
                Err(why) => why,
            };
            let wait = self.failed(place);
            if events
                .send(OutboundEvent::Failed { place, why, wait })
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Opens the flow; the future is ready when it has ended, with what has failed.
    async fn open(
        &self,
        place: usize,
        key: &PoolKey,
    ) -> Result<(FlowRef, impl Future<Output = Option<FlowFailure>>), OutboundFailure> {
        let sip = self.dialer.sip();
        let (flow, rules) = if key.transport == Transport::Udp {
            let flow = sip
                .datagrams_to(key.address)
                .ok_or(OutboundFailure::NoSocket)?;
            (flow, self.rules.datagrams)
        } else {
            let flow = self.dialer.dial(key).await.map_err(OutboundFailure::Dial)?;
            (flow, self.rules.connection)
        };
        let why = match sip.keep_alive_until(&flow, rules) {
            Ok(ended) => {
                if let Some(place) = self.places().get_mut(place) {
                    place.flow = Some(flow);
                    return Ok((flow, ended));
                }
                OutboundFailure::Ended
            }
            Err(error) => OutboundFailure::KeepAlive(error),
        };
        self.end(&flow);
        Err(why)
    }

    /// How long to wait before the next attempt (RFC 5626 §4.5).
    fn failed(&self, place: usize) -> Duration {
        let mut places = self.places();
        let random = fastrand::u64(..);
        let mut wait = Duration::ZERO;
        let mut left = places.iter().enumerate();
        let any_left = left.any(|(other, one)| other != place && one.flow.is_some());
        if let Some(place) = places.get_mut(place) {
            place.flow = None;
            let (recovery, rules) = (&mut place.recovery, &self.rules.recovery);
            wait = if std::mem::take(&mut place.registered) {
                recovery.wait(rules, any_left, random)
            } else {
                recovery.failed(rules, any_left, random)
            };
        }
        wait
    }
}

#[cfg(test)]
mod tests;
