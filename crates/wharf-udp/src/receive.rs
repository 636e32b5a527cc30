//! Receiving in batches: one `recvmmsg` fills many slots of one arena.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::control::{self, Control};
use crate::errno;
use crate::fixed::Fixed;
use crate::name::{self, Name, V6_LENGTH};
use crate::socket::Socket;

/// Bytes a slot can hold: no UDP datagram and no GRO buffer is larger.
pub const SLOT_SIZE: usize = 65_535;

/// Distance between slots. An odd number of cache lines (here 5) more than 64 KiB makes the starts of
/// 64 slots fall on 64 different sets of the first- and second-level caches.
const STRIDE: usize = 65_536 + 5 * 64;

/// System calls spent on pending ICMP errors before `receive` gives up until the next event.
const ERRORS_SKIPPED: usize = 16;

/// Received datagrams, waiting to be looked at and forwarded.
///
/// All memory is reserved by [`new`](ReceiveBatch::new), though the system backs it only as slots
/// are used. A batch may be filled by several sockets in turn.
pub struct ReceiveBatch {
    data: Fixed<u8>,
    names: Fixed<Name>,
    // Reached only through the message headers.
    _controls: Fixed<Control>,
    _iovecs: Fixed<libc::iovec>,
    headers: Fixed<libc::mmsghdr>,
    filled: usize,
}

// SAFETY: the pointers in the headers lead to arrays that the batch owns and moves with it.
unsafe impl Send for ReceiveBatch {}

// SAFETY: by a shared reference the arrays are only read.
unsafe impl Sync for ReceiveBatch {}

impl ReceiveBatch {
    /// A batch of this many slots of [`SLOT_SIZE`] bytes each.
    pub fn new(slots: usize) -> ReceiveBatch {
        let data = Fixed::new(slots.saturating_mul(STRIDE), 0_u8);
        let names = Fixed::new(slots, Name::EMPTY);
        let controls = Fixed::new(slots, Control::EMPTY);
        let none = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut iovecs = Fixed::new(slots, none);
        for (slot, iovec) in iovecs.as_mut_slice().iter_mut().enumerate() {
            iovec.iov_base = data.at(slot * STRIDE).cast();
            iovec.iov_len = SLOT_SIZE;
        }
        // SAFETY: `mmsghdr` is integers and pointers, for which zero is a value.
        let mut headers = Fixed::new(slots, unsafe { std::mem::zeroed::<libc::mmsghdr>() });
        for (slot, header) in headers.as_mut_slice().iter_mut().enumerate() {
            header.msg_hdr.msg_name = names.at(slot).cast();
            header.msg_hdr.msg_iov = iovecs.at(slot);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls.at(slot).cast();
            arm(header);
        }
        ReceiveBatch {
            data,
            names,
            _controls: controls,
            _iovecs: iovecs,
            headers,
            filled: 0,
        }
    }

    /// Forgets the datagrams; all slots are free again.
    pub fn clear(&mut self) {
        for header in &mut self.headers.as_mut_slice()[..self.filled] {
            arm(header);
        }
        self.filled = 0;
    }

    /// The number of filled slots.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no slot is filled.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether no slot is free.
    pub fn is_full(&self) -> bool {
        self.filled == self.headers.len()
    }

    /// What slot `index` holds.
    ///
    /// # Panics
    /// When `index` is not less than [`len`](ReceiveBatch::len).
    pub fn get(&self, index: usize) -> Received<'_> {
        let header = &self.headers.as_slice()[..self.filled][index];
        let data = self.payload(index).unwrap_or_default();
        let name = &self.names.as_slice()[index].0;
        let named = (header.msg_hdr.msg_namelen as usize).min(V6_LENGTH);
        let mut received = Received {
            data,
            from: name::parse(&name[..named]).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            local: None,
            segment: data.len(),
            tos: 0,
            ttl: None,
            timestamp: None,
            drops: None,
            truncated: header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        };
        // SAFETY: the kernel filled this slot's control buffer, as `filled` covers the slot.
        unsafe {
            control::read(&header.msg_hdr, |level, kind, data| {
                received.note(level, kind, data);
            });
        };
        received
    }

    /// The bytes in a filled slot, without the look at its side data that
    /// [`get`](ReceiveBatch::get) takes; `None` for a slot that is not filled.
    pub fn payload(&self, slot: usize) -> Option<&[u8]> {
        let header = self.headers.as_slice()[..self.filled].get(slot)?;
        let start = slot * STRIDE;
        let length = (header.msg_len as usize).min(SLOT_SIZE);
        Some(&self.data.as_slice()[start..start + length])
    }
}

/// Restores what the kernel overwrote when it filled the slot.
fn arm(header: &mut libc::mmsghdr) {
    header.msg_len = 0;
    header.msg_hdr.msg_namelen = V6_LENGTH as libc::socklen_t;
    header.msg_hdr.msg_controllen = Control::SIZE as _;
    header.msg_hdr.msg_flags = 0;
}

