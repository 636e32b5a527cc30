//! aioice, a TURN client that shares no code with coturn, through scripts in `python/`.

use std::path::Path;
use std::time::Duration;

use wharf_interop::{Finished, PASSWORD, Process, Site, USER, python};

/// More than the scripts allow themselves, so that their own message comes first.
const RUN: Duration = Duration::from_secs(50);

/// Runs `script` against the daemon as its static user.
fn run(script: &str, site: &Site, password: &str, arguments: &[&str]) -> Finished {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = python();
    command
        .arg(directory.join(script))
        .args(["--port", &site.daemon.port().to_string()]);
    command
        .args(["--user", USER, "--password", password])
        .args(arguments);
    Process::spawn(&command).finish(RUN)
}

fn assert_printed(finished: &Finished, line: &str, site: &Site) {
    let log = site.daemon.log();
    assert!(finished.status.success(), "{}\n{log}", finished.output);
    assert!(finished.output.contains(line), "{}\n{log}", finished.output);
}

/// Two agents that may use only relayed candidates: ICE checks and data between two allocations,
/// both ways.
#[test]
fn two_agents_exchange_data_over_relayed_candidates() {
    let site = Site::start();
    let finished = run("relay.py", &site, PASSWORD, &[]);
    assert_printed(&finished, "exchanged 12\n", &site);
}

/// No relayed candidate comes out of a wrong password.
#[test]
fn a_wrong_password_yields_no_candidate() {
    let site = Site::start();
    let finished = run("relay.py", &site, "wrong horse", &[]);
    assert!(!finished.status.success(), "{}", finished.output);
    site.daemon.logged(&["127.0.0.1:", USER]);
}

/// ADDITIONAL-ADDRESS-FAMILY: both families in one allocation, then one of them given up
/// (RFC 8656 sections 7.2 and 8.2).
#[test]
fn dual_allocation() {
    let site = Site::start();
    let peer = site.peer.port().to_string();
    let finished = run("dual.py", &site, PASSWORD, &["--peer", &peer]);
    assert_printed(&finished, "relayed 4 + 6\n", &site);
}
