//! How well a server or listener does, from its counters: over a sliding window, at once for the
//! worse, slowly for the better.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use wharf_policy::health::{Cause, Health, HealthMeter, HealthRules, Sample};
//!
//! let mut meter = HealthMeter::new(HealthRules::default());
//! let start = Instant::now();
//! meter.observe(start, Sample::default());
//! let sample = Sample { arrived: 100, accepted: 100, handler_failed: 60, ..Sample::default() };
//! let change = meter.observe(start + Duration::from_secs(1), sample).unwrap();
//! assert_eq!((change.to, change.cause), (Health::Unhealthy, Cause::Failures));
//! ```

mod window;

use std::time::{Duration, Instant};

use window::Window;

/// The state, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Health {
    /// Nothing to report.
    #[default]
    Healthy,
    /// It works, but a part of the work fails or room runs short.
    Degraded,
    /// Much of the work fails, or there is hardly any room.
    Unhealthy,
    /// Someone is trying hard to get in: refusals and failed handshakes come faster than
    /// [`HealthRules::attack_per_second`].
    UnderAttack,
}

impl Health {
    /// The state in lower case with hyphens, for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::UnderAttack => "under-attack",
        }
    }
}

/// From where on a state is bad. Each is a fraction, reached when the value is equal or above; 0
/// turns it off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Failures of our own, of the arrivals in the window. Who is refused by policy, or fails in a
    /// handshake, is none: what strangers do must not make a server look broken.
    pub failed: f64,
    /// Handshakes under way, of the most there may be.
    pub pending: f64,
    /// Live connections, of the most there may be.
    pub connections: f64,
}

/// The settings of a [`HealthMeter`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthRules {
    /// The time over which arrivals are counted. Default 10 s; less than 16 ms acts as 16 ms.
    pub window: Duration,
    /// When [`Health::Degraded`]. Default: 5 % failed, 70 % pending, 80 % connections.
    pub degraded: Thresholds,
    /// When [`Health::Unhealthy`]. Default: 50 % failed, 95 % pending, 98 % connections.
    pub unhealthy: Thresholds,
    /// When [`Health::UnderAttack`]: arrivals refused by policy and failed handshakes a second, on
    /// average over the window. Default 100; 0 is off.
    pub attack_per_second: u32,
    /// How long the state must be better without a break before it is told so. Default 30 s.
    pub recover_after: Duration,
    /// Arrivals in the window below which the fraction that failed says nothing. Default 20.
    pub min_samples: u64,
}

impl Default for HealthRules {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            degraded: Thresholds {
                failed: 0.05,
                pending: 0.7,
                connections: 0.8,
            },
            unhealthy: Thresholds {
                failed: 0.5,
                pending: 0.95,
                connections: 0.98,
            },
            attack_per_second: 100,
            recover_after: Duration::from_secs(30),
            min_samples: 20,
        }
    }
}

/// The counters of one moment. The first five count from the start and never go down; the others
/// are what there is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Connections that arrived.
    pub arrived: u64,
    /// Of these, the ones that a handler was given.
    pub accepted: u64,
    /// Of these, the ones that were refused by rate, access rule or a limit per prefix.
    pub refused_policy: u64,
    /// Of these, the ones that failed before a handler: PROXY header, TLS, WebSocket upgrade.
    pub handshake_failed: u64,
    /// Of these, the ones that we failed: refused for want of room, or their handler ended in an
    /// error or a panic.
    pub handler_failed: u64,
    /// Live connections.
    pub live: u64,
    /// The most live connections there may be; 0 is unlimited and not judged.
    pub live_cap: u64,
    /// Handshakes under way, where there is the least room for more.
    pub pending: u64,
    /// The most handshakes there may be under way in that place; 0 is unlimited and not judged.
    pub pending_cap: u64,
}

/// Why the state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// [`HealthRules::attack_per_second`] is reached.
    Attack,
    /// [`Thresholds::failed`] is reached.
    Failures,
    /// [`Thresholds::pending`] is reached.
    Pending,
    /// [`Thresholds::connections`] is reached.
    Connections,
    /// It was better for [`HealthRules::recover_after`].
    Recovered,
}

impl Cause {
    /// The cause in lower case, for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Attack => "attack",
            Self::Failures => "failures",
            Self::Pending => "pending",
            Self::Connections => "connections",
            Self::Recovered => "recovered",
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: Health,
    /// The state now.
    pub to: Health,
    /// Why it changed.
    pub cause: Cause,
}

