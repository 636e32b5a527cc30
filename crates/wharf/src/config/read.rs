//! From tables to values, with every problem at once.
//!
//! A value is deserialized again and again: each error becomes a [`Problem`], the key that it
//! concerns is taken out, and what is left is tried once more. So a wrong value, a misspelt key and
//! two options that contradict each other are all found in one reading.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::key::{KeyPath, Step};
use super::problem::{Problem, Problems, is_pem, shown_value};
use super::{ServerConfig, schema, suggest};

/// Problems after which a reading gives up: nobody reads more, and hostile input costs no more.
const MOST: usize = 256;
/// The longest configuration text, in bytes.
const LONGEST: usize = 1 << 20;

/// Reads a `T` from a value that stands at the key path `at` (empty for the root). Each thing that
/// is wrong becomes a [`Problem`], and the rest is read as if it had not been given; the result is
/// `None` only when nothing could be made of it. At most 256 problems are told; values are never
/// repeated where they may be secrets.
///
/// ```
/// use wharf::config::{Limits, read};
///
/// let table: toml::Table = "max-conections = 5\nper-prefix = -1\nipv4-prefix = 24".parse().unwrap();
/// let mut problems = Vec::new();
/// let limits: Limits = read(table.into(), "limits", &mut problems).unwrap();
/// assert_eq!(limits.ipv4_prefix, 24);
/// assert_eq!(problems[0].key, "limits.max-conections");
/// assert_eq!(problems[0].advice, "Did you mean `limits.max-connections`?");
/// assert_eq!(problems[1].key, "limits.per-prefix");
/// ```
pub fn read<T>(value: Value, at: &str, problems: &mut Vec<Problem>) -> Option<T>
where
    T: DeserializeOwned + JsonSchema,
{
    read_noting(value, at, problems, &mut Vec::new())
}

/// [`read`], which also tells the key paths of what it took out.
pub(super) fn read_noting<T>(
    value: Value,
    at: &str,
    problems: &mut Vec<Problem>,
    taken: &mut Vec<String>,
) -> Option<T>
where
    T: DeserializeOwned + JsonSchema,
{
    let mut reading = Reading {
        schema: schema::tree::<T>(),
        at,
        value,
        taken: BTreeSet::new(),
        problems,
    };
    for _ in 0..MOST {
        match serde_path_to_error::deserialize(reading.value.clone()) {
            Ok(read) => {
                taken.extend(reading.taken.iter().map(|path| path.below(at)));
                return Some(read);
            }
            Err(error) => reading.note(&KeyPath::of(error.path()), error.inner().message())?,
        }
    }
    let more = "has more than 256 problems; the others are not shown";
    problems.push(Problem::new(
        if at.is_empty() { "configuration" } else { at },
        more,
    ));
    None
}

