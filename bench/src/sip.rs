//! The SIP transport layer beside kamailio's core and rvoip-sip-transport.

mod attack;
mod compare;
mod datagrams;
mod flows;
mod hostile;
mod idle;
mod message;
mod options;
mod peers;
mod scan;
mod serve;
mod streams;

use std::time::Duration;

pub(crate) use message::exchange;
pub(crate) use options::{SipOptions, SipRole};
pub(crate) use serve::run as serve;

use crate::Failure;
use crate::figure::Report;
use crate::process::Processors;
use crate::server::Folder;
use crate::sockets::{certify, raise_descriptors};
use options::Part;

/// What every part needs.
#[derive(Debug)]
struct Bench<'a> {
    options: &'a SipOptions,
    processors: Processors,
    folder: Folder,
    rounds: usize,
    window: Duration,
    quick: bool,
}

/// Runs the parts that are asked for.
pub(crate) fn run(report: &mut Report, options: &SipOptions, quick: bool) -> Result<(), Failure> {
    raise_descriptors()?;
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
    certify(&bench.folder.path)?;
    let parts = match &options.parts[..] {
        [] => &Part::ALL[..],
        parts => parts,
    };
    for part in parts {
        match part {
            Part::Scan => scan::run(report, &bench)?,
            Part::Udp => compare::udp(report, &bench)?,
            Part::Tcp => compare::tcp(report, &bench)?,
            Part::Forward => compare::forward(report, &bench)?,
            Part::Idle => idle::run(report, &bench)?,
            Part::Hostile => hostile::run(report, &bench)?,
        }
    }
    Ok(())
}
