//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::errno;

/// The process that connected a Unix stream socket, as it was when it connected (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; `None` when the process is in a PID namespace that is not visible from here. The
    /// number may belong to another process by now: for logs, not for decisions.
    pub pid: Option<u32>,
}

/// Asks the kernel for a peer's credentials. An error for a socket that is not connected or is not
/// a Unix one.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    // A socket that has no peer leaves the ids at their "none".
    let mut found = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of_val(&found) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `found`, and all its
    // bit patterns are values.
    errno::check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    })?;
    if found.uid == u32::MAX {
        return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
    }
    Ok(PeerCredentials {
        uid: found.uid,
        gid: found.gid,
        pid: u32::try_from(found.pid).ok().filter(|&pid| pid != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = peer_credentials(&one).unwrap();
        assert_eq!(peer.pid, Some(std::process::id()));
        // SAFETY: the calls take nothing.
        let own = unsafe { (libc::geteuid(), libc::getegid()) };
        assert_eq!((peer.uid, peer.gid), own);
    }

    #[test]
    fn a_tcp_socket_has_no_credentials() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = peer_credentials(&socket).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    }
}
