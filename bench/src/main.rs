//! Measures Wharf beside its peers and beside the floor that the kernel sets.
//!
//! This is a program, not a library: `wharf-bench codec` takes the wire format, `core` the TURN
//! state machine without sockets, `relay` whole servers over loopback, `sockets` the library beside bare
//! tokio, `sip` its SIP transport layer beside others, `all` the first three. Each figure is printed as `figure NAME VALUE UNIT`; `bench/README.md` says what each one is and how
//! it is taken. No figure decides a test, and nothing here is needed to run a server.

// The generator owns sockets and a clock; only the pure crates take time as an argument.
#![allow(clippy::disallowed_methods)]

mod cli;
mod client;
mod codec;
mod figure;
mod flood;
mod floor;
mod footprint;
mod goals;
mod histogram;
mod load;
mod machine;
mod payload;
mod process;
mod relay;
mod series;
mod server;
mod sip;
mod sockets;

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::figure::Report;

/// Why a measurement ended without its figures. Sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A server under test did not start or did not answer.
    #[error("{server}: {detail}")]
    Server {
        /// Its name in the figures.
        server: &'static str,
        /// What went wrong and, where known, what to do.
        detail: String,
    },
    /// The library under test refused what the measurement needs.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// A refusal of the system, with what was tried.
    pub(crate) fn io(what: &dyn Display, source: io::Error) -> Self {
        Self::Io {
            what: what.to_string(),
            source,
        }
    }

    /// A refusal of the library under test.
    pub(crate) fn refused(what: &str, error: &dyn Display) -> Self {
        Self::Refused(format!("{what}: {error}"))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("wharf-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let mut report = Report::default();
    match &cli.command {
        Command::Codec => codec::run(&mut report, cli.quick)?,
        Command::Core => machine::run(&mut report, cli.quick)?,
        Command::Relay(options) => relay::run(&mut report, options, cli.quick)?,
        Command::Sockets(options) => sockets::run(&mut report, options, cli.quick)?,
        Command::Sip(options) => sip::run(&mut report, options, cli.quick)?,
        Command::All(options) => {
            codec::run(&mut report, cli.quick)?;
            machine::run(&mut report, cli.quick)?;
            relay::run(&mut report, options, cli.quick)?;
        }
        Command::Floor => return floor::run(),
        Command::SocketServer(role) => return sockets::serve(role),
        Command::DatagramServer(role) => return sockets::serve_datagrams(role),
        Command::SocketLoad(role) => return sockets::load(role),
        Command::SipServer(role) => return sip::serve(role),
    }
    goals::print(&report);
    Ok(())
}
