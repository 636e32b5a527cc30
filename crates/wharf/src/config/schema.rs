//! The JSON schema of the configuration: for editors, for the table of options, and for what a
//! problem says about an option.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::ServerConfig;
use super::key::{KeyPath, Step};

/// The JSON schema (draft 2020-12) of a configuration file: every key with its type, its default
/// and what it means. `docs/sockets.schema.json` is this value.
///
/// ```
/// let schema = wharf::config::json_schema();
/// assert!(schema["properties"]["listeners"].is_object());
/// ```
pub fn json_schema() -> Value {
    schemars::schema_for!(ServerConfig).to_value()
}

/// The schema of `T` without references, so that it can be walked.
pub(super) fn tree<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of the value at `path`.
pub(super) fn at<'a>(root: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    path.0
        .iter()
        .try_fold(root, |schema, step| child(schema, step))
}

fn child<'a>(schema: &'a Value, step: &Step) -> Option<&'a Value> {
    let here = match step {
        Step::Key(key) => schema
            .get("properties")
            .and_then(|keys| keys.get(key))
            .or_else(|| {
                schema
                    .get("additionalProperties")
                    .filter(|any| any.is_object())
            }),
        Step::Index(_) => schema.get("items"),
    };
    here.or_else(|| alternatives(schema).find_map(|schema| child(schema, step)))
}

/// The schemas of which one must fit.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
}

/// The keys that a table at `schema` may have.
pub(super) fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    let here = std::iter::once(schema).chain(alternatives(schema));
    here.filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|keys| keys.keys().map(String::as_str))
}

/// The keys that a table at `schema` must have.
pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let here = std::iter::once(schema).chain(alternatives(schema));
    here.filter_map(|schema| schema.get("required")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
}

/// Every option below `schema` with its schema, in the order of their keys. A map's names are `*`.
/// A list is one option, and so is a group of keys that may be absent as a whole.
pub(super) fn leaves(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(schema, "", &mut found);
    found
}

fn collect<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    let group = schema.get("properties").filter(|_| !takes(schema, "null"));
    if let Some(keys) = group.and_then(Value::as_object) {
        for (key, schema) in keys {
            collect(schema, &below(key), found);
        }
    } else if let Some(any) = schema
        .get("additionalProperties")
        .filter(|any| any.is_object())
    {
        collect(any, &below("*"), found);
    } else {
        found.push((path.to_owned(), schema));
    }
}

/// What the option means: its doc comment as one line.
pub(super) fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a value may be of this JSON type (`"integer"`).
pub(super) fn takes(schema: &Value, kind: &str) -> bool {
    let here = match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    };
    here || alternatives(schema).any(|schema| takes(schema, kind))
}

/// What a value may be, in words: `true or false`, `duration such as "90s"`.
pub(super) fn kind(schema: &Value) -> String {
    let example = schema.get("examples").and_then(|examples| examples.get(0));
    let name = match schema.get("title") {
        Some(Value::String(title)) if example.is_some() => title.clone(),
        _ => return plain_kind(schema),
    };
    example.map_or(name.clone(), |example| format!("{name} such as {example}"))
}

fn plain_kind(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let choices: Vec<String> = match schema.get("enum").and_then(Value::as_array) {
        Some(values) => values.iter().map(Value::to_string).collect(),
        None => alternatives(schema)
            .filter(|schema| schema.get("type").is_none_or(|name| name != "null"))
            .map(kind)
            .collect(),
    };
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{key} = {}", kind(value)))
            .collect();
        return format!("{{ {} }}", keys.join(", "));
    }
    match ["boolean", "integer", "number", "string", "array"]
        .into_iter()
        .find(|kind| takes(schema, kind))
    {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match schema.get("maximum") {
            Some(most) => format!("whole number from 0 to {most}"),
            None => "whole number".to_owned(),
        },
        Some("number") => "number".to_owned(),
        Some("string") => "text".to_owned(),
        Some("array") => format!(
            "list of {}",
            schema.get("items").map_or_else(String::new, kind)
        ),
        _ => "table".to_owned(),
    }
}

#[cfg(test)]
mod tests;
