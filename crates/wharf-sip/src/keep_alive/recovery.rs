//! How long to wait before a flow that has failed is replaced (RFC 5626 §4.5).

use std::time::Duration;

use super::between;

/// The times of RFC 5626 §4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryRules {
    /// The longest wait. Default 1800 s.
    pub longest: Duration,
    /// Where the waits begin while no flow to any proxy is left. Default 30 s.
    pub all_failed: Duration,
    /// Where the waits begin while another flow is left. Default 90 s.
    pub some_left: Duration,
}

impl Default for RecoveryRules {
    fn default() -> Self {
        Self {
            longest: Duration::from_mins(30),
            all_failed: Duration::from_secs(30),
            some_left: Duration::from_secs(90),
        }
    }
}

/// Counts the failures in a row of the flow to one proxy.
///
/// The wait lies by chance between half of `min(longest, base × 2ⁿ)` and all of it, where `n` is the
/// number of failures, so that the clients of a proxy that fails do not return to it all at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    failures: u32,
}

impl Recovery {
    /// How long to wait after a flow that worked has failed. `any_left` says whether a flow to another
    /// proxy still works; `random` is any number, evenly distributed.
    pub fn wait(&self, rules: &RecoveryRules, any_left: bool, random: u64) -> Duration {
        let base = if any_left {
            rules.some_left
        } else {
            rules.all_failed
        };
        let growth = 2_u32.saturating_pow(self.failures);
        let most = base.saturating_mul(growth).min(rules.longest);
        between(most / 2, most, random)
    }

    /// The same after an attempt to replace it has failed too.
    pub fn failed(&mut self, rules: &RecoveryRules, any_left: bool, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.wait(rules, any_left, random)
    }

    /// The flow is in use: what was before is forgotten.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}
