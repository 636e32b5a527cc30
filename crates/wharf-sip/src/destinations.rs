//! Which destinations are worth a try: those that have failed are left alone for a while.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use wharf_sip::Transport;
//! use wharf_sip::destinations::{Admission, Destination, DestinationRules, Destinations};
//!
//! let (now, rules) = (Instant::now(), DestinationRules::default());
//! let mut destinations = Destinations::new(rules);
//! let to = Destination { transport: Transport::Tcp, address: "192.0.2.1:5060".parse().unwrap() };
//! assert_eq!(destinations.admit(now, to), Admission::Go);
//! let until = destinations.failed(now, to, 0);
//! assert_eq!(destinations.admit(now, to), Admission::Blocked { until });
//! // When the time is over, one attempt shows whether the destination is back.
//! assert_eq!(destinations.admit(until, to), Admission::Probe);
//! assert!(matches!(destinations.admit(until, to), Admission::Blocked { .. }));
//! destinations.succeeded(until, to);
//! assert_eq!(destinations.admit(until, to), Admission::Go);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wharf_policy::{Backoff, BackoffRules};

use crate::Transport;
use crate::locate::Candidate;

/// One place that requests are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Over this transport.
    pub transport: Transport,
    /// To this address.
    pub address: SocketAddr,
}

impl From<&Candidate> for Destination {
    fn from(candidate: &Candidate) -> Self {
        Self {
            transport: candidate.transport,
            address: candidate.address,
        }
    }
}

/// The settings of [`Destinations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationRules {
    /// How long a destination is left alone after failures in a row. Default at least 30 s and by
    /// chance up to 60 s, the latter twice as long with each further failure, 10 min at most; the
    /// failures are forgotten when it has been well for 5 min.
    pub backoff: BackoffRules,
    /// How long a probe may take before the next attempt is one. Default 32 s, the life of a
    /// transaction (RFC 3261 §17.1.1.2, 64×T1).
    pub probe: Duration,
    /// Destinations remembered at once. Default 4096. When there are more, the one whose block ends
    /// first, or ended longest ago, is forgotten, and counts as well.
    pub capacity: usize,
}

impl Default for DestinationRules {
    fn default() -> Self {
        Self {
            backoff: BackoffRules {
                min: Duration::from_secs(30),
                max: Duration::from_mins(10),
                factor: 2,
                stable: Duration::from_mins(5),
            },
            probe: Duration::from_secs(32),
            capacity: 4096,
        }
    }
}

/// Whether a destination is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is well, as far as is known.
    Go,
    /// It has failed some time ago, and this attempt shows how it is now: report what comes of it.
    Probe,
    /// It has failed: try the next candidate. Where there is none, the caller may try it all the same.
    Blocked {
        /// Until when.
        until: Instant,
    },
}

/// The destinations that have failed, in bounded memory. A destination it does not know is well.
#[derive(Debug)]
pub struct Destinations {
    rules: DestinationRules,
    known: BTreeMap<Destination, Known>,
    /// All that are known by the end of their block, for the one to forget.
    by_end: BTreeSet<(Instant, Destination)>,
}

#[derive(Debug)]
struct Known {
    backoff: Backoff,
    state: State,
    /// When the block, the probe or the failure before ended or ends.
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Blocked,
    Probing,
    Well,
}

impl Destinations {
    /// All destinations are well.
    pub fn new(rules: DestinationRules) -> Self {
        Self {
            rules,
            known: BTreeMap::new(),
            by_end: BTreeSet::new(),
        }
    }

    /// Other rules from now on. Blocks that have begun end when they would have ended.
    pub fn set_rules(&mut self, rules: DestinationRules) {
        self.rules = rules;
        self.shrink();
    }

    /// Whether to try this destination now. [`Admission::Probe`] is said to one caller at a time.
    pub fn admit(&mut self, now: Instant, to: Destination) -> Admission {
        match self.known.get(&to) {
            None
            | Some(Known {
                state: State::Well, ..
            }) => Admission::Go,
            Some(&Known { until, .. }) if now < until => Admission::Blocked { until },
            Some(_) => {
                let probe = self.rules.probe;
                self.set(to, State::Probing, later(now, probe));
                Admission::Probe
            }
        }
    }

    /// An attempt has failed: with a timeout, an error of the transport, or a 503 that says not for
    /// how long (RFC 3263 §4.3). Returns the end of the block. Further failures during a block are
    /// those of attempts that were under way, and do not lengthen it. `random` is any number.
    pub fn failed(&mut self, now: Instant, to: Destination, random: u64) -> Instant {
        let rules = self.rules.backoff;
        let known = self.entry(now, to);
        if known.state == State::Blocked && now < known.until {
            return known.until;
        }
        let until = later(now, known.backoff.failed(now, &rules, random));
        self.set(to, State::Blocked, until);
        self.shrink();
        until
    }

    /// The destination asks to be left alone: a 503 with Retry-After (RFC 3261 §21.5.4). The longest
    /// block of the rules is the longest here too. Returns its end.
    pub fn refused(&mut self, now: Instant, to: Destination, retry_after: Duration) -> Instant {
        let until = later(now, retry_after.min(self.rules.backoff.max));
        self.entry(now, to);
        self.set(to, State::Blocked, until);
        self.shrink();
        until
    }

    /// An attempt has succeeded: any response but a 503, or a connection.
    pub fn succeeded(&mut self, now: Instant, to: Destination) {
        if let Some(known) = self.known.get_mut(&to)
            && known.state != State::Well
        {
            known.backoff.succeeded(now);
            self.set(to, State::Well, now);
        }
    }

    /// Puts the candidates that are blocked behind all others, the one that is free first in front,
    /// and otherwise keeps their order. Returns how many are not blocked.
    pub fn arrange(&self, now: Instant, candidates: &mut [Candidate]) -> usize {
        let blocked = |candidate: &Candidate| {
            let known = self.known.get(&candidate.into())?;
            (known.state != State::Well && now < known.until).then_some(known.until)
        };
        candidates.sort_by_key(blocked);
        candidates.partition_point(|candidate| blocked(candidate).is_none())
    }

    /// The destinations that are not well, each with the end of its block, which may be past: they
    /// wait for a probe.
    pub fn unwell(&self) -> impl Iterator<Item = (Destination, Instant)> + use<'_> {
        let unwell = self
            .known
            .iter()
            .filter(|(_, known)| known.state != State::Well);
        unwell.map(|(&to, known)| (to, known.until))
    }

    fn entry(&mut self, now: Instant, to: Destination) -> &mut Known {
        self.known.entry(to).or_insert_with(|| {
            self.by_end.insert((now, to));
            Known {
                backoff: Backoff::default(),
                state: State::Well,
                until: now,
            }
        })
    }

    fn set(&mut self, to: Destination, state: State, until: Instant) {
        if let Some(known) = self.known.get_mut(&to) {
            self.by_end.remove(&(known.until, to));
            self.by_end.insert((until, to));
            (known.state, known.until) = (state, until);
        }
    }

    fn shrink(&mut self) {
        while self.known.len() > self.rules.capacity
            && let Some((_, to)) = self.by_end.pop_first()
        {
            self.known.remove(&to);
        }
    }
}

/// `now` and so long after; a day after for what is longer.
fn later(now: Instant, wait: Duration) -> Instant {
    now + wait.min(Duration::from_hours(24))
}

#[cfg(test)]
mod tests;
