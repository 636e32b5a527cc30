//! One request on its way to one of several servers: candidate after candidate until one takes it
//! (RFC 3263 §4.3).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use wharf_sip::Uri;
//! use wharf_sip::delivery::{Delivery, DeliveryStep};
//! use wharf_sip::destinations::Destinations;
//! use wharf_sip::locate::{LocateRules, Locator, Target};
//! use wharf_sip::route::SizeSwitch;
//!
//! let (now, mut destinations) = (Instant::now(), Destinations::new(Default::default()));
//! let target = Target::of(&Uri::parse(b"sip:192.0.2.1;transport=tcp").unwrap()).unwrap();
//! let locator = Locator::new(&target, Arc::new(LocateRules::default()), 0x5eed).unwrap();
//! let mut delivery = Delivery::new(locator, 600, SizeSwitch::default());
//! let DeliveryStep::Send(send) = delivery.next(now, &mut destinations, |_| None) else {
//!     panic!("there is an address");
//! };
//! assert_eq!(send.candidate.to_string(), "TCP 192.0.2.1:5060");
//! delivery.succeeded(now, &mut destinations);
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::destinations::{Admission, Destination, Destinations};
use crate::locate::{Candidate, Failure, LocateError, Locator, Next, Query, Records};
use crate::route::{Attempt, RequestRoute, SendFailure, SizeSwitch, TooLarge};

/// What a [`Delivery`] wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryStep {
    /// Ask DNS, and hand the answer to [`Delivery::answer`].
    Ask(Query),
    /// Send the request so. Report what comes of it with [`Delivery::failed`],
    /// [`Delivery::refused`] or [`Delivery::succeeded`].
    Send(Transmission),
    /// There is no further candidate. The client transaction ends: with 503 where a server gave that,
    /// otherwise as one that had an error of the transport (RFC 3261 §8.1.3.1).
    Failed(DeliveryError),
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmission {
    /// The server.
    pub candidate: Candidate,
    /// How to reach it. Its transport is that of the candidate, or TCP for the size.
    pub attempt: Attempt,
    /// The number of this attempt, from 1. Each server gets the request as a transaction of its own,
    /// with a new branch (RFC 3263 §4.3); its retransmissions, its ACK and its CANCEL stay with it.
    pub number: u32,
}

/// Why a request was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// There was no candidate.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// It is too long for the only transport there is.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// All candidates have failed, the last one so.
    #[error("the last server failed: {0}")]
    Server(#[from] SendFailure),
    /// The last candidate has answered with a 503.
    #[error("the last server is unavailable")]
    Unavailable,
}

/// The delivery of one request.
///
/// Candidates that [`Destinations`] has blocked are passed over, and tried after all others: a block
/// makes a request slower at worst, and never fails it by itself.
#[derive(Debug)]
pub struct Delivery {
    locator: Locator,
    bytes: usize,
    switch: SizeSwitch,
    current: Option<Current>,
    /// The candidates passed over; at most as many as the locator yields.
    aside: VecDeque<(Candidate, RequestRoute)>,
    attempts: u32,
    last: Option<DeliveryError>,
}

#[derive(Debug)]
struct Current {
    candidate: Candidate,
    route: RequestRoute,
    attempt: Attempt,
    /// It is to be sent again, another way.
    again: bool,
}

impl Delivery {
    /// The delivery of a request of so many `bytes`.
    pub fn new(locator: Locator, bytes: usize, switch: SizeSwitch) -> Self {
        Self {
            locator,
            bytes,
            switch,
            current: None,
            aside: VecDeque::new(),
            attempts: 0,
            last: None,
        }
    }

