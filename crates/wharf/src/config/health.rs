//! Health thresholds and alarms.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::duration;

/// When the server calls itself degraded, unhealthy or under attack. Shares are of the arrivals in
/// the window, or of a limit, 0.0 to 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthOptions {
    /// The time over which arrivals are judged, 1 s to 1 h. Default 10 s.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub window: Duration,
    /// Arrivals in the window below which their shares say nothing. Default 20.
    pub min_samples: u64,
    /// Share of arrivals refused for want of room, or whose handler failed, above which the server
    /// is degraded. Default 0.05.
    pub degraded: f64,
    /// Share of arrivals refused for want of room, or whose handler failed, above which the server
    /// is unhealthy. Default 0.5.
    pub unhealthy: f64,
    /// Arrivals a second refused by rules and rates, or whose handshake failed, above which it is
    /// under attack. Default 1,000.
    pub attack_per_second: f64,
    /// How long everything must be better before the state improves, at most 1 d. Default 30 s.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub recover_after: Duration,
    /// Share of a connection limit in use above which an alarm is raised, 0.0 to 1.0. Default 0.9;
    /// cleared a tenth below.
    pub alarm_connections: f64,
    /// The least time between two alarms of one kind, at most 1 d. Default 5 min.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub alarm_cooldown: Duration,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_samples: 20,
            degraded: 0.05,
            unhealthy: 0.5,
            attack_per_second: 1000.0,
            recover_after: Duration::from_secs(30),
            alarm_connections: 0.9,
            alarm_cooldown: Duration::from_mins(5),
        }
    }
}
