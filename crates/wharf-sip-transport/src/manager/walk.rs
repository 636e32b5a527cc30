//! From candidate to candidate, until one takes the message (RFC 3263 §4.3).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use wharf_sip::balance::Balance;
use wharf_sip::delivery::{Delivery, DeliveryError, DeliveryStep, Transmission};
use wharf_sip::destinations::Destination;
use wharf_sip::locate::{Candidate, LocateError, Locator, Next, Target};
use wharf_sip::pool::PoolKey;
use wharf_sip::route::{Attempt, SendFailure, SizeSwitch};
use wharf_sip::{Priority, Transport};

use super::ManagerEvent;
use super::connect::not_reached;
use super::losses::Ticket;
use super::state::{Shared, Trouble};
use crate::clock::now;
use crate::{FlowRef, SendError, SipError};

/// One message on its way to one of several servers.
pub(super) struct Walk {
    shared: Arc<Shared>,
    delivery: Delivery,
    /// Where the attempt under way goes.
    current: Option<Destination>,
    /// Why the last one came to nothing.
    last: Option<SipError>,
}

impl Walk {
    /// The way of a message of so many `bytes` to any of these targets.
    pub(super) async fn begin(
        shared: &Arc<Shared>,
        targets: &[Target],
        seed: u64,
        bytes: usize,
        switch: SizeSwitch,
    ) -> Result<Self, SipError> {
        let locator = match targets {
            [target] if shared.options.balance == Balance::AsListed => {
                Locator::new(target, shared.rules.clone(), seed)?
            }
            _ => Locator::listed(shared.arranged(targets, seed).await?),
        };
        Ok(Self {
            shared: shared.clone(),
            delivery: Delivery::new(locator, bytes, switch),
            current: None,
            last: None,
        })
    }

    /// The next attempt.
    pub(super) async fn next(&mut self) -> Result<Transmission, SipError> {
        loop {
            let step = {
                let (now, mut state) = (now(), self.shared.state());
                let state = &mut *state;
                let paths = &state.paths;
                let mtu = |to: std::net::SocketAddr| paths.mtu(now, to.ip());
                self.delivery.next(now, &mut state.destinations, mtu)
            };
            match step {
                DeliveryStep::Ask(query) => {
                    let answer = self.shared.resolver.resolve(&query).await;
                    self.delivery.answer(answer);
                }
                DeliveryStep::Send(transmission) => {
                    self.current = Some(destination_of(&transmission.attempt));
                    return Ok(transmission);
                }
                DeliveryStep::Failed(error) => return Err(self.why(error)),
            }
        }
    }

    /// Why there is no further attempt: what came of the last one says more than that there is none.
    fn why(&mut self, error: DeliveryError) -> SipError {
        match (self.last.take(), error) {
            (Some(last), _) => last,
            (None, DeliveryError::Locate(error)) => error.into(),
            (None, DeliveryError::TooLarge(error)) => SendError::TooLarge(error.bytes).into(),
            (None, DeliveryError::Server(_) | DeliveryError::Unavailable) => {
                LocateError::NoAddress.into()
            }
        }
    }

    /// The attempt came to nothing before anything was sent.
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        match trouble.failure {
            Some(failure) => self.lost(failure),
            None => self.delivery.skipped(),
        }
        self.last = Some(trouble.error);
        self.current = None;
    }

    /// The attempt has failed.
    pub(super) fn failed(&mut self, failure: SendFailure) {
        let to = self.current;
        self.lost(failure);
        self.last = to.map(|to| SipError::Server { to, failure });
    }

    fn lost(&mut self, failure: SendFailure) {
        let (now, chance) = (now(), fastrand::u64(..));
        let mut state = self.shared.state();
        let destinations = &mut state.destinations;
        self.delivery.failed(now, destinations, failure, chance);
        drop(state);
        self.tell_failed(Some(failure));
    }

    /// The server has answered with a 503.
    pub(super) fn refused(&mut self, retry_after: Option<Duration>) {
        let (now, chance) = (now(), fastrand::u64(..));
        let mut state = self.shared.state();
        let destinations = &mut state.destinations;
        self.delivery
            .refused(now, destinations, retry_after, chance);
        drop(state);
        self.last = self.current.map(|to| SipError::Unavailable { to });
        self.tell_failed(None);
    }

    fn tell_failed(&mut self, failure: Option<SendFailure>) {
        if let Some(to) = self.current.take() {
            self.shared.tell(ManagerEvent::Failed { to, failure });
        }
    }

    /// The server has answered otherwise.
    pub(super) fn answered(&mut self) {
        let destinations = &mut self.shared.state().destinations;
        self.delivery.succeeded(now(), destinations);
        self.current = None;
    }
}

