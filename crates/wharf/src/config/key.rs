//! Key paths: where in a configuration a value stands.

use std::fmt::{self, Write};

use serde_path_to_error::{Path, Segment};
use toml::Value;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A path from the root of the value that is being read.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(pub(super) Vec<Step>);

impl KeyPath {
    /// The part of an error's path that leads to a value: a variant's content belongs to its key.
    pub(super) fn of(path: &Path) -> Self {
        let steps = path.iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }

    /// The path with one key more.
    pub(super) fn join(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    /// The value at this path.
    pub(super) fn get<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get(key.as_str()),
            Step::Index(index) => value.get(*index),
        })
    }

    /// Takes the value at this path out of `root`; false when there is none.
    pub(super) fn take(&self, root: &mut Value) -> bool {
        let Some((last, steps)) = self.0.split_last() else {
            return false;
        };
        let parent = steps.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get_mut(key.as_str()),
            Step::Index(index) => value.get_mut(*index),
        });
        match (parent, last) {
            (Some(Value::Table(table)), Step::Key(key)) => table.remove(key).is_some(),
            (Some(Value::Array(values)), Step::Index(index)) if *index < values.len() => {
                values.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// The path as text below `root` (`listeners.echo` or empty). Keys that are not plain words
    /// are quoted.
    pub(super) fn below(&self, root: &str) -> String {
        let mut text = root.to_owned();
        for step in &self.0 {
            match step {
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&quoted(key));
                }
                // Writing to a string cannot fail.
                Step::Index(index) => _ = write!(text, "[{index}]"),
            }
        }
        text
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.below(""))
    }
}

/// A key as TOML writes it.
pub(super) fn quoted(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> KeyPath {
        KeyPath(vec![
            Step::Key("listeners".into()),
            Step::Key("a.b".into()),
            Step::Key("bind".into()),
            Step::Index(1),
        ])
    }

    #[test]
    fn a_path_is_written_as_in_the_file() {
        assert_eq!(path().to_string(), "listeners.\"a.b\".bind[1]");
        assert_eq!(KeyPath(vec![Step::Key("bind".into())]).below("l"), "l.bind");
    }

    #[test]
    fn what_is_taken_is_gone() {
        let table: toml::Table = "[listeners.\"a.b\"]\nbind = ['x', 'y']".parse().unwrap();
        let mut root = Value::from(table);
        assert_eq!(path().get(&root), Some(&Value::from("y")));
        assert!(path().take(&mut root));
        assert!(!path().take(&mut root));
        assert!(!KeyPath::default().take(&mut root));
        assert_eq!(path().get(&root), None);
    }
}
