//! aioice, a client that shares no code with coturn, reaches another aioice through two relayed
//! transport addresses.

use std::path::Path;
use std::time::Duration;

use wharf_interop::{Finished, PASSWORD, Process, Site, USER, python};

/// More than the script allows itself, so that its own message comes first.
const RUN: Duration = Duration::from_secs(50);

fn relay(site: &Site, password: &str) -> Finished {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/relay.py");
    let mut command = python();
    command
        .arg(script)
        .args(["--port", &site.daemon.port().to_string()]);
    command.args(["--user", USER, "--password", password]);
    Process::spawn(command).finish(RUN)
}

/// ICE checks and data between two allocations, both ways.
#[test]
fn two_agents_exchange_data_over_relayed_candidates() {
    let site = Site::start();
    let finished = relay(&site, PASSWORD);
    assert!(
        finished.status.success(),
        "{}\n{}",
        finished.output,
        site.daemon.log()
    );
    assert!(
        finished.output.contains("exchanged 12\n"),
        "{}",
        finished.output
    );
}

/// No relayed candidate comes out of a wrong password.
#[test]
fn a_wrong_password_yields_no_candidate() {
    let site = Site::start();
    let finished = relay(&site, "wrong horse");
    assert!(!finished.status.success(), "{}", finished.output);
    site.daemon.logged(&["127.0.0.1:", USER]);
}