/// One filled slot: a datagram, or a burst of datagrams of one sender.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The payload; several payloads back to back when the kernel joined a burst.
    pub data: &'a [u8],
    /// The sender.
    pub from: SocketAddr,
    /// The address to answer from: the one the datagram was sent to, or the interface's own for a
    /// multicast or broadcast. Present with [`SocketOptions::packet_info`](crate::SocketOptions).
    pub local: Option<IpAddr>,
    /// Size of each datagram in `data` but the last, which may be shorter; the length of `data` for
    /// a single one.
    pub segment: usize,
    /// The TOS or traffic class octet, DSCP and ECN; 0 without
    /// [`SocketOptions::receive_tos`](crate::SocketOptions).
    pub tos: u8,
    /// The time to live or hop limit that was left, with
    /// [`SocketOptions::receive_ttl`](crate::SocketOptions).
    pub ttl: Option<u8>,
    /// When the kernel took it from the device, since the Unix epoch, with
    /// [`SocketOptions::timestamps`](crate::SocketOptions).
    pub timestamp: Option<Duration>,
    /// Datagrams that the kernel had discarded since the socket was opened when it queued this one;
    /// wraps at 2³². Present with [`SocketOptions::receive_drops`](crate::SocketOptions), once there
    /// was one.
    pub drops: Option<u32>,
    /// Whether the kernel cut the data or its side data. Slots are large enough that it does not.
    pub truncated: bool,
}

impl Received<'_> {
    /// The range of each datagram within `data`. An empty datagram is one empty range.
    pub fn segments(&self) -> Segments {
        Segments {
            next: 0,
            end: self.data.len(),
            size: self.segment.max(1),
            first: true,
        }
    }

    fn note(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = data
                    .first_chunk()
                    .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                self.segment = match usize::try_from(size) {
                    Ok(size) if size > 0 => size.min(self.data.len()),
                    _ => self.data.len(),
                };
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let left = data.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
                self.ttl = left.and_then(|left| u8::try_from(left).ok());
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => self.timestamp = timespec(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                self.drops = data.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => self.tos = data.first().copied().unwrap_or(0),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let class = data
                    .first_chunk()
                    .map_or(0, |bytes| u32::from_ne_bytes(*bytes));
                self.tos = class as u8;
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // struct in_pktinfo: interface index, local address, destination in the header.
                let local = data.get(4..).and_then(|rest| rest.first_chunk::<4>());
                self.local = local.map(|ip| IpAddr::from(*ip));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // struct in6_pktinfo: destination in the header, interface index.
                let local = data.first_chunk::<16>().map(|ip| IpAddr::from(*ip));
                self.local = local
                    .map(|ip| ip.to_canonical())
                    .filter(|ip| !ip.is_multicast());
            }
            _ => {}
        }
    }
}

/// `struct timespec`: two C `long`s.
fn timespec(data: &[u8]) -> Option<Duration> {
    const LONG: usize = size_of::<libc::c_long>();
    let long = |at: usize| {
        let bytes = data.get(at..)?.first_chunk::<LONG>()?;
        u64::try_from(libc::c_long::from_ne_bytes(*bytes)).ok()
    };
    Some(Duration::new(long(0)?, u32::try_from(long(LONG)?).ok()?))
}

/// The ranges of the datagrams in one slot; see [`Received::segments`].
#[derive(Clone, Debug)]
pub struct Segments {
    next: usize,
    end: usize,
    size: usize,
    first: bool,
}

impl Iterator for Segments {
    type Item = Range<usize>;

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = (self.end - self.next).div_ceil(self.size);
        let rest = rest.max(usize::from(self.first));
        (rest, Some(rest))
    }

    fn next(&mut self) -> Option<Range<usize>> {
        if self.next == self.end && !self.first {
            return None;
        }
        self.first = false;
        let start = self.next;
        self.next = self.end.min(start + self.size);
        Some(start..self.next)
    }
}

impl ExactSizeIterator for Segments {}

impl Socket {
    /// Appends up to `at_most` waiting datagrams (GRO bursts count as one) to the free slots, with
    /// one system call. Returns how many slots were filled: 0 when nothing waits or no slot is free.
    ///
    /// An ICMP error about an earlier datagram is not an error of this call: the call is repeated,
    /// and [`receive_error`](Socket::receive_error) has the details. What remains are the errors of
    /// a broken descriptor or of a system out of memory.
    pub fn receive(&self, batch: &mut ReceiveBatch, at_most: usize) -> io::Result<usize> {
        let room = at_most.min(batch.headers.len() - batch.filled);
        if room == 0 {
            return Ok(0);
        }
        for _ in 0..ERRORS_SKIPPED {
            // SAFETY: `room` headers follow the first free one, and all their pointers lead to
            // arrays of the batch, which is borrowed exclusively for the call.
            let received = unsafe {
                libc::recvmmsg(
                    self.as_raw_fd(),
                    batch.headers.at(batch.filled),
                    room as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            if let Ok(received) = usize::try_from(received) {
                batch.filled += received.min(room);
                return Ok(received);
            }
            match errno::last() {
                libc::EAGAIN => return Ok(0),
                number if number == libc::EINTR || errno::is_icmp(number) => {}
                number => return Err(io::Error::from_raw_os_error(number)),
            }
        }
        Ok(0)
    }
}
