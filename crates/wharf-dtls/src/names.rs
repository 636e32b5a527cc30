//! Which identities are for which server name.

use std::collections::HashMap;

/// Values by server name. An exact name goes before a wildcard, and a wildcard stands for exactly
/// one label (RFC 6125 §6.4.3).
#[derive(Debug)]
pub(crate) struct Names<T> {
    exact: HashMap<String, T>,
    /// By what follows `*.`.
    wildcard: HashMap<String, T>,
}

impl<T> Names<T> {
    pub(crate) fn new() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, pattern: &str, value: T) {
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcard.insert(suffix.to_owned(), value),
            None => self.exact.insert(pattern.to_owned(), value),
        };
    }

    pub(crate) fn find(&self, name: &str) -> Option<&T> {
        let name = name.to_ascii_lowercase();
        self.exact.get(&name).or_else(|| {
            let (_, suffix) = name.split_once('.')?;
            self.wildcard.get(suffix)
        })
    }
}
