//! The library `wharf` beside bare tokio doing the same work, and beside nginx and haproxy.

mod bare;
mod compare;
mod connect;
mod datagram_serve;
mod datagrams;
mod flows;
mod idle;
mod library;
mod load;
mod options;
mod overload;
mod quic;
mod serve;
mod subject;
mod terminate;
mod unixgrams;

use std::path::Path;
use std::time::Duration;

pub(crate) use datagram_serve::run as serve_datagrams;
pub(crate) use load::run as load;
pub(crate) use options::{DatagramRole, LoadRole, ServerRole, SocketsOptions, Transport, Work};
pub(crate) use serve::{end_with_input, run as serve, until_the_end};
pub(crate) use subject::{Case, Child, Place, Subject};

use crate::Failure;
use crate::figure::Report;
use crate::process::Processors;
use crate::server::Folder;
use options::Part;

/// What every part needs.
#[derive(Debug)]
struct Bench<'a> {
    options: &'a SocketsOptions,
    processors: Processors,
    folder: Folder,
    rounds: usize,
    window: Duration,
    quick: bool,
}

impl Bench<'_> {
    fn folder(&self) -> &Path {
        &self.folder.path
    }
}

/// Runs the parts that are asked for.
pub(crate) fn run(
    report: &mut Report,
    options: &SocketsOptions,
    quick: bool,
) -> Result<(), Failure> {
    let processors = Processors::choose();
    processors
        .pin_generator()
        .map_err(|e| Failure::io(&"generator's processor", e))?;
    let (rounds, window) = if quick { (3, 60) } else { (9, 200) };
    let bench = Bench {
        options,
        processors,
        folder: Folder::create()?,
        rounds: options.rounds.map_or(rounds, usize::from),
        window: Duration::from_millis(window),
        quick,
    };
    certify(bench.folder())?;
    let parts = match &options.parts[..] {
        [] => &Part::ALL[..],
        parts => parts,
    };
    for part in parts {
        match part {
            Part::Echo => compare::echo(report, &bench)?,
            Part::Bulk => compare::bulk(report, &bench)?,
            Part::Accept => compare::accept(report, &bench)?,
            Part::Idle => idle::run(report, &bench)?,
            Part::Overload => overload::run(report, &bench)?,
            Part::Terminate => terminate::run(report, &bench)?,
            Part::Datagrams => datagrams::run(report, &bench)?,
            Part::Unixgrams => unixgrams::run(report, &bench)?,
        }
    }
    Ok(())
}

/// A certificate for `localhost`, signed by itself.
pub(crate) fn certify(folder: &Path) -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| Failure::refused("certificate", &error))?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    // haproxy wants both in one file.
    let both = format!("{cert}{key}");
    for (name, text) in [("cert.pem", &cert), ("key.pem", &key), ("both.pem", &both)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Failure::io(&path.display(), e))?;
    }
    Ok(())
}

/// As many descriptors as a process may have.
pub(crate) fn raise_descriptors() -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| Failure::io(&"descriptor limit", error.into()))
}

/// The runtime of every child: one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io(&"runtime", error))
}
