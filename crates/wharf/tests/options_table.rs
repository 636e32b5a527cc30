//! The generated documents of the configuration are up to date. With `WHARF_WRITE_DOCS=1` the tests
//! write them (`make options`).

use std::fs;
use std::path::{Path, PathBuf};

use wharf::config::{json_schema, options_markdown};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

/// The committed document is this text.
fn up_to_date(name: &str, text: &str) {
    let path = docs(name);
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        fs::write(&path, text).expect("docs can be written");
    }
    let committed = fs::read_to_string(&path).expect("the document is committed");
    assert!(
        committed == text,
        "docs/{name} is not up to date: run `make options`"
    );
}

#[test]
fn the_table_of_options_is_up_to_date() {
    up_to_date("sockets-options.md", &options_markdown());
}

#[test]
fn the_json_schema_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&json_schema()).expect("a schema is JSON");
    text.push('\n');
    up_to_date("sockets.schema.json", &text);
}
