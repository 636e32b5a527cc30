//! Flows that this element keeps open (RFC 5626 §4.4): pings over connections, STUN over UDP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use wharf_sip::keep_alive::{FlowFailure, KeepAlive, KeepAliveRules, KeepAliveStep};
use wharf_sip::{PING, Priority, Transport};
use wharf_stun::TransactionId;

use crate::clock::now;
use crate::layer::Inner;
use crate::stun;
use crate::{Event, FlowRef, SendError, Sip};

/// The first wait of a STUN transaction; each further one is twice as long (RFC 8489 §6.2.1, RTO).
const RTO: Duration = Duration::from_millis(500);
/// How often a request is sent at most (RFC 8489 §6.2.1, Rc).
const REQUESTS: u32 = 7;

/// Why a flow is not kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeepAliveError {
    /// The connection has closed, or no socket of ours has the local address.
    #[error("the flow is gone")]
    FlowGone,
    /// As many flows are kept alive as there may be [connections](crate::SipOptions::max_connections).
    #[error("as many flows are kept alive as may be")]
    Full,
    /// There was no tokio runtime when the layer was made, nor is there one now.
    #[error("there is no runtime to wait on")]
    NoRuntime,
}

impl Sip {
    /// Keeps a flow alive from now on, as the client that has opened it (RFC 5626 §4.4): over TCP, TLS and
    /// WebSockets with two CRLF, over UDP with STUN Binding requests from the same socket. For a flow that is
    /// kept alive already the rules change, with its next ping.
    ///
    /// Each answer is told as [`Event::Pong`]. Without one in time the flow has failed: that is told as
    /// [`Event::FlowFailed`], and its connection closes. Ends with the connection, or on request.
    ///
    /// # Errors
    /// [`KeepAliveError`].
    pub fn keep_alive(&self, flow: &FlowRef, rules: KeepAliveRules) -> Result<(), KeepAliveError> {
        self.keep_alive_until(flow, rules).map(drop)
    }

    /// As [`keep_alive`](Self::keep_alive); the future is ready when the flow has ended, with what has failed.
    pub(crate) fn keep_alive_until(
        &self,
        flow: &FlowRef,
        rules: KeepAliveRules,
    ) -> Result<impl Future<Output = Option<FlowFailure>> + use<>, KeepAliveError> {
        let layer = self.layer();
        let (now, random) = (now(), fastrand::u64(..));
        let mut state = layer.keep_alives.state();
        if let Some(kept) = state.kept.get_mut(flow) {
            kept.alive.set_rules(now, rules, random);
            kept.changed.notify_one();
            return Ok(end(kept.ended.subscribe()));
        }
        // Looked up under the lock: a connection that closes removes itself afterwards.
        let there = match flow.flow.transport {
            Transport::Udp => layer.ports.has(flow.flow.local),
            _ => self.connection(flow).is_some(),
        };
        if !there {
            return Err(KeepAliveError::FlowGone);
        }
        if state.kept.len() >= layer.options.max_connections {
            return Err(KeepAliveError::Full);
        }
        let runtime = Handle::try_current().ok();
        let runtime = runtime.or_else(|| layer.keep_alives.runtime.clone());
        let runtime = runtime.ok_or(KeepAliveError::NoRuntime)?;
        let changed = Arc::new(Notify::new());
        let kept = Kept {
            alive: KeepAlive::new(now, rules, random),
            request: None,
            changed: changed.clone(),
            ended: watch::Sender::new(None),
        };
        let ended = end(kept.ended.subscribe());
        state.kept.insert(*flow, kept);
        drop(state);
        runtime.spawn(keep(Arc::downgrade(layer), *flow, changed));
        Ok(ended)
    }

    /// Keeps a flow alive no longer. False when it was not kept alive.
    pub fn stop_keep_alive(&self, flow: &FlowRef) -> bool {
        self.layer().keep_alives.stop(flow)
    }
}

/// The flows that are kept alive, as many as there may be connections.
#[derive(Debug)]
pub(crate) struct KeepAlives {
    state: Mutex<State>,
    /// Of the thread that has made the layer: threads of UDP workers have none.
    runtime: Option<Handle>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<FlowRef, Kept>,
    /// The STUN requests that have no answer yet: one for each flow at most.
    requests: HashMap<TransactionId, FlowRef>,
}

#[derive(Debug)]
struct Kept {
    alive: KeepAlive,
    /// Over UDP, the request that has no answer yet.
    request: Option<Request>,
    /// Wakes the task; also tells whose task it is.
    changed: Arc<Notify>,
    /// Why it has failed. Its receivers also see when it is dropped.
    ended: watch::Sender<Option<FlowFailure>>,
}

/// A STUN request (RFC 8489 §6.2.1).
#[derive(Debug)]
struct Request {
    id: TransactionId,
    sent: u32,
    again: Option<Instant>,
}

/// What the task of a flow does next.
enum Step {
    Wait(Instant),
    Send(Bytes),
    Failed(FlowFailure),
    Stop,
}

/// What the answer to a request means for its flow, whose task tells of a failure.
enum Answered {
    Alive(FlowRef),
    Failed,
}

