//! The table of all options for the handbook, from the structs, their comments and defaults.

use std::fmt::Write;

use serde_json::Value;

use super::{OPTIONS, OptionInfo};
use crate::config::key::{KeyPath, Step};
use crate::config::{ListenerConfig, ServerConfig, schema};

const HEAD: &str = "# Options of a socket server

This page is generated from the configuration structs: `make options` writes it, and a test fails
when it is not up to date. A key path reads as in TOML; `NAME` is the name of a listener. A change
is *live* (running listeners take it), or needs a *rebind* (the listener's sockets are made anew,
the old ones stay until the new ones are bound); connections stay in both cases. The test, below
`crates/wharf/tests`, fails when the option is ignored.
";

/// The handbook's page of all options as Markdown: key, type, default, meaning, what a change needs
/// and the test of each. `docs/sockets-options.md` is this text.
pub fn options_markdown() -> String {
    let tree = schema::tree::<ServerConfig>();
    let mut page = HEAD.to_owned();
    let mut section = "";
    for option in OPTIONS {
        let (heading, _) = option.key.rsplit_once('.').unwrap_or(("", option.key));
        if heading != section {
            section = heading;
            let heading = heading.replace('*', "NAME");
            let columns =
                "| key | type | default | meaning | change | test |\n|---|---|---|---|---|---|";
            // Writing to a string cannot fail.
            let _ = writeln!(page, "\n## `{heading}`\n\n{columns}");
        }
        let _ = writeln!(page, "{}", row(option, &tree));
    }
    page
}

fn row(option: &OptionInfo, tree: &Value) -> String {
    let steps = option.key.split('.').map(|key| Step::Key(key.to_owned()));
    let schema = schema::at(tree, &KeyPath(steps.collect())).unwrap_or(&Value::Null);
    let cells = [
        format!("`{}`", option.key.replace('*', "NAME")),
        schema::kind(schema),
        default(option.key),
        schema::description(schema),
        option.change.to_string(),
        format!("`{}`", option.test()),
    ];
    format!(
        "| {} |",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )
}

/// The default as one would write it.
fn default(key: &str) -> String {
    let (config, key) = match key.strip_prefix("listeners.*.") {
        Some(key) => (serde_json::to_value(ListenerConfig::default()), key),
        None => (serde_json::to_value(ServerConfig::default()), key),
    };
    let value = config.ok();
    match value
        .as_ref()
        .and_then(|value| value.pointer(&format!("/{}", key.replace('.', "/"))))
    {
        None | Some(Value::Null) => "none".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}
