//! Why a listener cannot listen.

use std::io;
use std::path::PathBuf;

use super::options::OptionError;
use crate::config::{Address, Transport};

/// What stands at a path where a Unix socket is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occupant {
    /// A file, a directory, a link: anything but a socket.
    NoSocket,
    /// A socket on which somebody answers, or that may not be asked.
    Server,
    /// Something that was put there while the socket was being made.
    Newcomer,
}

impl Occupant {
    fn text(self) -> &'static str {
        match self {
            Self::NoSocket => "something that is no socket is there; it is never removed",
            Self::Server => "another server listens there; stop it or choose another path",
            Self::Newcomer => "another process made it just now; is the server started twice?",
        }
    }
}

/// Why a listener cannot listen. Each says the key or address, the value, what is allowed and what
/// to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The kernel refuses the address.
    #[error("bind {address}: {source}{}", advice(.address, .source))]
    Address {
        /// The address.
        address: Address,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A socket option cannot be set.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The address is of a family that the transport does not use.
    #[error(
        "bind {address}: transport {:?} needs {}, but this is {}",
        .transport.label(),
        if *.is_unix { "an IP address" } else { "a path or an abstract name" },
        if *.is_unix { "a Unix socket" } else { "an IP socket" }
    )]
    Family {
        /// The address.
        address: Address,
        /// The listener's transport.
        transport: Transport,
        /// What the socket is.
        is_unix: bool,
    },
    /// The service manager passed no socket of this name.
    #[error(
        "bind systemd:{name}: no socket of this name was passed; passed are: {}. Check FileDescriptorName= of the socket unit",
        if .passed.is_empty() { "none".to_owned() } else { .passed.join(", ") }
    )]
    NotPassed {
        /// The name that was asked for.
        name: String,
        /// The names that `LISTEN_FDNAMES` holds for this process.
        passed: Vec<String>,
    },
    /// An inherited descriptor cannot be taken.
    #[error("bind {address}: descriptor {fd}: {source}")]
    Descriptor {
        /// The address.
        address: Address,
        /// The descriptor's number.
        fd: i32,
        /// Why not.
        source: io::Error,
    },
    /// What was handed over is no listening stream socket.
    #[error(
        "bind {address}: expected a listening stream socket (TCP or Unix, after listen), not {found}"
    )]
    NotListening {
        /// The address.
        address: Address,
        /// What it is instead.
        found: String,
    },
    /// What was handed over is no bound datagram socket.
    #[error("bind {address}: expected a bound datagram socket (UDP or Unix), not {found}")]
    NoDatagrams {
        /// The address.
        address: Address,
        /// What it is instead.
        found: String,
    },
    /// What was handed over is no socket for SCTP.
    #[error(
        "bind {address}: expected an SCTP socket after listen, or a bound UDP socket, not {found}"
    )]
    NoSctpSocket {
        /// The address.
        address: Address,
        /// What it is instead.
        found: String,
    },
    /// The kernel has no SCTP.
    #[error(
        "sctp.via = \"kernel\": {source}: this kernel has no SCTP (`modprobe sctp` loads it where it was built){}",
        if cfg!(feature = "sctp") {
            "; use sctp.via = \"udp\", which works on every host"
        } else {
            ", and SCTP over UDP is not built in (feature \"sctp\")"
        }
    )]
    NoSctp {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The path of a Unix socket is taken.
    #[error("bind {}: {}", .path.display(), .by.text())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// By what.
        by: Occupant,
    },
    /// A step in making a Unix socket file failed.
    #[error("bind {}: {step}: {source}", .path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// What was being done, with the key that asks for it.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The socket file is not as configured after it was made: the file system ignores permissions,
    /// or another process changed it.
    #[error(
        "bind {}: the file has mode {mode:04o}, owner {uid}, group {gid} instead of what unix.mode, unix.owner and unix.group ask for; use a file system with permissions and a directory that only the server writes to",
        .path.display()
    )]
    NotInForce {
        /// The path.
        path: PathBuf,
        /// Permissions found.
        mode: u32,
        /// Owner found.
        uid: u32,
        /// Group found.
        gid: u32,
    },
    /// A user or group is not known.
    #[error("{key} = {value:?}: expected a number or a name in {file}")]
    UnknownName {
        /// `unix.owner` or `unix.group`.
        key: &'static str,
        /// The value.
        value: String,
        /// The file that was searched.
        file: &'static str,
    },
}

/// What to do about a refused address.
fn advice(address: &Address, source: &io::Error) -> String {
    let Address::Ip(ip) = address else {
        return match source.kind() {
            io::ErrorKind::AddrInUse => ": another server listens there".to_owned(),
            _ => String::new(),
        };
    };
    match source.kind() {
        io::ErrorKind::PermissionDenied if ip.port() < 1024 => {
            ": ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd), or take a port from 1024 to 65535".to_owned()
        }
        io::ErrorKind::AddrInUse => format!(
            ": another socket listens there (`ss -ltnp 'sport = :{}'` shows whose); accept.reuse-port shares only among sockets of one user that all set it",
            ip.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            ": no interface has this address; socket.freebind = true binds it before it exists".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_address_comes_with_what_to_do() {
        let said = |address: &str, number| {
            BindError::Address {
                address: address.parse().unwrap(),
                source: io::Error::from_raw_os_error(number),
            }
            .to_string()
        };
        let low = said("0.0.0.0:80", libc::EACCES);
        assert!(low.starts_with("bind 0.0.0.0:80: ") && low.contains("CAP_NET_BIND_SERVICE"));
        assert!(!said("0.0.0.0:8080", libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(said("[::]:443", libc::EADDRINUSE).contains("sport = :443"));
        assert!(said("192.0.2.1:1", libc::EADDRNOTAVAIL).contains("socket.freebind"));
        assert!(said("@name", libc::EADDRINUSE).contains("another server"));
    }
}
