//! When the connections of a pool end.

use std::time::{Duration, Instant};

use super::{KEEP, Live, Pool, PoolKey, PoolRules};
use crate::flow::FlowId;

/// The end of a connection that is without one, as good as.
const WITHOUT_END: Duration = Duration::from_hours(24 * 365);

/// Why a pool has a connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolClose {
    /// It was idle for longer than [`PoolRules::idle`].
    Idle,
    /// It is older than [`PoolRules::lifetime`], and was idle for 32 s.
    Lifetime,
}

impl Live {
    /// When to look at it again: when it ends, or takes no more requests, if it stays as it is.
    pub(super) fn end(&self, rules: &PoolRules) -> Instant {
        if self.retired {
            return self.used + KEEP;
        }
        let idle = self.used + rules.idle.clamp(KEEP, WITHOUT_END);
        let lifetime = self.opened + rules.lifetime.unwrap_or(WITHOUT_END).min(WITHOUT_END);
        idle.min(lifetime)
    }

    fn is_old(&self, now: Instant, rules: &PoolRules) -> bool {
        rules
            .lifetime
            .is_some_and(|lifetime| now.duration_since(self.opened) >= lifetime)
    }
}

impl Pool {
    /// Other rules from now on, for connections that are open too.
    pub fn set_rules(&mut self, rules: PoolRules) {
        self.rules = rules;
        self.by_end.clear();
        for (&flow, live) in &mut self.live {
            live.foreseen = live.end(&rules);
            self.by_end.insert((live.foreseen, flow));
        }
    }

    /// A message went over this connection, in either direction.
    pub fn used(&mut self, now: Instant, flow: FlowId) {
        if let Some(live) = self.live.get_mut(&flow) {
            live.used = now;
        }
    }

    /// The connection is closed, by whomever.
    pub fn closed(&mut self, flow: FlowId) {
        if let Some(live) = self.live.remove(&flow) {
            self.by_end.remove(&(live.foreseen, flow));
            self.leave(&live.key, flow);
        }
    }

    /// When to call [`expire`](Self::expire) next; none while no connection is open.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.by_end.first().map(|&(foreseen, _)| foreseen)
    }

    /// The next connection to close now. The pool has forgotten it; call until there is none.
    pub fn expire(&mut self, now: Instant) -> Option<(FlowId, PoolClose)> {
        while let Some(&(foreseen, flow)) = self.by_end.first().filter(|(end, _)| *end <= now) {
            let Some(live) = self.live.get_mut(&flow) else {
                self.by_end.pop_first();
                continue;
            };
            let end = live.end(&self.rules);
            let old = live.is_old(now, &self.rules);
            if end <= now && (live.retired || !old) {
                let why = if live.retired {
                    PoolClose::Lifetime
                } else {
                    PoolClose::Idle
                };
                self.closed(flow);
                return Some((flow, why));
            }
            if old && !live.retired {
                live.retired = true;
                let key = live.key.clone();
                self.leave(&key, flow);
            }
            self.foresee(foreseen, flow);
        }
        None
    }

    /// The connection that was used longest ago, if it has been idle for long enough to be closed; it
    /// is forgotten. It looks at all of them, but in vain only once until one can be idle for so long.
    pub(super) fn evict(&mut self, now: Instant) -> Option<FlowId> {
        if self.crowded_until.is_some_and(|until| now < until) {
            return None;
        }
        let (&flow, live) = self.live.iter().min_by_key(|(_, live)| live.used)?;
        if now < live.used + KEEP {
            self.crowded_until = Some(live.used + KEEP);
            return None;
        }
        self.closed(flow);
        Some(flow)
    }

    /// Foresees the end of a connection anew.
    fn foresee(&mut self, before: Instant, flow: FlowId) {
        self.by_end.remove(&(before, flow));
        if let Some(live) = self.live.get_mut(&flow) {
            live.foreseen = live.end(&self.rules);
            self.by_end.insert((live.foreseen, flow));
        }
    }

    /// The connection takes no more requests for this key.
    fn leave(&mut self, key: &PoolKey, flow: FlowId) {
        if let Some(place) = self.places.get_mut(key) {
            place.live.retain(|&one| one != flow);
        }
        self.tidy(key);
    }
}
