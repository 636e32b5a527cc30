//! Reads tables key by key, collects every problem, and knows which keys it was asked for.

use super::suggest;
use crate::problem::{Problem, Problems};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The longest value that a problem repeats, in characters.
const SHOWN: usize = 60;

/// The state of one reading: problems, keys that exist, keys that were written but do not exist.
#[derive(Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    known: Vec<String>,
    unknown: Vec<String>,
}

impl Reader {
    /// Records a problem that concerns the value of `key`, or several keys together.
    pub(super) fn problem(&mut self, key: &str, reason: impl Into<String>) {
        self.problems.push(Problem::new(key, reason));
    }

    /// Records problems found elsewhere.
    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// Whether a problem with `key`, or with a part of it, has been found.
    pub(super) fn faulty(&self, key: &str) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.at.starts_with(key))
    }

    /// Reads the whole document.
    pub(super) fn document<T>(
        &mut self,
        table: &Table,
        read: impl FnOnce(&mut Section<'_, '_>) -> T,
    ) -> T {
        self.section(String::new(), Some(table), read)
    }

    /// Every key that was asked for so far, as a full path, in the order of asking.
    pub(super) fn into_known(self) -> Vec<String> {
        self.known
    }

    /// All problems, the unknown keys last, each with the nearest key that exists.
    pub(super) fn finish(mut self) -> Result<(), Problems> {
        for key in std::mem::take(&mut self.unknown) {
            let reason = match suggest::nearest(&key, &self.known) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => "unknown key; remove it (docs/configuration.md lists all keys)".to_owned(),
            };
            self.problem(&key, reason);
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(self.problems))
        }
    }

    /// Reads a value of one of the library's own types, which tells every problem in it.
    fn library<T>(&mut self, path: &str, value: Value) -> T
    where
        T: Default + DeserializeOwned + JsonSchema,
    {
        let mut problems = Vec::new();
        let read = wharf::config::read(value, path, &mut problems);
        self.problems
            .extend(problems.into_iter().map(Problem::from));
        read.unwrap_or_default()
    }

    fn section<T>(
        &mut self,
        path: String,
        table: Option<&Table>,
        read: impl FnOnce(&mut Section<'_, '_>) -> T,
    ) -> T {
        let mut section = Section {
            reader: self,
            path,
            table,
            asked: Vec::new(),
        };
        let result = read(&mut section);
        let Section { path, asked, .. } = section;
        let written = table.into_iter().flat_map(Table::keys);
        let unknown = written.filter(|key| !asked.contains(&key.as_str()));
        self.unknown.extend(unknown.map(|key| join(&path, key)));
        result
    }
}

/// One table of the file. Each key that is read becomes known; what is left over is unknown.
pub(super) struct Section<'r, 't> {
    reader: &'r mut Reader,
    path: String,
    table: Option<&'t Table>,
    asked: Vec<&'static str>,
}

