//! The minimum rate of one connection.

use std::time::Instant;

use wharf_policy::pace::{self, Pace, PaceMeter};

use crate::config::MinimumRate;

/// Judges, while the connection is read, whether its peer sends fast enough.
pub(super) struct Meter {
    rule: pace::MinimumRate,
    judge: PaceMeter,
    /// Bytes that had come before the meter began: they do not speak for the peer.
    before: Option<u64>,
}

impl Meter {
    pub(super) fn new(rule: MinimumRate) -> Self {
        let rule = pace::MinimumRate {
            bytes_per_second: rule.bytes_per_second,
            grace: rule.grace,
            ..pace::MinimumRate::default()
        };
        Self {
            rule,
            judge: PaceMeter::new(&rule),
            before: None,
        }
    }

    /// A read waits; `received` bytes have come in all. When to look again, or `now` if the peer is
    /// too slow.
    pub(super) fn judge(&mut self, now: Instant, received: u64) -> Option<Instant> {
        let before = *self.before.get_or_insert(received);
        self.judge.wait(now);
        match self.judge.observe(now, received - before, &self.rule) {
            Pace::TooSlow { .. } => Some(now),
            Pace::Fine => self.judge.next_check(now, &self.rule),
        }
    }

    /// The read has ended.
    pub(super) fn pause(&mut self, now: Instant) {
        self.judge.pause(now);
    }
}