impl KeepAlives {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            runtime: Handle::try_current().ok(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flow is gone, or is not to be kept alive any longer.
    pub(crate) fn stop(&self, flow: &FlowRef) -> bool {
        let mut state = self.state();
        let Some(kept) = state.kept.remove(flow) else {
            return false;
        };
        if let Some(request) = kept.request {
            state.requests.remove(&request.id);
        }
        kept.changed.notify_one();
        true
    }

    /// A pong has come over a connection.
    pub(crate) fn pong(&self, flow: &FlowRef) {
        if let Some(kept) = self.state().kept.get_mut(flow) {
            kept.alive.pong();
            kept.changed.notify_one();
        }
    }

    /// A STUN response has come from this address; `None` where it answers no request of ours.
    fn answered(&self, from: SocketAddr, answer: &stun::Answer) -> Option<Answered> {
        let mut state = self.state();
        let flow = *state.requests.get(&answer.id)?;
        if flow.flow.remote != from {
            return None;
        }
        state.requests.remove(&answer.id);
        let kept = state.kept.get_mut(&flow)?;
        kept.request = None;
        match answer.result {
            Ok(mapped) => kept.alive.mapped(mapped),
            Err(code) => kept.alive.refused(code),
        }
        kept.changed.notify_one();
        Some(match kept.alive.failure() {
            None => Answered::Alive(flow),
            Some(_) => Answered::Failed,
        })
    }

    fn step(&self, flow: &FlowRef, task: &Arc<Notify>, now: Instant) -> Step {
        let mut state = self.state();
        let State { kept, requests } = &mut *state;
        let kept = kept.get_mut(flow);
        let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.changed, task)) else {
            return Step::Stop;
        };
        match kept.alive.poll(now, fastrand::u64(..)) {
            KeepAliveStep::Ping if flow.flow.transport == Transport::Udp => {
                let Some(request) = Request::new() else {
                    // Without entropy it waits for the end of the answer's time.
                    return Step::Wait(now + RTO);
                };
                let request = kept.request.insert(request);
                requests.insert(request.id, *flow);
                Step::Send(request.send(now))
            }
            KeepAliveStep::Ping => Step::Send(Bytes::from_static(PING)),
            KeepAliveStep::Failed(why) => {
                kept.ended.send_replace(Some(why));
                Step::Failed(why)
            }
            KeepAliveStep::Wait(until) => match &mut kept.request {
                Some(request) if request.again.is_some_and(|again| again <= now) => {
                    Step::Send(request.send(now))
                }
                Some(Request {
                    again: Some(again), ..
                }) => Step::Wait(until.min(*again)),
                _ => Step::Wait(until),
            },
        }
    }
}

impl Request {
    fn new() -> Option<Self> {
        let mut id = [0; 12];
        getrandom::fill(&mut id).ok()?;
        Some(Self {
            id: TransactionId(id),
            sent: 0,
            again: None,
        })
    }

    /// Its bytes, to be sent now.
    fn send(&mut self, now: Instant) -> Bytes {
        let wait = RTO * 2_u32.saturating_pow(self.sent);
        self.sent += 1;
        self.again = (self.sent < REQUESTS).then_some(now + wait);
        stun::request(self.id)
    }
}

/// The end of a flow that is kept alive.
async fn end(mut ended: watch::Receiver<Option<FlowFailure>>) -> Option<FlowFailure> {
    ended
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|why| *why)
}

/// The task of a flow.
async fn keep(layer: Weak<Inner>, flow: FlowRef, changed: Arc<Notify>) {
    loop {
        let until = {
            let Some(layer) = layer.upgrade() else { return };
            match layer.keep_alives.step(&flow, &changed, now()) {
                Step::Wait(until) => until,
                Step::Send(ping) => {
                    layer.ping(&flow, ping);
                    continue;
                }
                Step::Failed(why) => return layer.failed(&flow, why),
                Step::Stop => return,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = changed.notified() => {}
        }
    }
}

impl Inner {
    fn ping(&self, flow: &FlowRef, ping: Bytes) {
        // What waits in a full queue keeps the flow alive as well, and tells when it has failed. A datagram
        // that does not leave is as one that is lost.
        let full = self.send(flow, ping, Priority::Critical) == Err(SendError::Full);
        if full && flow.flow.transport != Transport::Udp {
            self.keep_alives.pong(flow);
        }
    }

    fn failed(&self, flow: &FlowRef, why: FlowFailure) {
        self.keep_alives.stop(flow);
        self.counters.flows_failed.add(1);
        self.upper.event(Event::FlowFailed(*flow, why));
        if let Some(entry) = self.flows.of(flow) {
            entry.connection.close();
        }
    }

    /// Whether these bytes are the answer to a STUN request of ours.
    pub(crate) fn stun_answered(&self, from: SocketAddr, bytes: &[u8]) -> bool {
        let answer = stun::answer_of(bytes);
        match answer.and_then(|answer| self.keep_alives.answered(from, &answer)) {
            Some(Answered::Alive(flow)) => {
                self.counters.pongs.add(1);
                self.upper.event(Event::Pong(flow));
                true
            }
            Some(Answered::Failed) => true,
            None => false,
        }
    }

    /// A pong has come over a connection.
    pub(crate) fn pong(&self, flow: &FlowRef) {
        self.counters.pongs.add(1);
        self.keep_alives.pong(flow);
        self.upper.event(Event::Pong(*flow));
    }
}
