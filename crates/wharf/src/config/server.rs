//! The whole server's configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HealthOptions, ListenerConfig, ServerLimits};

/// A server: its limits and its listeners by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerConfig {
    /// Limits over all listeners.
    pub limits: ServerLimits,
    /// When the server calls itself degraded, unhealthy or under attack.
    pub health: HealthOptions,
    /// The listeners.
    pub listeners: BTreeMap<String, ListenerConfig>,
}
