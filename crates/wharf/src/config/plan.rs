//! What a change of configuration would do, told before it is done.

use std::fmt;

use serde_json::Value;

use super::problem::is_pem;
use super::{Change, ListenerConfig, OPTIONS, OptionInfo, ServerConfig};

const LISTENER: &str = "listeners.*.";

/// One option whose value changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The listener; `None` for an option of the server.
    pub listener: Option<String>,
    /// The option's key path, below the listener if there is one (`limits.max-connections`).
    pub key: &'static str,
    /// The present value as JSON, `null` where there is none; inline PEM is not shown.
    pub from: String,
    /// The new value, in the same way.
    pub to: String,
    /// What the change needs.
    pub how: Change,
}

/// What going from one configuration to another takes.
///
/// Its text is a table, one line for each listener that comes or goes and for each option that
/// changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Options that change: the server's first, then by listener.
    pub changes: Vec<PlannedChange>,
    /// Listeners that are new, by name.
    pub added: Vec<String>,
    /// Listeners that are gone, by name.
    pub removed: Vec<String>,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    /// The most that any change of this listener's options needs; `None` when none changes.
    pub fn needs(&self, listener: &str) -> Option<Change> {
        let changes = self.changes.iter();
        let own = changes.filter(|change| change.listener.as_deref() == Some(listener));
        own.map(|change| change.how).max()
    }
}

/// Compares two configurations option by option.
///
/// ```
/// use wharf::config::{Change, ServerConfig, plan};
///
/// let read = |text| ServerConfig::from_toml(text).unwrap();
/// let old = read("[listeners.echo]\nbind = ['127.0.0.1:7000']");
/// let new = read("[listeners.echo]\nbind = ['127.0.0.1:7001']\nlimits.per-prefix = 9");
/// let plan = plan(&old, &new);
/// assert_eq!(plan.needs("echo"), Some(Change::Rebind));
/// assert!(plan.to_string().contains("limits.per-prefix"));
/// ```
pub fn plan(old: &ServerConfig, new: &ServerConfig) -> Plan {
    let (from, to) = (value(old), value(new));
    let server = OPTIONS
        .iter()
        .filter(|option| !option.key.starts_with(LISTENER));
    let mut changes: Vec<PlannedChange> = server
        .filter_map(|option| compare(None, option, option.key, &from, &to))
        .collect();
    let mut removed = Vec::new();
    for (name, old) in &old.listeners {
        match new.listeners.get(name) {
            Some(new) => changes.extend(listener(name, old, new)),
            None => removed.push(name.clone()),
        }
    }
    let added = new
        .listeners
        .keys()
        .filter(|name| !old.listeners.contains_key(*name));
    Plan {
        changes,
        added: added.cloned().collect(),
        removed,
    }
}

fn listener(name: &str, old: &ListenerConfig, new: &ListenerConfig) -> Vec<PlannedChange> {
    let (from, to) = (value(old), value(new));
    let compared = OPTIONS.iter().filter_map(|option| {
        let key = option.key.strip_prefix(LISTENER)?;
        compare(Some(name), option, key, &from, &to)
    });
    compared.collect()
}

/// Configurations consist of what JSON has.
fn value(config: &impl serde::Serialize) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

fn compare(
    listener: Option<&str>,
    option: &OptionInfo,
    key: &'static str,
    from: &Value,
    to: &Value,
) -> Option<PlannedChange> {
    let pointer = format!("/{}", key.replace('.', "/"));
    let (from, to) = (from.pointer(&pointer), to.pointer(&pointer));
    (from != to).then(|| PlannedChange {
        listener: listener.map(str::to_owned),
        key,
        from: shown(from),
        to: shown(to),
        how: option.change,
    })
}

/// The value as JSON, without the text of certificates and keys.
fn shown(value: Option<&Value>) -> String {
    let mut value = value.cloned().unwrap_or_default();
    mask(&mut value);
    value.to_string()
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(keys) => {
            for (key, value) in keys {
                if key == "pem" {
                    *value = "(not shown)".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::String(text) if is_pem(text) => "(not shown)".clone_into(text),
        _ => {}
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        let mut rows: Vec<(String, String, String)> = Vec::new();
        for name in &self.removed {
            rows.push(("remove".into(), name.clone(), String::new()));
        }
        for name in &self.added {
            rows.push(("add".into(), name.clone(), String::new()));
        }
        for change in &self.changes {
            let key = match &change.listener {
                Some(name) => format!("{name}.{}", change.key),
                None => change.key.to_owned(),
            };
            rows.push((
                change.how.to_string(),
                key,
                format!("{} -> {}", change.from, change.to),
            ));
        }
        let width = rows
            .iter()
            .map(|row| row.1.chars().count())
            .max()
            .unwrap_or(0);
        for (index, (how, key, values)) in rows.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let line = format!("{how:7}  {key:width$}  {values}");
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