    /// What to do next. Call it at the beginning, after an answer of DNS, and when an attempt has
    /// ended without success. `path_mtu` tells that to an address, where it is known.
    pub fn next(
        &mut self,
        now: Instant,
        destinations: &mut Destinations,
        path_mtu: impl Fn(SocketAddr) -> Option<usize>,
    ) -> DeliveryStep {
        if let Some(current) = self.current.as_mut().filter(|current| current.again) {
            current.again = false;
            let (candidate, attempt) = (current.candidate.clone(), current.attempt);
            return self.send(candidate, attempt);
        }
        loop {
            let candidate = match self.locator.next() {
                Next::Ask(query) => return DeliveryStep::Ask(query),
                Next::Try(candidate) => candidate,
                Next::End(end) => return self.end(end),
            };
            let (transport, address) = (candidate.transport, candidate.address);
            let mtu = path_mtu(address);
            match RequestRoute::new(transport, address, self.bytes, mtu, self.switch) {
                Err(too_large) => self.last = Some(too_large.into()),
                Ok(route) => match destinations.admit(now, to(&route.first())) {
                    Admission::Blocked { .. } => self.aside.push_back((candidate, route)),
                    Admission::Go | Admission::Probe => return self.begin(candidate, route),
                },
            }
        }
    }

    /// The locator has no more: those that were passed over, the first in order first.
    fn end(&mut self, end: Result<(), LocateError>) -> DeliveryStep {
        if let Some((candidate, route)) = self.aside.pop_front() {
            return self.begin(candidate, route);
        }
        self.current = None;
        let none = end.err().unwrap_or(LocateError::NoAddress);
        DeliveryStep::Failed(self.last.clone().unwrap_or(none.into()))
    }

    fn begin(&mut self, candidate: Candidate, route: RequestRoute) -> DeliveryStep {
        let attempt = route.first();
        let again = false;
        self.current = Some(Current {
            candidate: candidate.clone(),
            route,
            attempt,
            again,
        });
        self.send(candidate, attempt)
    }

    fn send(&mut self, candidate: Candidate, attempt: Attempt) -> DeliveryStep {
        self.attempts += 1;
        DeliveryStep::Send(Transmission {
            candidate,
            attempt,
            number: self.attempts,
        })
    }

    /// The answer of DNS to the question that [`next`](Self::next) asked.
    pub fn answer(&mut self, answer: Result<Records, Failure>) {
        self.locator.answer(answer);
    }

    /// The attempt has failed: with an error of the transport, or because nothing came back in time.
    /// `random` is any number. Without an attempt under way it has no effect.
    pub fn failed(
        &mut self,
        now: Instant,
        destinations: &mut Destinations,
        failure: SendFailure,
        random: u64,
    ) {
        let Some(current) = &mut self.current else {
            return;
        };
        let first = current.attempt == current.route.first();
        if let Some(attempt) = current.route.after(failure).filter(|_| first) {
            // The server is well: it only has to be reached another way.
            (current.attempt, current.again) = (attempt, true);
            return;
        }
        destinations.failed(now, to(&current.attempt), random);
        self.last = Some(failure.into());
        self.current = None;
    }

    /// The attempt was not made, for a reason of this host's own: a limit that is reached, a socket that is
    /// missing. It counts against nobody; [`next`](Self::next) goes on with the next candidate.
    pub fn skipped(&mut self) {
        self.current = None;
    }

    /// The server has answered with a 503, and perhaps said for how long (RFC 3261 §21.5.4).
    pub fn refused(
        &mut self,
        now: Instant,
        destinations: &mut Destinations,
        retry_after: Option<Duration>,
        random: u64,
    ) {
        let Some(current) = self.current.take() else {
            return;
        };
        let to = to(&current.attempt);
        match retry_after {
            Some(wait) => destinations.refused(now, to, wait),
            None => destinations.failed(now, to, random),
        };
        self.last = Some(DeliveryError::Unavailable);
    }

    /// The server has answered, with whatever else. The delivery is at its end.
    pub fn succeeded(&mut self, now: Instant, destinations: &mut Destinations) {
        if let Some(current) = self.current.take() {
            destinations.succeeded(now, to(&current.attempt));
        }
    }
}

fn to(attempt: &Attempt) -> Destination {
    Destination {
        transport: attempt.transport,
        address: attempt.destination,
    }
}

#[cfg(test)]
mod tests;
