//! What the fuzz targets run. The bodies stand in `targets` and the driver of the core in the tests of
//! `wharf-turn`, which replay the corpora with the same code on a stable compiler.

#[allow(dead_code, reason = "the tests use what the targets do not")]
#[path = "../../crates/wharf-turn/tests/core/support/mod.rs"]
mod support;
mod targets;

/// Runs the target of this name; panics when it finds a defect.
pub fn run(name: &str, data: &[u8]) {
    let found = targets::ALL.iter().find(|(target, _)| *target == name);
    found.expect("a target of this name").1(data);
}
