//! The UDP socket and its options.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::{Control, Writer};
use crate::errno;
use crate::name::Name;

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
    /// Reports the time to live or hop limit that was left (`IP_RECVTTL`, `IPV6_RECVHOPLIMIT`).
    /// Default: off.
    pub receive_ttl: bool,
    /// Reports when the kernel took the datagram from the device (`SO_TIMESTAMPNS`). Default: off.
    pub timestamps: bool,
    /// Reports with each datagram how many the kernel has discarded before it (`SO_RXQ_OVFL`).
    /// Default: off.
    pub receive_drops: bool,
    /// Keeps ICMP errors for [`Socket::receive_error`] (`IP_RECVERR`); one that waits also makes the
    /// socket ready for those who wait for priority data (`SO_SELECT_ERR_QUEUE`). Default: off.
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

/// A non-blocking UDP socket.
///
/// One that is bound here carries one address family (`IPV6_V6ONLY`). One of both families that was
/// [adopted](Socket::adopt) shows IPv4 addresses as IPv4, and takes them so. Datagrams larger than
/// the path are fragmented unless [`set_dont_fragment`](Socket::set_dont_fragment) says otherwise.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    local: SocketAddr,
    dont_fragment: AtomicBool,
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
        let v6 = address.is_ipv6();
        if v6 {
            socket.set_only_v6(true)?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if options.freebind {
            enable(
                socket.as_raw_fd(),
                v6,
                libc::IP_FREEBIND,
                libc::IPV6_FREEBIND,
            )?;
        }
        // Before it can receive: what comes first is reported as what comes later.
        apply(&socket, v6, options)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Socket::from_parts(socket.into(), local))
    }

    /// Takes a UDP socket that was made and bound elsewhere, and gives it the options that do not
    /// have to be there before it is bound: all but `reuse_port` and `freebind`.
    ///
    /// Errors are the kernel's, and `InvalidInput` for what is no bound UDP socket.
    pub fn adopt(fd: OwnedFd, options: &SocketOptions) -> io::Result<Socket> {
        let socket = socket2::Socket::from(fd);
        let refused = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        if socket.protocol()? != Some(socket2::Protocol::UDP) {
            return Err(refused("not a UDP socket"));
        }
        let local = socket
            .local_addr()?
            .as_socket()
            .filter(|local| local.port() != 0)
            .ok_or_else(|| refused("not a bound socket"))?;
        socket.set_nonblocking(true)?;
        let v6 = local.is_ipv6();
        apply(&socket, v6, options)?;
        if v6 && !socket.only_v6()? {
            // What is told of IPv4 on such a socket is asked for by the options of IPv4.
            apply(&socket, false, options)?;
        }
        Ok(Socket::from_parts(socket.into(), local))
    }

    pub(crate) fn from_parts(fd: OwnedFd, local: SocketAddr) -> Socket {
        Socket {
            fd,
            local,
            dont_fragment: AtomicBool::new(false),
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
        if self.dont_fragment.load(Ordering::Relaxed) != on {
            discover_mtu(self.as_raw_fd(), self.local.is_ipv6(), on)?;
            self.dont_fragment.store(on, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends one datagram now, or, with `segment`, one of this many bytes after the other, cut from
    /// `bytes` by the kernel (GSO; at most 64). `from` is the source address to use, for a socket that
    /// is bound to the wildcard; `tos` the TOS or traffic class octet, 0 for the socket's own.
    ///
    /// Errors are the kernel's: `WouldBlock` when the socket's buffer is full, `EMSGSIZE` for a
    /// datagram that is too long; `EINVAL` or `EIO` where the device cannot cut. The ICMP error of an
    /// earlier datagram is not an error of this one.
    pub fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        tos: u8,
        segment: Option<u16>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut name = Name::EMPTY;
        let name_length = name.set(&to);
        let mut control = Control::EMPTY;
        let mut writer = Writer::new(&mut control);
        if let Some(from) = from {
            writer.source(from);
        }
        if tos != 0 {
            writer.traffic_class(to.is_ipv6(), tos);
        }
        if let Some(segment) = segment.filter(|size| usize::from(*size) < bytes.len()) {
            writer.segment(segment);
        }
        let control_length = writer.len();
        let mut iovec = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: `msghdr` is integers and pointers, for which zero is a value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = (&raw mut name).cast();
        header.msg_namelen = name_length as libc::socklen_t;
        header.msg_iov = &raw mut iovec;
        header.msg_iovlen = 1;
        if control_length > 0 {
            header.msg_control = (&raw mut control).cast();
            header.msg_controllen = control_length as _;
        }
        let mut retried = false;
        loop {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: the header describes `name`, `iovec`, `bytes` and `control`, which outlive the
            // call; the kernel only reads them.
            let sent = unsafe { libc::sendmsg(self.as_raw_fd(), &raw const header, flags) };
            if sent >= 0 {
                return Ok(());
            }
            match errno::last() {
                libc::EINTR => {}
                number if errno::is_icmp(number) && !retried => retried = true,
                number => return Err(io::Error::from_raw_os_error(number)),
            }
        }
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

/// Sets what does not have to be set before the socket is bound.
fn apply(socket: &socket2::Socket, v6: bool, options: &SocketOptions) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let wanted = [
        (
            options.packet_info,
            libc::IP_PKTINFO,
            libc::IPV6_RECVPKTINFO,
        ),
        (options.receive_tos, libc::IP_RECVTOS, libc::IPV6_RECVTCLASS),
        (
            options.receive_ttl,
            libc::IP_RECVTTL,
            libc::IPV6_RECVHOPLIMIT,
        ),
        (options.errors, libc::IP_RECVERR, libc::IPV6_RECVERR),
    ];
    for (_, v4_option, v6_option) in wanted.into_iter().filter(|wanted| wanted.0) {
        enable(fd, v6, v4_option, v6_option)?;
    }
    if options.errors {
        set(fd, libc::SOL_SOCKET, libc::SO_SELECT_ERR_QUEUE, 1)?;
    }
    if options.timestamps {
        set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    }
    if options.receive_drops {
        set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
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
    discover_mtu(fd, v6, false)
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
