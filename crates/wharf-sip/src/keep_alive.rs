//! Keep-alives of a client (RFC 5626 §4.4, RFC 6223): when to ping, when a flow has failed, and how
//! long to wait before another one is tried.
//!
//! Over a connection a ping is two CRLF and its pong is one; over UDP it is a STUN Binding request,
//! which the caller retransmits as STUN does. A server only answers, and the framer tells it when.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use wharf_sip::keep_alive::{KeepAlive, KeepAliveRules, KeepAliveStep};
//!
//! let now = Instant::now();
//! let mut alive = KeepAlive::new(now, KeepAliveRules::connection(), 0);
//! let due = now + Duration::from_secs(95);
//! assert_eq!(alive.poll(now, 0), KeepAliveStep::Wait(due));
//! assert_eq!(alive.poll(due, 0), KeepAliveStep::Ping);
//! alive.pong();
//! assert_eq!(alive.poll(due, 0), KeepAliveStep::Wait(due + Duration::from_secs(95)));
//! ```

mod recovery;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use recovery::{Recovery, RecoveryRules};

/// The shortest interval that a peer can ask for, and the longest there is. A peer that asks for one
/// second would otherwise have this element send more than it does anything else.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(24));

/// How often to ping, and how long to wait for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAliveRules {
    /// The shortest interval between two pings; each interval lies by chance between the two.
    pub least: Duration,
    /// The longest interval between two pings. Less than `least` acts as `least`.
    pub most: Duration,
    /// How long after a ping its answer is due.
    pub answer: Duration,
}

impl KeepAliveRules {
    /// CRLF over a connection: every 95 to 120 s, answered within 10 s (RFC 5626 §4.4.1).
    pub fn connection() -> Self {
        let (least, most) = (Duration::from_secs(95), Duration::from_mins(2));
        Self {
            least,
            most,
            answer: Duration::from_secs(10),
        }
    }

    /// STUN over UDP: every 24 to 29 s (RFC 5626 §4.4.2), answered within 39.5 s: the end of a STUN
    /// transaction with its seven requests (RFC 8489 §6.2.1).
    pub fn datagrams() -> Self {
        let (least, most) = (Duration::from_secs(24), Duration::from_secs(29));
        Self {
            least,
            most,
            answer: Duration::from_millis(39_500),
        }
    }

    /// The same with the interval that the server asks for, in the header field Flow-Timer (RFC 5626
    /// §4.4) or in the parameter `keep` of its Via (RFC 6223 §4.3): 80 to 100 % of so many seconds.
    /// 0 asks for nothing.
    #[must_use]
    pub fn every(self, seconds: u32) -> Self {
        if seconds == 0 {
            return self;
        }
        let most = Duration::from_secs(seconds.into());
        Self {
            least: most * 4 / 5,
            most,
            ..self
        }
    }

    fn interval(&self, random: u64) -> Duration {
        between(self.least, self.most, random).clamp(INTERVALS.0, INTERVALS.1)
    }
}

/// What a [`KeepAlive`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAliveStep {
    /// Nothing until then.
    Wait(Instant),
    /// Send a ping now, between two messages.
    Ping,
    /// The flow has failed: close it, report it, and open another after a [`Recovery`].
    Failed(FlowFailure),
}

/// Why a flow has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowFailure {
    /// No answer came in time (RFC 5626 §4.4.1, §4.4.2).
    #[error("a keep-alive was not answered in time")]
    Unanswered,
    /// The STUN request was refused with this code (RFC 5626 §4.4.2).
    #[error("the STUN request was refused with {0}")]
    Refused(u16),
    /// STUN tells another address than before: a NAT has forgotten the flow (RFC 5626 §4.4.2).
    #[error("the address that STUN tells has changed from {from} to {to}")]
    Moved {
        /// The address of before.
        from: SocketAddr,
        /// The address of now.
        to: SocketAddr,
    },
}

/// The keep-alives of one flow.
///
/// Call [`poll`](Self::poll) until it says [`Wait`](KeepAliveStep::Wait), and again when that time has
/// come. `random` is any number, evenly distributed, each time another.
#[derive(Debug, Clone)]
pub struct KeepAlive {
    rules: KeepAliveRules,
    state: State,
    mapped: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle { ping_at: Instant },
    Pinged { at: Instant, next: Instant },
    Failed(FlowFailure),
}

impl KeepAlive {
    /// The keep-alives of a flow that has begun, with the first ping after one interval.
    pub fn new(now: Instant, rules: KeepAliveRules, random: u64) -> Self {
        let ping_at = now + rules.interval(random);
        Self {
            rules,
            state: State::Idle { ping_at },
            mapped: None,
        }
    }

    /// Other rules from now on: the server has asked for an interval, or the owner has. The next ping
    /// comes after one new interval; one that is under way stays.
    pub fn set_rules(&mut self, now: Instant, rules: KeepAliveRules, random: u64) {
        self.rules = rules;
        let then = now + rules.interval(random);
        match &mut self.state {
            State::Idle { ping_at } => *ping_at = then,
            State::Pinged { next, .. } => *next = then,
            State::Failed(_) => {}
        }
    }

    /// What to do now.
    pub fn poll(&mut self, now: Instant, random: u64) -> KeepAliveStep {
        match self.state {
            State::Idle { ping_at } if now >= ping_at => {
                let next = now + self.rules.interval(random);
                self.state = State::Pinged { at: now, next };
                KeepAliveStep::Ping
            }
            State::Idle { ping_at } => KeepAliveStep::Wait(ping_at),
            State::Pinged { at, .. } => {
                let due = at + self.rules.answer.min(INTERVALS.1);
                if now < due {
                    return KeepAliveStep::Wait(due);
                }
                self.state = State::Failed(FlowFailure::Unanswered);
                KeepAliveStep::Failed(FlowFailure::Unanswered)
            }
            State::Failed(why) => KeepAliveStep::Failed(why),
        }
    }

    /// Why the flow has failed, if it has.
    pub fn failure(&self) -> Option<FlowFailure> {
        match self.state {
            State::Failed(why) => Some(why),
            State::Idle { .. } | State::Pinged { .. } => None,
        }
    }

    /// A pong has come. One that no ping waits for is of no account, and so is one after the flow has
    /// failed.
    pub fn pong(&mut self) {
        if let State::Pinged { next, .. } = self.state {
            self.state = State::Idle { ping_at: next };
        }
    }

    /// A STUN Binding error response has come. One after the flow has failed is of no account.
    pub fn refused(&mut self, code: u16) {
        if self.failure().is_none() {
            self.state = State::Failed(FlowFailure::Refused(code));
        }
    }

    /// A STUN Binding response has come, with this address in it.
    pub fn mapped(&mut self, to: SocketAddr) {
        self.pong();
        match self.mapped.replace(to) {
            Some(from) if from != to => self.state = State::Failed(FlowFailure::Moved { from, to }),
            _ => {}
        }
    }
}

/// A time between the two, to the millisecond.
fn between(least: Duration, most: Duration, random: u64) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
    let part = (u128::from(span) * u128::from(random)) >> 64;
    least.saturating_add(Duration::from_millis(part as u64))
}

#[cfg(test)]
mod tests;
