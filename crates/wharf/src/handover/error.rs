//! Why a handover fails.

use std::io;
use std::time::Duration;

/// Why the sockets of another process are not taken or given. The process that has them goes on as
/// before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// A system call failed, or the other process hung up.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer; `UnexpectedEof` when the other process hung up.
        source: io::Error,
    },
    /// The other process runs as a user who is neither this process's own nor root.
    #[error(
        "the other process runs as user {uid}; sockets change hands only with one's own user and root"
    )]
    Stranger {
        /// Its user.
        uid: u32,
    },
    /// What the other process said is no message of this protocol, or not one that is due.
    #[error("the other process is not understood: {0}")]
    Garbage(String),
    /// The other process gives no sockets.
    #[error("the other process refuses: {0}")]
    Refused(String),
    /// The other process did not answer in time.
    #[error("no {awaited} within {} s", .limit.as_secs())]
    Late {
        /// What was waited for.
        awaited: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// More than 4,096 sockets, or names too long for a message of 256 KiB.
    #[error("more than 4096 sockets, or listeners with names of more than a thousand bytes")]
    TooMuch,
    /// The server that was to give its sockets stops, or has other ones by now.
    #[error("{0}")]
    Overtaken(&'static str),
    /// The other process has ended meanwhile and taken its socket files with it.
    #[error("the other process ended and removed its socket file {0}")]
    Withdrawn(String),
}
