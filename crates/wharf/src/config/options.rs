//! Every option: what a change of it needs, and the table in `docs/sockets-options.md`.

mod list;
mod markdown;

use std::fmt;

pub use list::OPTIONS;
pub use markdown::options_markdown;

/// What a change of an option needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It applies while the listener runs; connections stay.
    Live,
    /// The listener's sockets are made anew. The old ones stay until the new ones are bound, and
    /// connections stay.
    Rebind,
    /// The server must be started anew.
    Restart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Live => "live",
            Self::Rebind => "rebind",
            Self::Restart => "restart",
        })
    }
}

/// An option of [`ServerConfig`](super::ServerConfig).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The key path; `listeners.*.` stands for any listener. A list is one option, and so is a
    /// group of keys that may be absent as a whole (`rates.accept`).
    pub key: &'static str,
    /// What a change needs.
    pub change: Change,
}

impl OptionInfo {
    /// The option of this key, with `*` for the listener's name.
    pub fn of(key: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.key == key)
    }

    /// The test that fails when the option is ignored, `FILE::FUNCTION` below `crates/wharf/tests`:
    /// `options/limits.rs::max_connections` for `listeners.*.limits.max-connections`.
    ///
    /// ```
    /// use wharf::config::OptionInfo;
    ///
    /// let option = OptionInfo::of("listeners.*.limits.max-connections").unwrap();
    /// assert_eq!(option.test(), "options/limits.rs::max_connections");
    /// ```
    pub fn test(&self) -> String {
        let (section, name) = match self.key.strip_prefix("listeners.*.") {
            Some("access") => ("access", "access"),
            Some(key) => key.split_once('.').unwrap_or(("top", key)),
            None => match self.key.split_once('.') {
                Some(("limits", name)) => ("server_limits", name),
                Some(section_and_name) => section_and_name,
                None => ("top", self.key),
            },
        };
        format!("options/{section}.rs::{}", name.replace('-', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServerConfig, schema};

    #[test]
    fn the_options_are_those_of_the_configuration() {
        let tree = schema::tree::<ServerConfig>();
        let mut leaves: Vec<String> = schema::leaves(&tree)
            .into_iter()
            .map(|leaf| leaf.0)
            .collect();
        leaves.sort_unstable();
        let mut keys: Vec<&str> = OPTIONS.iter().map(|option| option.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, leaves);
    }

    #[test]
    fn each_option_has_a_test_of_its_own() {
        let mut tests: Vec<String> = OPTIONS.iter().map(OptionInfo::test).collect();
        tests.sort_unstable();
        tests.dedup();
        assert_eq!(tests.len(), OPTIONS.len());
        for (key, test) in [
            ("limits.memory", "options/server_limits.rs::memory"),
            ("health.min-samples", "options/health.rs::min_samples"),
            ("listeners.*.bind", "options/top.rs::bind"),
            ("listeners.*.access", "options/access.rs::access"),
            ("listeners.*.unix.mode", "options/unix.rs::mode"),
        ] {
            assert_eq!(OptionInfo::of(key).unwrap().test(), test);
        }
        assert_eq!(OptionInfo::of("limits.max"), None);
    }
}
