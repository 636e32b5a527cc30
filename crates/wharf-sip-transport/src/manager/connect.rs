//! Connections: one is opened for all who want it, and closed when nobody has wanted it for long.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::sleep_until;
use wharf_sip::destinations::Destination;
use wharf_sip::pool::{DialId, PoolKey, Way};
use wharf_sip::route::SendFailure;

use super::ManagerEvent;
use super::state::{Dialled, Shared, Trouble};
use crate::clock::now;
use crate::{DialError, FlowRef, SipError};

impl Shared {
    /// A connection for this key: one that is open, or a new one.
    pub(super) async fn connection(self: &Arc<Self>, key: &PoolKey) -> Result<FlowRef, Trouble> {
        let transports = self.transports()?;
        // C5 (RFC 3261 §18.1.1): whichever side has opened it. Those of the pool are used in their turn.
        if let Some(flow) = transports.open(key)
            && !self.state().flows.contains_key(&flow.id)
        {
            return Ok(flow);
        }
        let (wanted, way) = {
            let mut state = self.state();
            let wanted = state.pool.want(now(), key)?;
            let evicted = wanted.close.and_then(|id| state.flows.remove(&id));
            let dialling = wanted.dial.map(|id| {
                let (done, result) = watch::channel(None);
                state.dials.insert(id, result);
                Attempt::new(self, id, key.clone(), done)
            });
            let way = match wanted.way {
                Way::Use(id) => Ok(state.flows.get(&id).copied()),
                Way::Wait(id) => Err(state.dials.get(&id).cloned()),
            };
            ((evicted, dialling), way)
        };
        let (evicted, dialling) = wanted;
        if let Some(flow) = evicted {
            transports.close(&flow);
            self.tell(ManagerEvent::Evicted(flow));
        }
        if let Some(attempt) = dialling {
            // On its own: those who wait may give up, and others may have joined them.
            tokio::spawn(attempt.run());
        }
        let lost = || not_reached(key, SendFailure::Other);
        let mut result = match way {
            Ok(flow) => return flow.ok_or_else(lost),
            Err(result) => result.ok_or_else(lost)?,
        };
        let ended = result.wait_for(Option::is_some).await.ok();
        match ended.and_then(|ended| ended.clone()) {
            Some(Ok(flow)) => Ok(flow),
            Some(Err(error)) => Err(Trouble {
                failure: error.is_of_the_address().then(|| error.failure()),
                error: SipError::Dial {
                    to: destination(key),
                    error,
                },
            }),
            None => Err(lost()),
        }
    }

    /// Looks after the ends of the pool's connections, as long as there are any.
    async fn reap(this: Weak<Self>) {
        while let Some(shared) = this.upgrade() {
            let mut over = Vec::new();
            let next = {
                let mut state = shared.state();
                while let Some((id, why)) = state.pool.expire(now()) {
                    over.extend(state.flows.remove(&id).map(|flow| (flow, why)));
                }
                let next = state.pool.next_expiry();
                state.reaping = next.is_some();
                next
            };
            for (flow, why) in over {
                if let Ok(transports) = shared.transports() {
                    transports.close(&flow);
                }
                shared.tell(ManagerEvent::Expired { flow, why });
            }
            let Some(next) = next else { return };
            drop(shared);
            sleep_until(next.into()).await;
        }
    }
}

/// The server of this key cannot be reached.
pub(super) fn not_reached(key: &PoolKey, failure: SendFailure) -> Trouble {
    let to = destination(key);
    Trouble {
        error: SipError::Server { to, failure },
        failure: Some(failure),
    }
}

fn destination(key: &PoolKey) -> Destination {
    Destination {
        transport: key.transport,
        address: key.address,
    }
}

/// One attempt to open a connection. However it ends, the pool and those who wait hear of it.
struct Attempt {
    shared: Arc<Shared>,
    id: DialId,
    key: PoolKey,
    done: watch::Sender<Dialled>,
    ended: bool,
}

impl Attempt {
    fn new(shared: &Arc<Shared>, id: DialId, key: PoolKey, done: watch::Sender<Dialled>) -> Self {
        Self {
            shared: shared.clone(),
            id,
            key,
            done,
            ended: false,
        }
    }

    async fn run(mut self) {
        let shared = self.shared.clone();
        if let Ok(transports) = shared.transports() {
            let result = transports.dial(&self.key).await;
            self.end(result);
        }
    }

    fn end(&mut self, result: Result<FlowRef, DialError>) {
        let (shared, key) = (&self.shared, self.key.clone());
        let mut state = shared.state();
        state.dials.remove(&self.id);
        let event = match &result {
            Ok(flow) => {
                state.pool.opened(now(), self.id, flow.id);
                state.flows.insert(flow.id, *flow);
                if !std::mem::replace(&mut state.reaping, true) {
                    tokio::spawn(Shared::reap(Arc::downgrade(shared)));
                }
                ManagerEvent::Connected { key, flow: *flow }
            }
            Err(error) => {
                state.pool.dial_failed(self.id);
                let error = error.clone();
                ManagerEvent::NotConnected { key, error }
            }
        };
        drop(state);
        self.ended = true;
        shared.tell(event);
        self.done.send_replace(Some(result));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.shared.state();
            state.dials.remove(&self.id);
            state.pool.dial_failed(self.id);
        }
    }
}
