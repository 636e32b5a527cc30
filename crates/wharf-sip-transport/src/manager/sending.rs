//! A request on its way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wharf_sip::locate::Candidate;
use wharf_sip::pool::PoolKey;
use wharf_sip::route::{Attempt, Cause, SendFailure};
use wharf_sip::{Priority, Scan, Transport};

use super::ManagerEvent;
use super::dress::{dress, scan};
use super::options::{Request, To};
use super::state::Shared;
use super::walk::{Hold, Walk, destination_of};
use crate::clock::now;
use crate::{FlowRef, SendError, SipError};

/// Where an attempt has gone. The message was handed to a socket; whether it arrives is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The flow. Its responses come over it, or over another connection that the server opens to the sent-by
    /// (RFC 3261 §18.1.2).
    pub flow: FlowRef,
    /// The server; none where the flow was given.
    pub candidate: Option<Candidate>,
    /// The number of the attempt, from 1.
    pub number: u32,
    /// Why it goes over this transport.
    pub cause: Cause,
}

/// A request on its way to one of several servers.
///
/// The caller, who has the transaction, asks for an attempt with [`next`](Self::next), says what came of it
/// with [`answered`](Self::answered), [`refused`](Self::refused) or [`failed`](Self::failed), and asks for the
/// next one. While it is kept, its server counts as busy; dropping it ends what it waits for.
pub struct Sending {
    shared: Arc<Shared>,
    request: Request,
    seed: u64,
    walk: Option<Walk>,
    current: Option<Current>,
    attempts: u32,
}

/// The attempt under way.
struct Current {
    hold: Hold,
    transport: Transport,
    attempt: Option<Attempt>,
}

impl Sending {
    pub(super) fn new(shared: &Arc<Shared>, request: Request) -> Self {
        Self {
            shared: shared.clone(),
            seed: request.seed.unwrap_or_else(|| fastrand::u64(..)),
            request,
            walk: None,
            current: None,
            attempts: 0,
        }
    }

    /// The next attempt: hands `message` to the first server that can be reached, after those that were
    /// tried. Each server gets the request as a transaction of its own, so a message with a new branch
    /// (RFC 3263 §4.3); one that goes over TCP for its size and then over UDP stays the same, on the same
    /// server. What the length of the first message decides (RFC 3261 §18.1.1) holds for all.
    ///
    /// The transport in the top Via is written here, and sent-by where
    /// [`ManagerOptions::sent_by`](crate::ManagerOptions::sent_by) has one.
    ///
    /// An attempt that nothing was said of is not held against its server. When the future is dropped, the
    /// attempt is over, and the next one goes to the next server.
    pub async fn next(&mut self, message: Bytes) -> Result<Sent, SipError> {
        self.current = None;
        let scan = scan(&message)?;
        let targets = match &self.request.to {
            &To::Flow(flow) => return self.pinned(flow, &message, &scan),
            To::Targets(targets) => targets,
        };
        let walk = match &mut self.walk {
            Some(walk) => walk,
            walk => {
                let switch = self.shared.options.switch;
                let begun = Walk::begin(&self.shared, targets, self.seed, message.len(), switch);
                walk.insert(begun.await?)
            }
        };
        let priority = Priority::of(&message, &scan);
        loop {
            let transmission = walk.next().await?;
            let (attempt, candidate) = (transmission.attempt, transmission.candidate);
            self.attempts = transmission.number;
            let candidate = Candidate {
                transport: attempt.transport,
                ..candidate
            };
            self.shared.tell_switch(&attempt, message.len());
            if let Err(error) = self.shared.throttled(&candidate) {
                walk.trouble(error.into());
                continue;
            }
            let options = &self.shared.options;
            let dressed = dress(&message, &scan, attempt.transport, Some(&attempt), options)?;
            let key = PoolKey::new(&candidate, self.request.local.clone());
            match self.shared.hand(&key, &dressed, priority).await {
                Ok(hold) => {
                    self.shared.counters.requests.add(1);
                    let sent = Sent {
                        flow: hold.flow,
                        candidate: Some(candidate),
                        number: self.attempts,
                        cause: attempt.cause,
                    };
                    self.current = Some(Current {
                        hold,
                        transport: attempt.transport,
                        attempt: Some(attempt),
                    });
                    return Ok(sent);
                }
                Err(trouble) => walk.trouble(trouble),
            }
        }
    }

