//! Tests that change the network do so in one of their own.

use std::process::Command;

/// Set within, so that the test knows where it runs.
const WITHIN: &str = "WHARF_NETWORK_OF_ITS_OWN";

/// Drops one in twenty of the UDP datagrams that arrive, and counts them.
pub(crate) const LOSES_UDP: &str = "nft add table inet loss && \
    nft 'add chain inet loss input { type filter hook input priority 0; }' && \
    nft add rule inet loss input meta l4proto udp numgen random mod 100 '<' 5 counter drop";

/// Whether this is the run of `test` within. From outside it runs the test again there, after `prepare` (commands
/// of a shell; the loopback device is up), and panics with its output unless it passed.
#[track_caller]
pub(crate) fn is_within(test: &str, prepare: &str) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        return true;
    }
    let script = format!("ip link set lo up && {prepare} && exec \"$0\" \"$@\"");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test])
        .env(WITHIN, "1")
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{told}"
    );
    false
}

/// What [`LOSES_UDP`] has dropped so far.
pub(crate) fn lost() -> u64 {
    let listed = Command::new("nft")
        .args(["list", "table", "inet", "loss"])
        .output();
    let listed = String::from_utf8(listed.expect("nft").stdout).expect("text");
    listed
        .split("counter packets ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no counter in {listed}"))
}
