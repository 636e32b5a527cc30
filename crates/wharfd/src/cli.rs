//! The command line.

use crate::admin::Order;
use crate::config::{self, LogFormat, LogLevel};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// A TURN and STUN server.
///
/// Without --config it is a development server: it listens on loopback only, makes up a user, and
/// prints what a client needs.
#[derive(Debug, Parser)]
#[command(name = "wharfd", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// How to serve.
#[derive(Args, Debug)]
pub struct Serve {
    /// Serves what this TOML file says
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Port of the development server for UDP and TCP
    #[arg(long, default_value_t = 3478, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Port of the development server for TLS and DTLS
    #[arg(long, default_value_t = 5349, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    pub tls_port: u16,
    /// Form of the log on standard error; wins over the file [default: auto]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Least severe event logged; wins over the file [default: info]
    #[arg(long, value_enum)]
    pub log_level: Option<LogLevel>,
}

/// What to do in place of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a configuration file and the certificates that it names: prints `ok`, or every problem and ends with exit code 2
    Check {
        /// The TOML file
        file: PathBuf,
    },
    /// Makes a time-limited credential (TURN REST)
    Credentials(Credentials),
    /// Asks a running daemon, and prints what it answers: JSON, line by line
    Ask {
        /// Where it listens: its `admin.listen`
        #[arg(long, value_name = "PATH", default_value = "/run/wharfd.sock")]
        socket: String,
        /// What to ask
        #[command(subcommand)]
        order: Order,
    },
}

/// What a time-limited credential is made from.
#[derive(Args, Debug)]
pub struct Credentials {
    /// The shared secret, one of `auth.secrets`; other users of this machine can see it in the
    /// process list
    #[arg(long, value_name = "TEXT", required_unless_present = "secret_file")]
    pub secret: Option<String>,
    /// A file whose first line is the shared secret
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub secret_file: Option<PathBuf>,
    /// The name that follows the expiry in the user name
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// How long it is good for: 90s, 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = config::duration)]
    pub ttl: Duration,
    /// Adds the realm, and the keys that the password makes in it
    #[arg(long)]
    pub realm: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for wrong in [
            "wharfd --config a.toml --port 5000",
            "wharfd --config a.toml check b.toml",
            "wharfd --port 0",
            "wharfd --config a.toml --tls-port 5000",
            "wharfd ask",
            "wharfd ask close seven",
            "wharfd credentials --user alice",
            "wharfd credentials --user alice --secret s --secret-file f",
            "wharfd credentials --user alice --secret s --ttl soon",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