    /// The one attempt over a flow that was given.
    fn pinned(&mut self, flow: FlowRef, message: &Bytes, scan: &Scan) -> Result<Sent, SipError> {
        let (transport, priority) = (flow.flow.transport, Priority::of(message, scan));
        let dressed = dress(message, scan, transport, None, &self.shared.options)?;
        let hold = self.shared.hand_over(flow, &dressed, priority)?;
        self.shared.counters.requests.add(1);
        self.attempts += 1;
        self.current = Some(Current {
            hold,
            transport,
            attempt: None,
        });
        Ok(Sent {
            flow,
            candidate: None,
            number: self.attempts,
            cause: Cause::Asked,
        })
    }

    /// Sends a message to the server of the attempt under way, over the same flow: a retransmission, an ACK
    /// or a CANCEL (RFC 3263 §4.4).
    pub fn again(&self, message: &Bytes) -> Result<(), SipError> {
        let current = self.current.as_ref().ok_or(SendError::FlowGone)?;
        let (scan, options) = (scan(message)?, &self.shared.options);
        let (flow, attempt) = (&current.hold.flow, current.attempt.as_ref());
        let dressed = dress(message, &scan, current.transport, attempt, options)?;
        let transports = self.shared.transports()?;
        transports.send(flow, dressed, Priority::of(message, &scan))?;
        self.shared.used(flow);
        Ok(())
    }

    /// Completes when the attempt under way cannot come to anything any more: its connection has closed, or
    /// ICMP says that the datagram did not arrive (RFC 3261 §18.4). Say so with [`failed`](Self::failed), unless
    /// an answer is there already. Without an attempt under way it never completes.
    pub async fn lost(&mut self) -> SendFailure {
        match &mut self.current {
            Some(current) => current.hold.lost().await,
            None => std::future::pending().await,
        }
    }

    /// The attempt under way has failed: no answer in time ([`SendFailure::TimedOut`]), or what
    /// [`lost`](Self::lost) says. Its server is left alone for a while.
    pub fn failed(&mut self, failure: SendFailure) {
        self.current = None;
        if let Some(walk) = &mut self.walk {
            walk.failed(failure);
        }
    }

    /// The server has answered with a 503, and perhaps said for how long (RFC 3261 §21.5.4). It is left alone
    /// for as long, or for a while.
    pub fn refused(&mut self, retry_after: Option<Duration>) {
        self.current = None;
        if let Some(walk) = &mut self.walk {
            walk.refused(retry_after);
        }
    }

    /// The server has answered with whatever else: it is well. [`again`](Self::again) goes on to reach it.
    pub fn answered(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.answered();
        }
    }
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending")
            .field("request", &self.request)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn tell_switch(&self, attempt: &Attempt, bytes: usize) {
        let to = destination_of(attempt);
        match attempt.cause {
            Cause::Asked => {}
            Cause::Size => self.tell(ManagerEvent::SwitchedToTcp { to, bytes }),
            Cause::TcpRefused => self.tell(ManagerEvent::BackToUdp { to, bytes }),
        }
    }

    fn throttled(&self, candidate: &Candidate) -> Result<(), SipError> {
        let allowed = {
            let mut state = self.state();
            let limiter = state.limiter.as_mut();
            limiter.is_none_or(|one| one.allow(now(), candidate.address.ip()))
        };
        if allowed {
            return Ok(());
        }
        let to = candidate.into();
        self.tell(ManagerEvent::Throttled(to));
        Err(SipError::Throttled(to))
    }
}