/// The state and the counters of the last window: under a kilobyte, whatever the traffic.
///
/// Feed it a [`Sample`] at even times, a sixteenth of the window apart or less; with fewer the
/// window is coarser. The state gets worse with the sample that says so. It gets better once every
/// sample of [`HealthRules::recover_after`] was better, to the worst state that was seen among
/// them; so two betterments are at least that long apart, and so is any betterment from the
/// worsening before it.
#[derive(Debug, Clone)]
pub struct HealthMeter {
    rules: HealthRules,
    health: Health,
    /// Since when each sample was better than `health`, and the worst of them.
    better: Option<(Instant, Health)>,
    /// When a sample last was unhealthy for want of connections or by failures of our own.
    unfit: Option<Instant>,
    window: Window,
}

impl HealthMeter {
    /// A healthy meter; the first sample is where it counts from.
    pub fn new(rules: HealthRules) -> Self {
        Self {
            rules,
            health: Health::default(),
            better: None,
            unfit: None,
            window: Window::new(rules.window),
        }
    }

    /// The state as of the last sample.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether clients may be sent here: not while failures of our own, or connections, reach the
    /// thresholds of [`Health::Unhealthy`], nor for [`HealthRules::recover_after`] from then on.
    ///
    /// What strangers can bring about says nothing here: neither an attack, which does not hide
    /// failures either, nor handshakes that they leave half done.
    pub fn is_fit(&self) -> bool {
        self.unfit.is_none()
    }

    /// Replaces the rules and keeps the state. Another window length begins a new window.
    pub fn set_rules(&mut self, rules: HealthRules) {
        if rules.window != self.rules.window {
            self.window = Window::new(rules.window);
        }
        self.rules = rules;
    }

    /// Takes the counters of this moment and says whether the state changed.
    pub fn observe(&mut self, now: Instant, sample: Sample) -> Option<Transition> {
        self.window.record(now, &sample);
        let (seen, cause) = self.judge(&sample);
        if self.fails(&sample) {
            self.unfit = Some(now);
        } else if self
            .unfit
            .is_some_and(|at| now.saturating_duration_since(at) >= self.rules.recover_after)
        {
            self.unfit = None;
        }
        if seen >= self.health {
            self.better = None;
            return (seen > self.health).then(|| self.change(seen, cause));
        }
        let (since, worst) = self.better.unwrap_or((now, seen));
        let worst = worst.max(seen);
        if now.saturating_duration_since(since) < self.rules.recover_after {
            self.better = Some((since, worst));
            return None;
        }
        self.better = None;
        Some(self.change(worst, Cause::Recovered))
    }

    fn change(&mut self, to: Health, cause: Cause) -> Transition {
        let from = std::mem::replace(&mut self.health, to);
        Transition { from, to, cause }
    }

    /// What this sample and the window amount to, whatever the state is.
    fn judge(&self, sample: &Sample) -> (Health, Cause) {
        let counts = self.window.counts();
        let hostile = counts.hostile();
        if self.rules.attack_per_second > 0
            && u128::from(hostile) * 1_000_000_000
                >= u128::from(self.rules.attack_per_second) * self.window.length().as_nanos()
        {
            return (Health::UnderAttack, Cause::Attack);
        }
        let failed = self.failed();
        let pending = ratio(sample.pending, sample.pending_cap);
        let connections = ratio(sample.live, sample.live_cap);
        let reached = |thresholds: &Thresholds| {
            if reaches(failed, thresholds.failed) {
                Some(Cause::Failures)
            } else if reaches(pending, thresholds.pending) {
                Some(Cause::Pending)
            } else if reaches(connections, thresholds.connections) {
                Some(Cause::Connections)
            } else {
                None
            }
        };
        if let Some(cause) = reached(&self.rules.unhealthy) {
            (Health::Unhealthy, cause)
        } else if let Some(cause) = reached(&self.rules.degraded) {
            (Health::Degraded, cause)
        } else {
            (Health::Healthy, Cause::Recovered)
        }
    }

    /// Whether this sample and the window are unhealthy for a reason of our own.
    fn fails(&self, sample: &Sample) -> bool {
        let unhealthy = &self.rules.unhealthy;
        reaches(self.failed(), unhealthy.failed)
            || reaches(ratio(sample.live, sample.live_cap), unhealthy.connections)
    }

    /// The fraction of the arrivals in the window that we failed.
    fn failed(&self) -> f64 {
        let counts = self.window.counts();
        if counts.arrived < self.rules.min_samples {
            0.0
        } else {
            ratio(counts.handler_failed, counts.arrived)
        }
    }
}

fn reaches(value: f64, threshold: f64) -> bool {
    threshold > 0.0 && value >= threshold
}

/// `part` of `whole`; 0 of nothing is nothing.
#[allow(
    clippy::cast_precision_loss,
    reason = "a fraction to compare with a threshold; 53 bits are plenty"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests;
