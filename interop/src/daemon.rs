//! One running `wharfd`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Config, Counters, Finished, Process, target_directory, tool};

/// How long the daemon may take until it says that it is ready.
const START: Duration = Duration::from_secs(30);
/// How long an event in the daemon may take to appear in its log.
const LOG: Duration = Duration::from_secs(5);

/// A daemon that has bound all its sockets; ended when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    file: ConfigFile,
    port: u16,
    tls_port: u16,
    metrics_port: u16,
}

impl Daemon {
    /// Starts `wharfd --config` with `config` and waits for its ready line. Panics with its output
    /// when it ends or stays silent instead.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        let file = ConfigFile::new(config);
        let process = spawn(&file.path);
        process.wait_for_line(START, |line| line.contains(r#""message":"ready""#));
        Self {
            process,
            file,
            port: config.port(),
            tls_port: config.tls_port(),
            metrics_port: config.metrics_port(),
        }
    }

    /// Starts `wharfd --config` with `config` and waits for its end.
    #[must_use]
    pub fn fail_to_start(config: &Config) -> Finished {
        let file = ConfigFile::new(config);
        spawn(&file.path).finish(START)
    }

    /// Runs `wharfd` with `arguments` to its end, within 30 s.
    #[must_use]
    pub fn command(arguments: &[&str]) -> Finished {
        let mut command = tool::wharfd();
        command.args(arguments);
        Process::spawn(&command).finish(START)
    }

    /// The port of UDP and TCP it listens on, on 127.0.0.1 and ::1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of TLS and DTLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// What the daemon has counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::read(self.metrics_port)
    }

    /// Waits until the log has a line with each of `words`, in any case of letters, and returns
    /// that line. Panics with the log when none comes within 5 s.
    pub fn logged(&self, words: &[&str]) -> String {
        self.process.wait_for_line(LOG, |line| {
            let line = line.to_lowercase();
            words.iter().all(|word| line.contains(&word.to_lowercase()))
        })
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Replaces the configuration file and has the daemon read it (SIGHUP).
    pub fn reload(&self, config: &Config) {
        self.file.write(config);
        self.process.signal("HUP");
        self.logged(&["reload"]);
    }

    /// Starts the drain (SIGTERM) and waits until the daemon says so. A second call ends the daemon
    /// at once.
    pub fn drain(&self) {
        self.process.signal("TERM");
        self.logged(&["drain"]);
    }

    /// Waits until the daemon ends by itself. Panics with its log when `deadline` passes before.
    #[must_use]
    pub fn finish(self, deadline: Duration) -> Finished {
        self.process.finish(deadline)
    }
}

fn spawn(file: &Path) -> Process {
    let mut command = tool::wharfd();
    command
        .arg("--config")
        .arg(file)
        .args(["--log-format", "json", "--log-level", "info"]);
    Process::spawn(&command)
}

/// A file in the target directory, removed when dropped.
#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    fn new(config: &Config) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = target_directory().join("interop");
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let name = format!("wharfd-{}-{count}.toml", std::process::id());
        let file = Self {
            path: directory.join(name),
        };
        file.write(config);
        file
    }

    fn write(&self, config: &Config) {
        fs::write(&self.path, config.to_toml())
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // Nobody reads a file that stays, and the target directory is cleaned as a whole.
        let _ = fs::remove_file(&self.path);
    }
}
