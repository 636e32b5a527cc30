//! What `sip` can measure, and the role of its child.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::sockets::Transport;

/// Which measurements of the SIP transport layer.
#[derive(Debug, Clone, Args)]
pub(crate) struct SipOptions {
    /// What to measure [default: everything].
    #[arg(value_enum)]
    pub(crate) parts: Vec<Part>,
    /// Turns of each server [default: 9, with --quick 3].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: Option<u16>,
    /// The server on rvoip-sip-transport, built in `bench/rvoip`; without it the comparison is left out.
    #[arg(long, default_value = "bench/rvoip/target/release/rvoip-answers")]
    pub(crate) rvoip: PathBuf,
}

/// A measurement of the SIP transport layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Finding in a message what a transport needs.
    Scan,
    /// OPTIONS answered over UDP, beside kamailio and rvoip-sip-transport.
    Udp,
    /// OPTIONS answered over TCP, beside the same.
    Tcp,
    /// OPTIONS forwarded over UDP, beside kamailio.
    Forward,
    /// Memory of connections that wait.
    Idle,
    /// Thousands of connections that are silent, slow or malicious.
    Hostile,
}

impl Part {
    /// In the order in which they are taken.
    pub(crate) const ALL: [Self; 6] = [
        Self::Scan,
        Self::Udp,
        Self::Tcp,
        Self::Forward,
        Self::Idle,
        Self::Hostile,
    ];
}

/// A server child on `wharf-sip-transport`.
#[derive(Debug, Args)]
pub(crate) struct SipRole {
    /// Over what; without it, over UDP.
    #[arg(long, value_enum)]
    pub(crate) stream: Option<Transport>,
    /// Where requests are forwarded to; without it, they are answered.
    #[arg(long)]
    pub(crate) next: Option<SocketAddr>,
    /// Seconds until a message has to be there; without it, the defaults.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// The folder with `cert.pem` and `key.pem`.
    #[arg(long)]
    pub(crate) folder: PathBuf,
}
