//! What the counters gained over the last window.

use std::time::{Duration, Instant};

use super::Sample;

/// Parts of the window; the oldest leaves it as a whole.
const PARTS: u32 = 16;

/// Gains of the counters that tell health.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) arrived: u64,
    pub(super) refused_policy: u64,
    pub(super) handshake_failed: u64,
    pub(super) handler_failed: u64,
}

impl Counts {
    /// Those that look like an attack if there are many.
    pub(super) fn hostile(&self) -> u64 {
        self.refused_policy.saturating_add(self.handshake_failed)
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            arrived: f(self.arrived, other.arrived),
            refused_policy: f(self.refused_policy, other.refused_policy),
            handshake_failed: f(self.handshake_failed, other.handshake_failed),
            handler_failed: f(self.handler_failed, other.handler_failed),
        }
    }
}

/// A ring of the gains in each part of the window.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// How long one part is.
    part: Duration,
    parts: [Counts; PARTS as usize],
    current: usize,
    /// When the current part began, and the counters of the last sample; `None` before the first.
    last: Option<(Instant, Counts)>,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            part: (length / PARTS).max(Duration::from_millis(1)),
            parts: [Counts::default(); PARTS as usize],
            current: 0,
            last: None,
        }
    }

    /// The length in force.
    pub(super) fn length(&self) -> Duration {
        self.part.saturating_mul(PARTS)
    }

    /// The gains over the window.
    pub(super) fn counts(&self) -> Counts {
        let add = |sum: Counts, part: &Counts| sum.zip(*part, u64::saturating_add);
        self.parts.iter().fold(Counts::default(), add)
    }

    /// Adds what was gained since the last sample. A counter that went down gained nothing.
    pub(super) fn record(&mut self, now: Instant, sample: &Sample) {
        let totals = Counts {
            arrived: sample.arrived,
            refused_policy: sample.refused_policy,
            handshake_failed: sample.handshake_failed,
            handler_failed: sample.handler_failed,
        };
        let Some((began, before)) = self.last else {
            self.last = Some((now, totals));
            return;
        };
        let mut gained = totals.zip(before, u64::saturating_sub);
        let elapsed = now.saturating_duration_since(began);
        let passed = elapsed.as_nanos() / self.part.as_nanos();
        let mut began = began;
        if passed >= u128::from(PARTS) {
            // The gains are spread over more than a window: only this window's share counts.
            let share = self.length().as_nanos();
            let scale =
                |n: u64, _| (u128::from(n).saturating_mul(share) / elapsed.as_nanos()) as u64;
            gained = gained.zip(gained, scale);
            self.parts = [Counts::default(); PARTS as usize];
            began = now;
        } else {
            for _ in 0..passed {
                self.current = (self.current + 1) % self.parts.len();
                self.parts[self.current] = Counts::default();
                began += self.part;
            }
        }
        let part = &mut self.parts[self.current];
        *part = part.zip(gained, u64::saturating_add);
        self.last = Some((began, totals));
    }
}
