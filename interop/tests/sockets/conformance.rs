//! The Autobahn test suite, which knows hundreds of ways to speak WebSocket badly.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use wharf::Ws;
use wharf_interop::{Process, target_directory};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::served::{Served, echo};

/// How long the whole suite may take.
const SUITE: Duration = Duration::from_mins(5);
/// Cases that it has, without those of compression.
const CASES: usize = 301;

/// The command for `wstest`, which `interop/autobahn.sh` installs.
fn wstest() -> Command {
    let prefix = target_directory().join("autobahn");
    let python = prefix.join("root/usr/bin/python2.7");
    assert!(
        python.exists(),
        "{} is absent: run interop/install.sh",
        python.display()
    );
    let libraries = prefix.join(format!("root/usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let mut command = Command::new("env");
    command.arg(format!("LD_LIBRARY_PATH={}", libraries.display()));
    command.arg(format!("PYTHONPATH={}", prefix.join("site").display()));
    command
        .arg(python)
        .args(["-W", "ignore", "-m", "autobahntestsuite.wstest"]);
    command
}

/// Each case but those of compression (12, 13), which the library does not offer.
#[test]
fn every_case_passes() {
    let served = Served::start(|builder, _| {
        let listen = Ws::bind("127.0.0.1:0").with(|config| {
            config.websocket.max_frame = 16 << 20;
            config.websocket.max_message = 16 << 20;
        });
        builder.listen_messages("it", listen, echo)
    });
    let directory = TempDir::new().expect("a directory");
    let reports = directory.path().join("reports");
    let plan = serde_json::json!({
        "outdir": reports,
        "servers": [{ "agent": "wharf", "url": format!("ws://{}", served.address()) }],
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    let file = directory.path().join("plan.json");
    fs::write(&file, plan.to_string()).expect("a file");
    let suite = Process::spawn(wstest().args(["-m", "fuzzingclient", "-s"]).arg(file));
    let suite = suite.finish(SUITE);
    assert!(suite.status.success(), "{}", suite.output);

    let index = fs::read(reports.join("index.json")).expect("a report");
    let index: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(&index).expect("JSON");
    let cases = &index["wharf"];
    let failed: Vec<_> = cases
        .iter()
        .filter(|(_, case)| {
            let good = |key: &str| {
                let said = case[key].as_str().unwrap_or_default();
                ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&said)
            };
            !good("behavior") || !good("behaviorClose")
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(cases.len(), CASES);
    let stats = served.finish();
    assert!(stats.accepted as usize >= CASES, "{stats:?}");
}
