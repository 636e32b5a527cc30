//! Where the programs under test and their counterparts are found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command for `name`, a tool of one of the packages that `interop/install.sh` installs.
///
/// Panics when it is not on `PATH`.
#[must_use]
pub fn tool(name: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let program = env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: run interop/install.sh"));
    Command::new(program)
}

/// The command for the Python of the virtual environment that `interop/install.sh` makes.
///
/// Panics when it is absent.
#[must_use]
pub fn python() -> Command {
    installed("interop-venv/bin/python")
}

/// The command for the peer on usrsctp (`interop/usrsctp/peer.c`), which `interop/install.sh` builds.
///
/// Panics when it is absent.
#[must_use]
pub fn usrsctp() -> Command {
    installed("interop-usrsctp/peer")
}

/// The command for a Chromium that shows nothing, asks nobody on the network but 127.0.0.1 and localhost,
/// believes any certificate, and keeps what it keeps in the directory `profile`.
#[must_use]
pub fn chromium(profile: &Path) -> Command {
    let mut chromium = tool("chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--ignore-certificate-errors",
        "--remote-debugging-port=0",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
    ]);
    chromium.arg(format!("--user-data-dir={}", profile.display()));
    chromium
}

/// The directory with the packages of `interop/node/package.json`, which `interop/install.sh` installs.
///
/// Panics when it is absent.
#[must_use]
pub fn node_modules() -> PathBuf {
    installed_path("interop-node/node_modules")
}

/// A program below the target directory.
fn installed(path: &str) -> Command {
    Command::new(installed_path(path))
}

fn installed_path(path: &str) -> PathBuf {
    let path = target_directory().join(path);
    assert!(
        path.exists(),
        "{} is absent: run interop/install.sh",
        path.display()
    );
    path
}

/// The command for the daemon: the file named by the environment variable `WHARFD`, or the one that
/// cargo built beside this test. Panics when it is absent.
pub(crate) fn wharfd() -> Command {
    let program =
        env::var_os("WHARFD").map_or_else(|| profile_directory().join("wharfd"), PathBuf::from);
    assert!(
        program.is_file(),
        "{} is absent: run cargo build -p wharfd",
        program.display()
    );
    Command::new(program)
}

/// Cargo's target directory, which the running test was built into.
#[must_use]
pub fn target_directory() -> PathBuf {
    let profile = profile_directory();
    profile
        .parent()
        .map_or_else(|| profile.clone(), Path::to_path_buf)
}

/// `<target>/<profile>`, from the test's own path `<target>/<profile>/deps/<name>`.
fn profile_directory() -> PathBuf {
    let executable = env::current_exe().expect("the path of the running test");
    let profile = executable.ancestors().nth(2);
    profile
        .expect("cargo runs tests from <target>/<profile>/deps")
        .to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "run interop/install.sh")]
    fn a_missing_tool_names_the_command_that_installs_it() {
        let _ = tool("turnutils_of_no_package");
    }
}
