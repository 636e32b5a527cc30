//! The daemon's entry point; `wharfd --help` says what it does.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    wharfd::run(wharfd::cli::Cli::parse())
}