pub(super) fn destination_of(attempt: &Attempt) -> Destination {
    Destination {
        transport: attempt.transport,
        address: attempt.destination,
    }
}

impl Shared {
    /// All candidates of targets that are equals, in the order in which to try them.
    async fn arranged(
        self: &Arc<Self>,
        targets: &[Target],
        seed: u64,
    ) -> Result<Vec<Candidate>, SipError> {
        let mut searches = JoinSet::new();
        for (index, target) in targets.iter().cloned().enumerate() {
            let shared = self.clone();
            searches.spawn(async move { (index, shared.candidates(&target, seed).await) });
        }
        let mut found = searches.join_all().await;
        found.sort_by_key(|(index, _)| *index);
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut trouble = LocateError::NoAddress;
        for (_, search) in found {
            match search {
                Ok(more) => candidates.extend(more),
                Err(error) => trouble = error,
            }
        }
        if candidates.is_empty() {
            return Err(trouble.into());
        }
        // Targets are equals: so are their first ranks.
        candidates.sort_by_key(|candidate| candidate.rank);
        let mut state = self.state();
        let state = &mut *state;
        let losses = &state.losses;
        let busy = |candidate: &Candidate| losses.busy(candidate.into());
        state.balancer.arrange(&mut candidates, seed, busy);
        Ok(candidates)
    }

    async fn candidates(&self, target: &Target, seed: u64) -> Result<Vec<Candidate>, LocateError> {
        let mut locator = Locator::new(target, self.rules.clone(), seed)?;
        let mut found = Vec::new();
        loop {
            match locator.next() {
                Next::Ask(query) => locator.answer(self.resolver.resolve(&query).await),
                Next::Try(candidate) => found.push(candidate),
                Next::End(end) => return end.map(|()| found),
            }
        }
    }

    /// Hands a message to a server, over a connection where there is one for such servers.
    pub(super) async fn hand(
        self: &Arc<Self>,
        key: &PoolKey,
        message: &Bytes,
        priority: Priority,
    ) -> Result<Hold, Trouble> {
        let transports = self.transports()?;
        if key.transport == Transport::Udp {
            let flow = transports.datagrams_to(key.address);
            let flow = flow.ok_or(SendError::NoSocket)?;
            return Ok(self.hand_over(flow, message, priority)?);
        }
        let mut first = true;
        loop {
            let flow = self.connection(key).await?;
            match self.hand_over(flow, message, priority) {
                // E3: a connection that turns out dead costs one more.
                Err(SendError::FlowGone) if std::mem::take(&mut first) => {
                    self.state().forget(&flow);
                    self.tell(ManagerEvent::Redialled { dead: flow });
                }
                Err(SendError::FlowGone) => {
                    return Err(not_reached(key, SendFailure::Reset));
                }
                handed => return Ok(handed?),
            }
        }
    }

    /// Hands a message to a flow.
    pub(super) fn hand_over(
        self: &Arc<Self>,
        flow: FlowRef,
        message: &Bytes,
        priority: Priority,
    ) -> Result<Hold, SendError> {
        let transports = self.transports().map_err(|_| SendError::NoSocket)?;
        // Entered first: what is told of it may come at once.
        let hold = Hold {
            ticket: self.state().losses.enter(&flow),
            shared: self.clone(),
            flow,
            lost: None,
        };
        transports.send(&flow, message.clone(), priority)?;
        Ok(hold)
    }
}

/// An attempt under way, for which its destination counts as busy.
pub(super) struct Hold {
    shared: Arc<Shared>,
    ticket: Ticket,
    pub(super) flow: FlowRef,
    lost: Option<SendFailure>,
}

impl Hold {
    /// Completes when the connection closes, or ICMP says that the datagram did not arrive.
    pub(super) async fn lost(&mut self) -> SendFailure {
        if let Some(failure) = self.lost {
            return failure;
        }
        let Ok(failure) = (&mut self.ticket.lost).await else {
            return std::future::pending().await;
        };
        self.lost = Some(failure);
        failure
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.state().losses.leave(&self.ticket);
    }
}
