//! Access rules as text in the configuration.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wharf_policy::access::{self, ParseRuleError, Principal, Source};

/// Gives a rule of the policy the text form of configuration files and URLs.
macro_rules! text_rule {
    ($(#[$doc:meta])* $name:ident, $pattern:ty, $examples:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub access::Rule<$pattern>);

        impl FromStr for $name {
            type Err = ParseRuleError;

            fn from_str(text: &str) -> Result<Self, ParseRuleError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "title": "rule", "examples": $examples })
            }
        }
    };
}

text_rule! {
    /// A rule on source addresses: `"allow 10.0.0.0/8"`, `"deny 2001:db8::1"`, `"deny all"`.
    Rule, Source, ["allow 10.0.0.0/8", "deny all"]
}

text_rule! {
    /// A rule on the credentials of a Unix peer: `"allow uid 1000"`, `"allow gid 33"`,
    /// `"deny all"`.
    IdentityRule, Principal, ["allow uid 1000", "deny all"]
}
