//! Receiving from a Unix datagram socket: the payload, its sender and the sender's credentials.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use crate::control::{self, Control};
use crate::errno;
use crate::fixed::Fixed;
use crate::peer::PeerCredentials;

/// Where the path or name begins in `sockaddr_un`.
const NAME_AT: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// A datagram that a [`UnixBatch`] has taken, beside its payload.
#[derive(Debug, Clone)]
pub struct ReceivedUnix {
    /// Bytes of it in its slot.
    pub length: usize,
    /// Whether it was longer than the slot: the rest is lost.
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

/// Datagrams of a Unix socket, taken several at a time.
///
/// All memory is reserved by [`new`](UnixBatch::new), though the system backs it only as slots are used.
pub struct UnixBatch {
    data: Fixed<u8>,
    slot_size: usize,
    names: Fixed<libc::sockaddr_un>,
    // Reached only through the message headers.
    _controls: Fixed<Control>,
    _iovecs: Fixed<libc::iovec>,
    headers: Fixed<libc::mmsghdr>,
    received: Vec<ReceivedUnix>,
}

// SAFETY: the pointers in the headers lead to arrays that the batch owns and moves with it.
unsafe impl Send for UnixBatch {}

// SAFETY: by a shared reference the arrays are only read.
unsafe impl Sync for UnixBatch {}

impl UnixBatch {
    /// A batch of this many slots, at least one, of `slot_size` bytes each.
    pub fn new(slots: usize, slot_size: usize) -> UnixBatch {
        // An empty array has no place to point to.
        let (slots, stride) = (slots.max(1), slot_size.max(1));
        let data = Fixed::new(slots.saturating_mul(stride), 0_u8);
        // SAFETY: `sockaddr_un` and `mmsghdr` are integers and pointers, for which zero is a value.
        let (name, header) = unsafe {
            (
                std::mem::zeroed::<libc::sockaddr_un>(),
                std::mem::zeroed::<libc::mmsghdr>(),
            )
        };
        let names = Fixed::new(slots, name);
        let controls = Fixed::new(slots, Control::EMPTY);
        let none = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: slot_size,
        };
        let mut iovecs = Fixed::new(slots, none);
        for (slot, iovec) in iovecs.as_mut_slice().iter_mut().enumerate() {
            iovec.iov_base = data.at(slot * stride).cast();
        }
        let mut headers = Fixed::new(slots, header);
        for (slot, header) in headers.as_mut_slice().iter_mut().enumerate() {
            header.msg_hdr.msg_name = names.at(slot).cast();
            header.msg_hdr.msg_iov = iovecs.at(slot);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls.at(slot).cast();
        }
        UnixBatch {
            data,
            slot_size,
            names,
            _controls: controls,
            _iovecs: iovecs,
            headers,
            received: Vec::with_capacity(slots),
        }
    }

    /// Bytes that a slot holds.
    pub fn slot_size(&self) -> usize {
        self.slot_size
    }

    /// What the last [`receive`](UnixBatch::receive) has taken into a slot; `None` for a slot that it has
    /// not filled.
    pub fn get(&self, slot: usize) -> Option<&ReceivedUnix> {
        self.received.get(slot)
    }

    /// The bytes in a slot; `None` for one that is not filled.
    pub fn payload(&self, slot: usize) -> Option<&[u8]> {
        let length = self.received.get(slot)?.length;
        let start = slot * self.slot_size.max(1);
        self.data.as_slice().get(start..start + length)
    }

    /// Takes as many datagrams as wait and have room, with one system call, in place of those before.
    /// Returns how many. Does not wait: `WouldBlock` when there is none.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.received.clear();
        for header in self.headers.as_mut_slice() {
            header.msg_len = 0;
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = Control::SIZE as _;
            header.msg_hdr.msg_flags = 0;
        }
        // Descriptors that a sender encloses are closed with the message: none is asked for.
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let filled = loop {
            // SAFETY: as many headers are there, and all their pointers lead to arrays of the batch,
            // which is borrowed exclusively for the call.
            let received = unsafe {
                libc::recvmmsg(
                    socket.as_fd().as_raw_fd(),
                    self.headers.at(0),
                    self.headers.len() as libc::c_uint,
                    flags as _,
                    std::ptr::null_mut(),
                )
            };
            match usize::try_from(received) {
                Ok(filled) => break filled.min(self.headers.len()),
                Err(_) if errno::last() == libc::EINTR => {}
                Err(_) => return Err(io::Error::last_os_error()),
            }
        };
        for slot in 0..filled {
            // SAFETY: the kernel has just filled this slot.
            let received = unsafe { self.read(slot) };
            self.received.push(received);
        }
        Ok(filled)
    }

    /// What the kernel says of a slot. The descriptors that came with it are closed.
    ///
    /// # Safety
    /// The kernel has filled the slot, and this is the first look at it.
    unsafe fn read(&self, slot: usize) -> ReceivedUnix {
        let header = &self.headers.as_slice()[slot];
        let name = &self.names.as_slice()[slot];
        let named = (header.msg_hdr.msg_namelen as usize)
            .saturating_sub(NAME_AT)
            .min(name.sun_path.len());
        let path = name.sun_path.map(c_char_to_byte);
        let mut received = ReceivedUnix {
            length: (header.msg_len as usize).min(self.slot_size),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            from: address(&path[..named]),
            credentials: None,
        };
        // SAFETY: the kernel has filled the control buffer as the header says.
        unsafe {
            control::read(&header.msg_hdr, |level, kind, data| match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    received.credentials = credentials(data);
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => close(data),
                _ => {}
            });
        }
        received
    }
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
        let mut batch = UnixBatch::new(4, 16);
        assert_eq!(batch.receive(&server).unwrap(), 2);
        assert_eq!(batch.payload(0), Some(&b"hello"[..]));
        let named = batch.get(0).unwrap();
        let from = named.from.clone().unwrap();
        assert_eq!(
            from.as_abstract_name(),
            client.local_addr().unwrap().as_abstract_name()
        );
        assert_eq!(named.credentials.unwrap().pid, Some(std::process::id()));
        // The answer finds its way.
        server.send_to_addr(b"back", &from).unwrap();
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 4);

        let unnamed = batch.get(1).unwrap();
        assert_eq!((unnamed.length, unnamed.truncated), (0, false));
        assert!(unnamed.from.is_none());
        assert_eq!((batch.payload(1), batch.payload(2)), (Some(&b""[..]), None));
        let nothing = batch.receive(&server).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert!(batch.get(0).is_none(), "it is of the batch before");
    }

    #[test]
    fn a_full_batch_leaves_the_rest_in_order() {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut batch = UnixBatch::new(2, 4);
        for number in 0..5_u8 {
            one.send(&[number; 3]).unwrap();
        }
        let mut seen = Vec::new();
        while let Ok(filled) = batch.receive(&other) {
            seen.extend((0..filled).map(|slot| batch.payload(slot).unwrap().to_vec()));
        }
        assert_eq!(seen, [[0; 3], [1; 3], [2; 3], [3; 3], [4; 3]]);
    }

    #[test]
    fn what_is_longer_than_the_buffer_is_told_to_be_cut() {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(b"12345").unwrap();
        one.send(b"1234").unwrap();
        let mut batch = UnixBatch::new(2, 4);
        assert_eq!(batch.receive(&other).unwrap(), 2);
        let cut = [0, 1].map(|slot| batch.get(slot).unwrap().truncated);
        assert_eq!(cut, [true, false]);
        assert_eq!(batch.payload(0), batch.payload(1));
        assert!(batch.get(0).unwrap().credentials.is_none());
    }
}
