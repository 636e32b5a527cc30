//! The other end: a subcommand that asks a running daemon.

use super::Order;
use crate::problem::Problem;
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

/// Asks the daemon whose `admin.listen` is `socket`, and copies its answer to `out`. True when it
/// is not an error.
pub(crate) fn ask(socket: &str, order: &Order, out: &mut impl Write) -> Result<bool, Problem> {
    let failed = |error: io::Error| Problem {
        at: "--socket".to_owned(),
        given: Some(socket.to_owned()),
        reason: format!("{error}; is a daemon running, with this address at admin.listen?"),
    };
    let mut stream = connect(socket).map_err(failed)?;
    writeln!(stream, "{order}").map_err(failed)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(failed)?;
        // Whoever closed the output does not want it.
        let _ = writeln!(out, "{line}");
        let answer: Value = serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
        if answer.get("error").is_some() {
            return Ok(false);
        }
        if answer.get("ok").is_some() {
            return Ok(true);
        }
    }
    Err(failed(io::ErrorKind::UnexpectedEof.into()))
}

fn connect(socket: &str) -> io::Result<UnixStream> {
    match socket.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => UnixStream::connect(socket),
    }
}
