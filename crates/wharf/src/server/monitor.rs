//! Health and alarms, from the counters, once a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wharf_policy::alarm::{Alarm, AlarmChange, AlarmState};
use wharf_policy::health::{self, HealthMeter, HealthRules, Sample};

use super::Inner;
use crate::config::HealthOptions;
use crate::counters::Stats;
use crate::events::Event;
use crate::reason::Closed;

/// How often the counters are judged.
const TICK: Duration = Duration::from_secs(1);

/// What the server makes of its own counters.
pub(crate) struct Health {
    meter: Mutex<HealthMeter>,
    /// By listener; the server's own under no name.
    alarms: Mutex<BTreeMap<Option<Arc<str>>, AlarmState>>,
    pub(crate) task: Mutex<Option<AbortHandle>>,
}

impl Health {
    pub(crate) fn new(options: &HealthOptions) -> Self {
        Self {
            meter: Mutex::new(HealthMeter::new(rules(options))),
            alarms: Mutex::default(),
            task: Mutex::new(None),
        }
    }

    /// Puts new thresholds in force.
    pub(crate) fn set(&self, options: &HealthOptions) {
        self.meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set_rules(rules(options));
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms
            .values_mut()
            .for_each(|state| state.set(alarm(options)));
    }

    /// The state now.
    pub(crate) fn now(&self) -> health::Health {
        self.meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .health()
    }

    /// Whether clients may be sent here.
    pub(crate) fn is_fit(&self) -> bool {
        self.meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_fit()
    }
}

#[expect(clippy::cast_sign_loss, reason = "the check allows no negative rate")]
fn rules(options: &HealthOptions) -> HealthRules {
    let mut rules = HealthRules {
        window: options.window,
        attack_per_second: options.attack_per_second.ceil() as u32,
        recover_after: options.recover_after,
        min_samples: options.min_samples,
        ..HealthRules::default()
    };
    rules.degraded.failed = options.degraded;
    rules.unhealthy.failed = options.unhealthy;
    rules
}

fn alarm(options: &HealthOptions) -> Alarm {
    Alarm {
        above: options.alarm_connections,
        clear_below: options.alarm_connections - 0.1,
        cooldown: options.alarm_cooldown,
    }
}

/// Judges until the server is gone.
pub(super) async fn run(inner: Weak<Inner>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        judge(&inner, Instant::now().into_std());
    }
}

fn judge(inner: &Inner, now: std::time::Instant) {
    let options = inner.state().config.health.clone();
    let mut sample = Sample {
        live_cap: inner.gate.limit().unwrap_or(0),
        ..Sample::default()
    };
    let mut shares = vec![(None, share(inner.gate.inside(), inner.gate.limit()))];
    for listener in inner.listeners() {
        add(&mut sample, &listener.owner.counters.snapshot());
        // Room in one listener is none for the clients of another.
        let (pending, cap) = (listener.handshakes.inside(), listener.handshakes.limit());
        if share(pending, cap) > share(sample.pending, Some(sample.pending_cap)) {
            (sample.pending, sample.pending_cap) = (pending, cap.unwrap_or(0));
        }
        let share = share(listener.gate.inside(), listener.gate.limit());
        shares.push((Some(listener.owner.name.clone()), share));
    }
    let change = inner
        .health
        .meter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .observe(now, sample);
    if let Some(change) = change {
        let (from, to, cause) = (change.from, change.to, change.cause);
        tracing::warn!(?from, ?to, ?cause, "health changed");
        inner.events.emit(|| Event::Health { from, to, cause });
    }
    let mut alarms = inner
        .health
        .alarms
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    alarms.retain(|name, _| shares.iter().any(|(listed, _)| listed == name));
    for (name, share) in shares {
        let state = alarms
            .entry(name.clone())
            .or_insert_with(|| AlarmState::new(alarm(&options)));
        if let Some(change) = state.observe(now, share) {
            let raised = change == AlarmChange::Raised;
            let of = name.as_deref().unwrap_or("server");
            tracing::warn!(of, raised, share, "connection limit alarm");
            inner.events.emit(|| Event::Alarm {
                listener: name,
                raised,
            });
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than 52 bits"
)]
fn share(inside: u64, limit: Option<u64>) -> f64 {
    limit
        .filter(|limit| *limit > 0)
        .map_or(0.0, |limit| inside as f64 / limit as f64)
}

fn add(sample: &mut Sample, stats: &Stats) {
    sample.arrived += stats.arrived;
    sample.accepted += stats.accepted;
    sample.live += stats.live;
    for (reason, count) in &stats.refused {
        if reason.is_handshake() {
            sample.handshake_failed += count;
        } else if reason.is_suspicious() {
            sample.refused_policy += count;
        } else if reason.is_capacity() {
            // For want of room: a failure of ours.
            sample.handler_failed += count;
        }
    }
    sample.handler_failed += stats.closed(Closed::HandlerError) + stats.closed(Closed::Panic);
}
