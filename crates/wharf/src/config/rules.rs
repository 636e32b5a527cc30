//! Access rules as text in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule on source addresses: `"allow 10.0.0.0/8"`, `"deny all"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule(pub String);

/// A rule on the credentials of a Unix peer: `"allow uid 1000"`, `"deny all"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityRule(pub String);
