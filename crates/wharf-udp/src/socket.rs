//! The UDP socket and its options.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::errno;

/// How a [`Socket`] is bound. The default has every option off and the system's buffer sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a socket option of its own"
)]
pub struct SocketOptions {
    /// Shares the port with other sockets of this user; the kernel spreads senders over them by a
    /// hash of the addresses (`SO_REUSEPORT`). Default: off.
    pub reuse_port: bool,
    /// Reports the address each datagram was sent to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`). Needed
    /// only on a wildcard bind, to answer from that address. Default: off.
    pub packet_info: bool,
    /// Takes a burst of one sender as one buffer of many segments (`UDP_GRO`); a kernel that cannot
    /// (before 5.0) delivers them singly. Default: off.
    pub gro: bool,
    /// Reports the TOS or traffic class octet (`IP_RECVTOS`, `IPV6_RECVTCLASS`). Default: off.
    pub receive_tos: bool,
    /// Keeps ICMP errors for [`Socket::receive_error`] (`IP_RECVERR`). Default: off.
    pub errors: bool,
    /// Binds, and sends from, addresses that no interface has yet (`IP_FREEBIND`). Default: off.
    pub freebind: bool,
    /// Receive buffer in bytes of kernel memory; the kernel doubles it for its own bookkeeping.
    /// Above `net.core.rmem_max` it takes `CAP_NET_ADMIN`, and is cut to the maximum without.
    /// Default: `net.core.rmem_default`.
    pub receive_buffer: Option<usize>,
    /// Send buffer in bytes, by the same rules with `net.core.wmem_max`.
    /// Default: `net.core.wmem_default`.
    pub send_buffer: Option<usize>,
}

/// A non-blocking UDP socket of one address family.
///
/// An IPv6 socket carries IPv6 only (`IPV6_V6ONLY`). Datagrams larger than the path are fragmented
/// unless [`set_dont_fragment`](Socket::set_dont_fragment) says otherwise. The socket may move to
/// another thread but not be shared: each worker owns its own.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    local: SocketAddr,
    dont_fragment: Cell<bool>,
}

impl Socket {
    /// Opens and binds a socket; port 0 takes a free port.
    ///
    /// Errors are the kernel's: `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`, and
    /// `InvalidInput` for a buffer size that does not fit a C `int`.
    pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
        let kind = socket2::Type::DGRAM.nonblocking();
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, kind, Some(socket2::Protocol::UDP))?;
        let fd = socket.as_raw_fd();
        let v6 = address.is_ipv6();
        if v6 {
            socket.set_only_v6(true)?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if options.freebind {
            enable(fd, v6, libc::IP_FREEBIND, libc::IPV6_FREEBIND)?;
        }
        if options.packet_info {
            enable(fd, v6, libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO)?;
        }
        if options.receive_tos {
            enable(fd, v6, libc::IP_RECVTOS, libc::IPV6_RECVTCLASS)?;
        }
        if options.errors {
            enable(fd, v6, libc::IP_RECVERR, libc::IPV6_RECVERR)?;
        }
        if options.gro {
            match set(fd, libc::SOL_UDP, libc::UDP_GRO, 1) {
                Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
                other => other?,
            }
        }
        if let Some(bytes) = options.receive_buffer {
            set_buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)?;
        }
        if let Some(bytes) = options.send_buffer {
            set_buffer(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes)?;
        }
        discover_mtu(fd, v6, false)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Socket::from_parts(socket.into(), local))
    }

    pub(crate) fn from_parts(fd: OwnedFd, local: SocketAddr) -> Socket {
        Socket {
            fd,
            local,
            dont_fragment: Cell::new(false),
        }
    }

    /// The bound address and port. No system call.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sets the DF bit on IPv4, or forbids fragmentation by the sender on IPv6, from the next
    /// datagram on; one larger than the path's MTU then fails with `EMSGSIZE` or comes back as an
    /// ICMP error. Off after [`bind`](Socket::bind). No system call when nothing changes.
    pub fn set_dont_fragment(&self, on: bool) -> io::Result<()> {
        if self.dont_fragment.get() != on {
            discover_mtu(self.as_raw_fd(), self.local.is_ipv6(), on)?;
            self.dont_fragment.set(on);
        }
        Ok(())
    }

    /// Datagrams the kernel discarded since the socket was opened, for want of buffer space or for
    /// a bad checksum (`SK_MEMINFO_DROPS`). Wraps at 2³².
    pub fn drops(&self) -> io::Result<u32> {
        const FIELDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
        let mut info = [0_u32; FIELDS];
        let mut length = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`.
        errno::check(unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        })?;
        Ok(info[FIELDS - 1])
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Sets the option of the socket's family to 1.
fn enable(fd: RawFd, v6: bool, v4_option: i32, v6_option: i32) -> io::Result<()> {
    if v6 {
        set(fd, libc::IPPROTO_IPV6, v6_option, 1)
    } else {
        set(fd, libc::IPPROTO_IP, v4_option, 1)
    }
}

/// Neither way off lets a forged ICMP message shrink what the relay sends. Over IPv4 `OMIT` it is, as
/// with `DONT` the kernel says nothing of a "fragmentation needed" that answers an earlier datagram with
/// DF; over IPv6 the same holds the other way round.
fn discover_mtu(fd: RawFd, v6: bool, on: bool) -> io::Result<()> {
    if v6 {
        let value = if on {
            libc::IPV6_PMTUDISC_DO
        } else {
            libc::IPV6_PMTUDISC_DONT
        };
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, value)
    } else {
        let value = if on {
            libc::IP_PMTUDISC_DO
        } else {
            libc::IP_PMTUDISC_OMIT
        };
        set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
    }
}

fn set_buffer(fd: RawFd, forced: i32, plain: i32, bytes: usize) -> io::Result<()> {
    let value = i32::try_from(bytes).map_err(|_| {
        let text = format!(
            "a socket buffer of {bytes} bytes: at most {} are possible",
            i32::MAX
        );
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    set(fd, libc::SOL_SOCKET, forced, value).or_else(|error| match error.raw_os_error() {
        Some(libc::EPERM) => set(fd, libc::SOL_SOCKET, plain, value),
        _ => Err(error),
    })
}

fn set(fd: RawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
    errno::check(unsafe {
        libc::setsockopt(fd, level, option, (&raw const value).cast(), length)
    })?;
    Ok(())
}
