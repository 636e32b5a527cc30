//! Every example, run with `--check`, prints what its documentation says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo puts examples: beside the directory of this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    profile.join("examples")
}

#[test]
fn every_example_does_what_it_says() {
    for name in ["options_responder", "forwarder", "websocket_edge"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
        let source = fs::read_to_string(source).expect("an example");
        assert!(source.lines().count() <= 120, "{name} is too long");
        let promise = source
            .split_once("//! With `--check` it prints `")
            .expect("a promise")
            .1;
        let promise = promise.split_once("`.").expect("its end").0;
        let output = Command::new(built().join(name))
            .arg("--check")
            .output()
            .expect(name);
        let printed = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && printed.lines().any(|line| line.trim_end() == promise),
            "{name}: {}, expected {promise:?}, printed:\n{printed}{failed}",
            output.status
        );
    }
}
