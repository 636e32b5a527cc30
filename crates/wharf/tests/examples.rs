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

/// What the example promises: ``With `--check` it prints `…`.`` in its documentation.
fn promise(source: &Path) -> String {
    let text = fs::read_to_string(source).expect("an example");
    let (_, promise) = text
        .split_once("//! With `--check` it prints `")
        .unwrap_or_else(|| panic!("{}: no word of what --check prints", source.display()));
    let (promise, _) = promise.split_once("`.").expect("the end of the promise");
    promise.to_owned()
}

#[test]
fn every_example_does_what_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut sources: Vec<_> = fs::read_dir(directory)
        .expect("the examples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    sources.sort();
    assert!(sources.len() >= 12, "{sources:?}");
    for source in sources {
        let promise = promise(&source);
        let lines = fs::read_to_string(&source)
            .expect("an example")
            .lines()
            .count();
        assert!(lines <= 100, "{}: {lines} lines", source.display());
        let program = built().join(source.file_stem().expect("a name"));
        let output = Command::new(&program)
            .arg("--check")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let printed = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && printed.lines().any(|line| line.contains(&promise)),
            "{}: {}, expected {promise:?}, printed:\n{printed}{failed}",
            program.display(),
            output.status,
        );
    }
}
