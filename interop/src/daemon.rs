//! One running `wharfd`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Config, Finished, Process, target_directory, tool};

/// How long the daemon may take until it says that it is ready.
const START: Duration = Duration::from_secs(30);
/// How long an event in the daemon may take to appear in its log.
const LOG: Duration = Duration::from_secs(5);

/// A daemon that has bound all its sockets; ended when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    file: PathBuf,
    port: u16,
}

impl Daemon {
    /// Starts `wharfd --config` with `config` and waits for its ready line. Panics with its output
    /// when it ends or stays silent instead.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        let file = write(config);
        let mut command = tool::wharfd();
        command
            .arg("--config")
            .arg(&file)
            .args(["--log-format", "json", "--log-level", "info"]);
        let process = Process::spawn(command);
        process.wait_for_line(START, |line| line.contains(r#""message":"ready""#));
        Self {
            process,
            file,
            port: config.port(),
        }
    }

    /// The UDP port it listens on, on 127.0.0.1 and ::1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the log has a line with each of `words` and returns that line. Panics with the
    /// log when none comes.
    pub fn logged(&self, words: &[&str]) -> String {
        self.process
            .wait_for_line(LOG, |line| words.iter().all(|word| line.contains(word)))
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Sends the signal named `signal` (`TERM`, `HUP`, …) to the daemon.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Runs `wharfd` with `arguments` to its end, within 30 s.
    #[must_use]
    pub fn command(arguments: &[&str]) -> Finished {
        let mut command: Command = tool::wharfd();
        command.args(arguments);
        Process::spawn(command).finish(START)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Cargo's target directory is cleaned as a whole; a file that stays harms nobody.
        let _ = fs::remove_file(&self.file);
    }
}

/// Writes `config` to a file of its own in the target directory.
fn write(config: &Config) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = target_directory().join("interop");
    let file = directory.join(format!("wharfd-{}-{count}.toml", std::process::id()));
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, config.to_toml()))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file
}
