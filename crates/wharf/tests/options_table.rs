//! The generated documents of the configuration are up to date. With `WHARF_WRITE_DOCS=1` the tests
//! write them (`make options`). The tests that they name are there.

use std::fs;
use std::path::{Path, PathBuf};

use wharf::config::{OPTIONS, json_schema, options_markdown};

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

/// Whether the text of a test file has a test of this name.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).any(|pair| {
        let is_test = pair[0] == "#[test]" || pair[0].starts_with("#[tokio::test");
        let begins = |prefix| pair[1].starts_with(&format!("{prefix}fn {name}()"));
        is_test && (begins("") || begins("async "))
    })
}

#[test]
fn the_test_of_each_option_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let missing = OPTIONS.iter().map(wharf::config::OptionInfo::test);
    let missing: Vec<String> = missing
        .filter(|test| {
            let (file, name) = test.split_once("::").expect("FILE::FUNCTION");
            let text = fs::read_to_string(tests.join(file)).unwrap_or_default();
            !has_test(&text, name)
        })
        .collect();
    assert_eq!(missing, [""; 0], "no test is there for these options");
}
