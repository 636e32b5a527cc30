//! What `sockets` can measure, and the roles of its children.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which measurements of the library, over what.
#[derive(Debug, Clone, Args)]
pub(crate) struct SocketsOptions {
    /// What to measure [default: everything].
    #[arg(value_enum)]
    pub(crate) parts: Vec<Part>,
    /// Transports.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Transport::ALL)]
    pub(crate) transports: Vec<Transport>,
    /// Connections at once, in `echo`.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000, 10_000],
          value_parser = clap::value_parser!(u32).range(1..=16_000))]
    pub(crate) connections: Vec<u32>,
    /// Bytes of a request and of its answer, in `echo`.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1024, 16_384],
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) sizes: Vec<u32>,
    /// Turns of each server [default: 9, with --quick 3].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: Option<u16>,
}

/// A measurement of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Requests and answers.
    Echo,
    /// A stream of a mebibyte each way.
    Bulk,
    /// Memory of connections that wait.
    Idle,
    /// Connections that come and go.
    Accept,
    /// Ten times more connections than the server has time for.
    Overload,
    /// In front of an echo server, beside nginx and haproxy.
    Terminate,
    /// Datagrams there and back, in batches.
    Datagrams,
    /// Datagrams of Unix sockets there and back.
    Unixgrams,
}

impl Part {
    /// In the order in which they are taken.
    pub(crate) const ALL: [Self; 8] = [
        Self::Echo,
        Self::Bulk,
        Self::Idle,
        Self::Accept,
        Self::Overload,
        Self::Terminate,
        Self::Datagrams,
        Self::Unixgrams,
    ];
}

/// What connections are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// TCP on loopback.
    Tcp,
    /// A Unix stream socket.
    Unix,
    /// TLS 1.3 over TCP, AES-128-GCM or as the peers agree.
    Tls,
    /// WebSocket messages over TCP.
    Ws,
    /// One bidirectional stream on each QUIC connection.
    Quic,
}

impl Transport {
    /// All, in the order in which they are taken.
    pub(crate) const ALL: [Self; 5] = [Self::Tcp, Self::Unix, Self::Tls, Self::Ws, Self::Quic];

    /// Its word in the names of figures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Quic => "quic",
        }
    }
}

/// Who accepts and serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Tokio, tokio-rustls, tokio-websockets, quinn and nothing else.
    Bare,
    /// The library.
    Wharf,
}

impl Side {
    /// Its word in the names of figures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Wharf => "wharf",
        }
    }
}

/// What is done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// What comes is sent back.
    Echo,
    /// The same, a mebibyte at a time.
    Bulk,
    /// The server closes it at once; Wharf has every stage of admission on.
    Accept,
    /// One request, half a millisecond of work, one answer; Wharf takes 64 at once.
    Overload,
    /// Handed on to an echo server.
    Terminate,
    /// An OPTIONS of SIP is answered.
    Sip,
}

impl Work {
    /// Its word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Bulk => "bulk",
            Self::Accept => "accept",
            Self::Overload => "overload",
            Self::Terminate => "terminate",
            Self::Sip => "sip",
        }
    }
}

/// A server child.
#[derive(Debug, Args)]
pub(crate) struct ServerRole {
    /// Who serves.
    #[arg(long, value_enum)]
    pub(crate) side: Side,
    /// Over what.
    #[arg(long, value_enum)]
    pub(crate) transport: Transport,
    /// What it does.
    #[arg(long, value_enum)]
    pub(crate) work: Work,
    /// The folder with `cert.pem` and `key.pem`, where a Unix socket is made.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Bytes that a handler reads at once.
    #[arg(long)]
    pub(crate) buffer: usize,
    /// The echo server behind it, for `terminate`.
    #[arg(long)]
    pub(crate) upstream: Option<String>,
}

/// Who sends datagrams back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatagramSide {
    /// A loop on the batched system calls that does nothing else.
    Floor,
    /// A batch handler of the library.
    Wharf,
    /// Tokio, one datagram at a time.
    Tokio,
    /// A handler of single datagrams of the library, on a Unix socket.
    UnixWharf,
    /// Tokio on a Unix socket.
    UnixTokio,
    /// Flows of the library, with half a millisecond of work for each datagram.
    OverloadUdp,
    /// Sessions of the library, with the same work.
    OverloadDtls,
}

impl DatagramSide {
    /// Its word in the names of figures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Wharf => "wharf",
            Self::Tokio => "tokio",
            Self::UnixWharf => "unix-wharf",
            Self::UnixTokio => "unix-tokio",
            Self::OverloadUdp => "overload-udp",
            Self::OverloadDtls => "overload-dtls",
        }
    }
}

/// A server of datagrams.
#[derive(Debug, Args)]
pub(crate) struct DatagramRole {
    /// Who serves.
    #[arg(long, value_enum)]
    pub(crate) side: DatagramSide,
    /// Where a Unix socket is made.
    #[arg(long)]
    pub(crate) folder: PathBuf,
}

/// A load child.
#[derive(Debug, Args)]
pub(crate) struct LoadRole {
    /// Over what.
    #[arg(long, value_enum)]
    pub(crate) transport: Transport,
    /// What it asks for.
    #[arg(long, value_enum)]
    pub(crate) work: Work,
    /// Where the server is.
    #[arg(long)]
    pub(crate) address: String,
    /// The folder with `cert.pem`.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Connections at once.
    #[arg(long)]
    pub(crate) connections: usize,
    /// Bytes of a request.
    #[arg(long)]
    pub(crate) size: usize,
}
