//! SCTP of the kernel, which the kernels of containers lack: with Debian's in a virtual machine.
//!
//! The one test that is not ignored runs this very program there, with the others. On a host whose kernel has SCTP
//! they run with `--ignored` as well.

mod association;
mod client;
mod handover;
mod listener;
mod peers;

use std::process::Command;
use std::time::Duration;

use wharf_interop::{Process, target_directory};

/// Programs that the tests run in the machine.
const PROGRAMS: [&str; 4] = ["setpriv", "socat", "sctp_darn", "sctp_test"];

#[test]
fn in_a_virtual_machine() {
    let mut command = Command::new("env");
    command.arg(format!("CARGO_TARGET_DIR={}", target_directory().display()));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/vm/run.sh"));
    command.args(["-t", "110"]);
    command.args(PROGRAMS.map(|program| ["-p", program]).concat());
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["kernel_sctp::", "--ignored", "--test-threads=1"]);
    let machine = Process::spawn(&command).finish(Duration::from_mins(2));
    assert!(machine.status.success(), "{}", machine.output);
    let passed = machine.output.matches(" ... ok").count();
    let all = machine.output.matches("test kernel_sctp::").count();
    assert!(passed > 0 && passed == all, "{}", machine.output);
}