impl<'t> Section<'_, 't> {
    /// Reads the sub-table `key`; an absent one reads as an empty one, so that defaults apply.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, '_>) -> T,
    ) -> T {
        self.asked.push(key);
        let path = join(&self.path, key);
        let table = match self.table.and_then(|table| table.get(key)) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                self.reader.problem(
                    &path,
                    format!("expected a table `[{path}]`, not {}", kind(other)),
                );
                None
            }
        };
        self.reader.section(path, table, read)
    }

    /// Reads the sub-table `key` as one of the library's own structs, whose keys become known;
    /// what the file does not say is as in `defaults`, or else the library's default.
    pub(super) fn library_section<T>(&mut self, key: &'static str, defaults: &Table) -> T
    where
        T: Default + Serialize + DeserializeOwned + JsonSchema,
    {
        self.asked.push(key);
        let path = join(&self.path, key);
        let written = serde_json::to_value(T::default()).unwrap_or_default();
        let keys = written.as_object().into_iter().flatten();
        let known = keys.map(|(key, _)| join(&path, key));
        self.reader.known.extend(known);
        let mut value = match self.table.and_then(|table| table.get(key)) {
            None => Value::Table(Table::new()),
            Some(value) => value.clone(),
        };
        complete(&mut value, defaults);
        self.reader.library(&path, value)
    }

    /// Reads `key` as one of the library's own types; its default when it is absent.
    pub(super) fn library<T>(&mut self, key: &'static str) -> T
    where
        T: Default + DeserializeOwned + JsonSchema,
    {
        self.library_over(key, &Table::new())
    }

    /// Reads `key` as one of the library's own types; what the file does not say is as in `defaults`, or
    /// else the library's default.
    pub(super) fn library_over<T>(&mut self, key: &'static str, defaults: &Table) -> T
    where
        T: Default + DeserializeOwned + JsonSchema,
    {
        let value = self.value(key).cloned();
        let mut value = value.unwrap_or_else(|| Table::new().into());
        complete(&mut value, defaults);
        self.reader.library(&join(&self.path, key), value)
    }

    /// Reads `key` with `leaf`; `None` when it is absent or wrong.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let read = leaf(value);
        let path = join(&self.path, key);
        self.checked(path, Some(value), read)
    }

    /// Reads `key` with `leaf`, or takes the default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        self.optional(key, leaf).unwrap_or(default)
    }

    /// Reads `key` without ever repeating its value.
    pub(super) fn secret<T>(
        &mut self,
        key: &'static str,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let read = leaf(self.value(key)?);
        let path = join(&self.path, key);
        self.checked(path, None, read)
    }

    /// Reads an array; each wrong element is a problem of its own (`listen.udp[1]`). `None` when
    /// the key is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.elements(key, true, leaf)
    }

    /// Like [`Section::list`], for secrets: no value is repeated.
    pub(super) fn secret_list<T>(
        &mut self,
        key: &'static str,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.elements(key, false, leaf)
    }

    /// Reads a table whose keys the operator chooses; no value is repeated.
    pub(super) fn secret_map<T>(
        &mut self,
        key: &'static str,
        leaf: impl Fn(&str, &Value) -> Result<T, String>,
    ) -> Vec<T> {
        let path = join(&self.path, key);
        let table = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.reader
                    .problem(&path, format!("expected a table, not {}", kind(other)));
                return Vec::new();
            }
        };
        let read = table
            .iter()
            .filter_map(|(name, value)| self.checked(join(&path, name), None, leaf(name, value)));
        read.collect()
    }

    fn elements<T>(
        &mut self,
        key: &'static str,
        show: bool,
        leaf: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let path = join(&self.path, key);
        let Value::Array(elements) = self.value(key)? else {
            self.reader
                .problem(&path, "expected an array: [\"first\", \"second\"]");
            return None;
        };
        let read = elements.iter().enumerate().filter_map(|(index, value)| {
            self.checked(
                format!("{path}[{index}]"),
                show.then_some(value),
                leaf(value),
            )
        });
        Some(read.collect())
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Value> {
        self.asked.push(key);
        self.reader.known.push(join(&self.path, key));
        self.table?.get(key)
    }

    fn checked<T>(
        &mut self,
        at: String,
        value: Option<&Value>,
        read: Result<T, String>,
    ) -> Option<T> {
        let given = value.map(|value| value.to_string().chars().take(SHOWN).collect());
        read.map_err(|reason| self.reader.problems.push(Problem { at, given, reason }))
            .ok()
    }
}

/// Adds what is in `defaults` and not in `value`, in its sub-tables too.
fn complete(value: &mut Value, defaults: &Table) {
    let Value::Table(table) = value else {
        return;
    };
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (Some(there), Value::Table(defaults)) => complete(there, defaults),
            (Some(_), _) => {}
            (None, default) => {
                table.insert(key.clone(), default.clone());
            }
        }
    }
}

/// The name of a value's type, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
