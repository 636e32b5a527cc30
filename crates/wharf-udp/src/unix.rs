//! Receiving from a Unix datagram socket: the payload, its sender and the sender's credentials.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use crate::control::{self, Control};
use crate::errno;
use crate::peer::PeerCredentials;

/// Where the path or name begins in `sockaddr_un`.
const NAME_AT: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// A datagram that [`receive_unix`] has taken.
#[derive(Debug, Clone)]
pub struct ReceivedUnix {
    /// Bytes of it in the buffer.
    pub length: usize,
    /// Whether it was longer than the buffer: the rest is lost.
    pub truncated: bool,
    /// The sender's address; `None` for a sender without a name, who cannot be answered.
    pub from: Option<SocketAddr>,
    /// The process that sent it, with [`pass_credentials`].
    pub credentials: Option<PeerCredentials>,
}

/// Has the kernel tell who sends each datagram (`SO_PASSCRED`).
pub fn pass_credentials(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads the bytes of `on`, which outlives the call.
    errno::check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Takes the next datagram into `buffer`. Does not wait: `WouldBlock` when there is none.
pub fn receive_unix(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<ReceivedUnix> {
    // SAFETY: `sockaddr_un` and `msghdr` are integers and pointers, for which zero is a value.
    let (mut name, mut header): (libc::sockaddr_un, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut control = Control::EMPTY;
    let mut iovec = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    header.msg_name = (&raw mut name).cast();
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    let length = loop {
        header.msg_namelen = size_of_val(&name) as libc::socklen_t;
        header.msg_controllen = Control::SIZE as _;
        // Descriptors that a sender encloses are closed with the message: none is asked for.
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header describes `name`, `buffer` and `control`, which outlive the call and
        // are not used otherwise meanwhile.
        let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        match usize::try_from(received) {
            Ok(length) => break length.min(buffer.len()),
            Err(_) if errno::last() == libc::EINTR => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    };
    let named = (header.msg_namelen as usize)
        .saturating_sub(NAME_AT)
        .min(name.sun_path.len());
    let path = name.sun_path.map(c_char_to_byte);
    let mut received = ReceivedUnix {
        length,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        from: address(&path[..named]),
        credentials: None,
    };
    // SAFETY: the kernel has just filled `control` as the header says.
    unsafe {
        control::read(&header, |level, kind, data| match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => received.credentials = credentials(data),
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => close(data),
            _ => {}
        });
    }
    Ok(received)
}

fn c_char_to_byte(character: libc::c_char) -> u8 {
    character.to_ne_bytes()[0]
}

/// The name of a sender: a path, or what follows the zero of an abstract name (`unix(7)`).
fn address(name: &[u8]) -> Option<SocketAddr> {
    match name {
        [] => None,
        [0, name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        path => {
            let end = path.iter().position(|&byte| byte == 0);
            let path = &path[..end.unwrap_or(path.len())];
            SocketAddr::from_pathname(OsStr::from_bytes(path)).ok()
        }
    }
}

/// Reads `struct ucred`.
fn credentials(data: &[u8]) -> Option<PeerCredentials> {
    let number = |at: usize| {
        let bytes = data.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    Some(PeerCredentials {
        uid: number(4)?,
        gid: number(8)?,
        pid: number(0).filter(|&pid| pid != 0),
    })
}

/// Closes the descriptors of an `SCM_RIGHTS` message: a sender must not fill this process's table.
fn close(data: &[u8]) {
    for bytes in data.as_chunks::<4>().0 {
        // SAFETY: the kernel has just made the descriptor for this process, and nobody knows of it.
        unsafe { libc::close(libc::c_int::from_ne_bytes(*bytes)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn bound(name: &str) -> UnixDatagram {
        let name = format!("wharf-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        UnixDatagram::bind_addr(&address).unwrap()
    }

    #[test]
    fn the_sender_and_its_process_are_told() {
        let (server, client) = (bound("receives"), bound("sends"));
        pass_credentials(&server).unwrap();
        let to = server.local_addr().unwrap();
        client.send_to_addr(b"hello", &to).unwrap();
        UnixDatagram::unbound()
            .unwrap()
            .send_to_addr(b"", &to)
            .unwrap();
        let mut buffer = [0; 16];
        let named = receive_unix(&server, &mut buffer).unwrap();
        assert_eq!(&buffer[..named.length], b"hello");
        let from = named.from.unwrap();
        assert_eq!(
            from.as_abstract_name(),
            client.local_addr().unwrap().as_abstract_name()
        );
        assert_eq!(named.credentials.unwrap().pid, Some(std::process::id()));
        // The answer finds its way.
        server.send_to_addr(b"back", &from).unwrap();
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 4);

        let unnamed = receive_unix(&server, &mut buffer).unwrap();
        assert_eq!((unnamed.length, unnamed.truncated), (0, false));
        assert!(unnamed.from.is_none());
        let nothing = receive_unix(&server, &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_is_longer_than_the_buffer_is_told_to_be_cut() {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(b"12345").unwrap();
        let mut buffer = [0; 4];
        let received = receive_unix(&other, &mut buffer).unwrap();
        assert_eq!((received.length, received.truncated), (4, true));
        assert!(received.credentials.is_none());
    }
}