struct Reading<'a> {
    schema: serde_json::Value,
    at: &'a str,
    /// What is left of the value.
    value: Value,
    /// What was taken out of it, by its path in the value as it was given.
    taken: BTreeSet<KeyPath>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    /// Records what `message` says about `path` and takes the value there out. `None` when that is
    /// not possible.
    fn note(&mut self, path: &KeyPath, message: &str) -> Option<()> {
        let original = self.original(path);
        if message.starts_with("missing field") {
            self.missing(path, &original);
        } else {
            let problem = if message.starts_with("unknown field") {
                self.unknown(&original)
            } else {
                self.wrong(path, &original, message)
            };
            self.problems.push(problem);
        }
        self.taken.insert(original);
        path.take(&mut self.value).then_some(())
    }

    /// Each key that the table at `path` lacks. One that was taken out has had its problem.
    fn missing(&mut self, path: &KeyPath, original: &KeyPath) {
        let Some(schema) = schema::at(&self.schema, path) else {
            return;
        };
        let table = path.get(&self.value);
        for key in schema::required(schema) {
            let original = original.join(key);
            if table.is_none_or(|table| table.get(key).is_none()) && !self.taken.contains(&original)
            {
                let meaning = schema::at(schema, &KeyPath::default().join(key));
                let problem = Problem::new(original.below(self.at), "is missing");
                self.problems
                    .push(problem.advice(meaning.map_or_else(String::new, schema::description)));
            }
        }
    }

    fn unknown(&self, original: &KeyPath) -> Problem {
        let problem = Problem::new(original.below(self.at), "unknown key");
        let Some((Step::Key(unknown), parent)) = original.0.split_last() else {
            return problem;
        };
        let parent = KeyPath(parent.to_vec());
        let Some(schema) = schema::at(&self.schema, &parent) else {
            return problem;
        };
        let mut problem = problem;
        let known: Vec<&str> = schema::keys(schema).collect();
        problem.allowed = format!("unknown key; there are {}", known.join(", "));
        let leaves = schema::leaves(schema);
        let elsewhere = || {
            let mut keys = leaves.iter().map(|(key, _)| key.as_str());
            keys.find(|key| {
                key.rsplit_once('.')
                    .is_some_and(|(_, name)| name == unknown)
            })
        };
        match suggest::nearest(unknown, known.iter().copied()).or_else(elsewhere) {
            Some(near) => {
                let section = parent.below(self.at);
                let dot = if section.is_empty() { "" } else { "." };
                problem.advice(format!("Did you mean `{section}{dot}{near}`?"))
            }
            None => problem,
        }
    }

    fn wrong(&self, path: &KeyPath, original: &KeyPath, message: &str) -> Problem {
        let schema = schema::at(&self.schema, path);
        let by_type = ["invalid type", "invalid value", "unknown variant", "wanted"];
        let by_type = by_type.iter().any(|start| message.starts_with(start));
        let allowed = match schema {
            Some(schema) if by_type || is_pem(message) => {
                format!("expected {}", schema::kind(schema))
            }
            _ if is_pem(message) => "not allowed here".to_owned(),
            _ => message.lines().next().unwrap_or_default().to_owned(),
        };
        let secret = original.0.contains(&Step::Key("pem".to_owned()));
        let mut problem = Problem::new(original.below(self.at), allowed);
        problem.given = path
            .get(&self.value)
            .filter(|_| !secret)
            .and_then(shown_value);
        problem.advice(schema.map_or_else(String::new, schema::description))
    }

    /// Where `path` was before elements were taken out of lists in front of it.
    fn original(&self, path: &KeyPath) -> KeyPath {
        let mut original = KeyPath::default();
        for step in &path.0 {
            let step = match step {
                Step::Key(_) => step.clone(),
                Step::Index(index) => Step::Index(self.original_index(&original, *index)),
            };
            original.0.push(step);
        }
        original
    }

    fn original_index(&self, list: &KeyPath, index: usize) -> usize {
        let taken = self
            .taken
            .iter()
            .filter_map(|taken| match taken.0.split_last() {
                Some((Step::Index(index), parent)) if parent == list.0 => Some(*index),
                _ => None,
            });
        taken.fold(index, |index, taken| index + usize::from(taken <= index))
    }
}

impl ServerConfig {
    /// Reads a configuration file of at most 1 MiB and checks it. Every problem is told at once;
    /// only while the text is not TOML at all, those in its syntax come alone.
    ///
    /// ```
    /// use wharf::config::ServerConfig;
    ///
    /// let config = ServerConfig::from_toml(r#"
    ///     [listeners.echo]
    ///     transport = "tcp"
    ///     bind = ["[::]:7000"]
    ///     limits.max-connections = 1000
    /// "#).unwrap();
    /// assert_eq!(config.listeners["echo"].limits.max_connections, 1000);
    ///
    /// let wrong = ServerConfig::from_toml("listeners.echo.transport = 'carrier-pigeon'").unwrap_err();
    /// assert!(wrong.to_string().contains("listeners.echo.transport"));
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        if text.len() > LONGEST {
            let problem = Problem::new("configuration", "expected at most 1 MiB of text");
            return Err(Problems(vec![
                problem.given(format!("{} bytes", text.len())),
            ]));
        }
        let (_, mut errors) = toml::de::DeTable::parse_recoverable(text);
        let syntax = |error: &toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            Problem::new(place(text, offset), error.message().replace('\n', ", "))
        };
        if !errors.is_empty() {
            errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
            return Err(Problems(errors.iter().take(MOST).map(syntax).collect()));
        }
        match text.parse() {
            Ok(table) => Self::from_table(table),
            Err(error) => Err(Problems(vec![syntax(&error)])),
        }
    }

    /// Reads a configuration that is already a table, and checks it; every problem is told at once.
    pub fn from_table(table: Table) -> Result<Self, Problems> {
        let (mut problems, mut taken) = (Vec::new(), Vec::new());
        let config: Option<Self> = read_noting(table.into(), "", &mut problems, &mut taken);
        let Some(config) = config else {
            return Err(Problems(problems));
        };
        config.check_beside(&taken, &mut problems);
        Problems(problems).into_result().map(|()| config)
    }
}

/// The line and column of a byte offset, as an editor counts them.
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count() + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests;
