//! An alarm on one number: raised above a threshold, cleared below another, never more often than
//! its cool-down lets it.

use std::time::{Duration, Instant};

/// When a value is alarming.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// A value above this raises the alarm. In the value's own unit.
    pub above: f64,
    /// A value below this clears it. Acts as `above` if it is greater; the distance between the two
    /// keeps a value that wavers from raising and clearing in turn.
    pub clear_below: f64,
    /// The least time from one raising to the next. A value that is too high when it has passed
    /// raises the alarm then.
    pub cooldown: Duration,
}

/// What became of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmChange {
    /// The value went above the threshold.
    Raised,
    /// The value went below the clearing threshold.
    Cleared,
}

/// An [`Alarm`] and whether it is raised.
///
/// ```
/// use std::time::{Duration, Instant};
/// use wharf_policy::{Alarm, AlarmChange, AlarmState};
///
/// let rule = Alarm { above: 0.9, clear_below: 0.7, cooldown: Duration::from_secs(60) };
/// let mut alarm = AlarmState::new(rule);
/// let now = Instant::now();
/// assert_eq!(alarm.observe(now, 0.95), Some(AlarmChange::Raised));
/// assert_eq!(alarm.observe(now, 0.8), None);
/// assert_eq!(alarm.observe(now, 0.6), Some(AlarmChange::Cleared));
/// assert_eq!(alarm.observe(now, 0.95), None, "cooling down");
/// ```
#[derive(Debug, Clone)]
pub struct AlarmState {
    alarm: Alarm,
    raised: bool,
    raised_at: Option<Instant>,
}

impl AlarmState {
    /// An alarm that is not raised and never was.
    pub fn new(alarm: Alarm) -> Self {
        Self {
            alarm,
            raised: false,
            raised_at: None,
        }
    }

    /// Takes the value of this moment. Raisings and clearings alternate, a raising first. A value
    /// that is not a number changes nothing.
    pub fn observe(&mut self, now: Instant, value: f64) -> Option<AlarmChange> {
        let Alarm {
            above,
            clear_below,
            cooldown,
        } = self.alarm;
        if self.raised {
            if value < clear_below.min(above) {
                self.raised = false;
                return Some(AlarmChange::Cleared);
            }
        } else if value > above {
            let cool = |at: Instant| now.saturating_duration_since(at) >= cooldown;
            if self.raised_at.is_none_or(cool) {
                self.raised = true;
                self.raised_at = Some(now);
                return Some(AlarmChange::Raised);
            }
        }
        None
    }

    /// Whether the alarm is raised.
    pub fn is_raised(&self) -> bool {
        self.raised
    }

    /// Replaces the thresholds and the cool-down; the next value is judged by them.
    pub fn set(&mut self, alarm: Alarm) {
        self.alarm = alarm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;
    use proptest::prelude::*;

    fn alarm(above: f64, clear_below: f64, cooldown: u64) -> AlarmState {
        AlarmState::new(Alarm {
            above,
            clear_below,
            cooldown: Duration::from_secs(cooldown),
        })
    }

    #[test]
    fn thresholds_themselves_change_nothing() {
        let (now, mut alarm) = (origin(), alarm(10.0, 5.0, 0));
        assert_eq!(alarm.observe(now, 10.0), None);
        assert_eq!(alarm.observe(now, 10.5), Some(AlarmChange::Raised));
        assert!(alarm.is_raised());
        assert_eq!(alarm.observe(now, 99.0), None, "once");
        assert_eq!(alarm.observe(now, 5.0), None);
        assert_eq!(alarm.observe(now, f64::NAN), None);
        assert_eq!(alarm.observe(now, 4.5), Some(AlarmChange::Cleared));
        assert_eq!(alarm.observe(now, f64::NAN), None);
    }

    #[test]
    fn a_value_still_high_after_the_cooldown_raises() {
        let (start, mut alarm) = (origin(), alarm(1.0, 1.0, 60));
        assert_eq!(alarm.observe(start, 2.0), Some(AlarmChange::Raised));
        assert_eq!(alarm.observe(start, 0.0), Some(AlarmChange::Cleared));
        let almost = start + Duration::from_millis(59_999);
        assert_eq!(alarm.observe(almost, 2.0), None);
        let after = start + Duration::from_mins(1);
        assert_eq!(alarm.observe(after, 2.0), Some(AlarmChange::Raised));
    }

    #[test]
    fn new_thresholds_hold_at_once() {
        let (now, mut state) = (origin(), alarm(1.0, 1.0, 0));
        assert_eq!(state.observe(now, 2.0), Some(AlarmChange::Raised));
        state.set(alarm(10.0, 5.0, 0).alarm);
        assert_eq!(state.observe(now, 2.0), Some(AlarmChange::Cleared));
        assert_eq!(state.observe(now, 9.0), None);
    }

    proptest! {
        /// Changes alternate, raisings keep the cool-down, and thresholds in the wrong order do not
        /// make one value both raise and clear.
        #[test]
        fn changes_alternate_and_keep_the_cooldown(
            above in -5i32..5, clear_below in -8i32..8, cooldown in 0u64..20,
            steps in proptest::collection::vec((0u64..8, -10i32..10), 1..200),
        ) {
            let mut alarm = alarm(above.into(), clear_below.into(), cooldown);
            let (mut now, mut raised, mut last) = (origin(), false, None::<Instant>);
            for (step, value) in steps {
                now += Duration::from_secs(step);
                match alarm.observe(now, value.into()) {
                    Some(AlarmChange::Raised) => {
                        prop_assert!(!raised && value > above);
                        prop_assert!(last.is_none_or(|at| now - at >= Duration::from_secs(cooldown)));
                        (raised, last) = (true, Some(now));
                    }
                    Some(AlarmChange::Cleared) => {
                        prop_assert!(raised && value < above);
                        raised = false;
                    }
                    None => prop_assert!(!raised || value >= above.min(clear_below)),
                }
                prop_assert_eq!(alarm.is_raised(), raised);
            }
        }
    }
}
