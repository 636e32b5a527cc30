//! Staging datagrams: what is to be sent, without copying payloads.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::control::Control;
use crate::fixed::Fixed;
use crate::name::Name;
use crate::receive::SLOT_SIZE;

/// Most zero bytes that may follow a payload: enough to reach the next multiple of four, as STUN
/// attributes need (RFC 8489 section 14).
pub const MAX_PADDING: usize = 3;

/// Most datagrams in one message (`UDP_MAX_SEGMENTS` of kernels before 6.6).
const MAX_SEGMENTS: u32 = 64;

/// Most bytes in one message of several datagrams: below the 65,507 that IPv4 allows.
const MAX_SEGMENTED: u32 = 65_000;

/// Arena room is reserved for a header of this many bytes in each datagram, and for this many bytes more
/// in each message; longer ones fill it up sooner.
const USUAL_HEADER: usize = 64;
const USUAL_MESSAGE: usize = 2048;

/// There is no room for the datagram: flush, then push it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the send batch is full: flush it, then push the datagram again")
    }
}

impl std::error::Error for Full {}

/// What became of the datagrams of one [`flush`](SendBatch::flush). Their number is the sum of
/// `sent`, `would_block` and `failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Datagrams the kernel took.
    pub sent: u64,
    /// Payload bytes of these.
    pub sent_bytes: u64,
    /// Datagrams dropped because the socket's buffer or the device's queue was full.
    pub would_block: u64,
    /// Datagrams that could not be sent at all.
    pub failed: u64,
    /// The `errno` of the last one that failed.
    pub last_error: Option<i32>,
}

impl SendReport {
    pub(crate) fn fail(&mut self, datagrams: u64, number: i32) {
        self.failed += datagrams;
        self.last_error = Some(number);
    }
}

/// A run of bytes of a datagram, or of several neighbours.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// In the batch's own arena.
    Staged { start: usize, end: usize },
    /// In a slot of the receive batch.
    Received {
        slot: usize,
        start: usize,
        end: usize,
    },
    /// This many zeros.
    Zeros { length: usize },
}

/// One message for the kernel: one datagram, or several of equal length but the last.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    pub(crate) to: SocketAddr,
    pub(crate) from: Option<IpAddr>,
    pub(crate) tos: u8,
    /// Length of each datagram but the last.
    pub(crate) segment: u32,
    pub(crate) total: u32,
    pub(crate) datagrams: u32,
    pub(crate) first_part: usize,
    pub(crate) end_part: usize,
}

impl Message {
    /// Whether a datagram of this length may be added: all before it are full, and neither the last
    /// nor the new one is empty, as a segment cannot be.
    fn takes(&self, length: u32) -> bool {
        length > 0
            && length <= self.segment
            && self.total == self.segment * self.datagrams
            && self.datagrams < MAX_SEGMENTS
            && self.total + length <= MAX_SEGMENTED
    }
}

/// Datagrams waiting to leave through one socket.
///
/// A payload stays where it was received; only headers and whole replies are copied in. Neighbours
/// with the same addresses and class leave as one message that the kernel cuts up (GSO). All memory
/// is reserved by [`new`](SendBatch::new).
pub struct SendBatch {
    pub(crate) messages: Vec<Message>,
    pub(crate) parts: Vec<Part>,
    pub(crate) staged: Fixed<u8>,
    staged_end: usize,
    pub(crate) names: Fixed<Name>,
    pub(crate) controls: Fixed<Control>,
    pub(crate) iovecs: Fixed<libc::iovec>,
    pub(crate) headers: Fixed<libc::mmsghdr>,
    /// Whether datagrams are joined; cleared for good when the system cannot cut them.
    pub(crate) segmentation: bool,
    /// Failures known before the flush.
    pub(crate) refused: SendReport,
}

// SAFETY: the pointers in headers and iovecs are written anew by each flush, and used only by it.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// A batch of this many messages, which hold this many datagrams among them (at least as many
    /// as messages) with headers of 64 bytes, or fewer with longer ones. An empty batch has room for
    /// every datagram that can be sent.
    pub fn new(messages: usize, datagrams: usize) -> SendBatch {
        let messages = messages.max(1);
        let datagrams = datagrams.max(messages);
        let parts = datagrams.saturating_mul(3);
        let staged = datagrams
            .saturating_mul(USUAL_HEADER)
            .saturating_add(messages.saturating_mul(USUAL_MESSAGE))
            .max(SLOT_SIZE);
        let none = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: `mmsghdr` is integers and pointers, for which zero is a value.
        let header = unsafe { std::mem::zeroed::<libc::mmsghdr>() };
        SendBatch {
            messages: Vec::with_capacity(messages),
            parts: Vec::with_capacity(parts),
            staged: Fixed::new(staged, 0),
            staged_end: 0,
            names: Fixed::new(messages, Name::EMPTY),
            controls: Fixed::new(messages, Control::EMPTY),
            iovecs: Fixed::new(parts, none),
            headers: Fixed::new(messages, header),
            segmentation: true,
            refused: SendReport::default(),
        }
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.refused.failed == 0
    }

    /// Stages one datagram: `header`, then `payload` (a range of what a slot of the receive batch
    /// holds), then `padding` zero bytes. `from` is the source address to use, for a socket bound to
    /// the wildcard; `tos` the TOS or traffic class octet.
    ///
    /// A datagram that can never be sent (padding over [`MAX_PADDING`], more than 65,535 bytes, a range
    /// outside its slot, a source of the other family) is taken, and counted as failed by the next flush.
    pub fn push(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        tos: u8,
        header: &[u8],
        payload: Option<(usize, Range<usize>)>,
        padding: usize,
    ) -> Result<(), Full> {
        let (slot, range) = payload.unwrap_or_default();
        let length = header
            .len()
            .saturating_add(range.len())
            .saturating_add(padding);
        if padding > MAX_PADDING || length > SLOT_SIZE {
            self.refused.fail(1, libc::EMSGSIZE);
            return Ok(());
        }
        if range.start > range.end || range.end > SLOT_SIZE {
            self.refused.fail(1, libc::EFAULT);
            return Ok(());
        }
        if from.is_some_and(|from| from.is_ipv4() != to.is_ipv4()) {
            self.refused.fail(1, libc::EAFNOSUPPORT);
            return Ok(());
        }
        let header_end = self.staged_end + header.len();
        if header_end > self.staged.len() || self.parts.len() + 3 > self.iovecs.len() {
            return Err(Full);
        }
        let joined = self.place(to, from, tos, length as u32)?;
        self.staged.as_mut_slice()[self.staged_end..header_end].copy_from_slice(header);
        let staged = Part::Staged {
            start: self.staged_end,
            end: header_end,
        };
        self.staged_end = header_end;
        let body = Part::Received {
            slot,
            start: range.start,
            end: range.end,
        };
        self.append(staged, header.len(), joined);
        self.append(body, range.len(), joined);
        self.append(Part::Zeros { length: padding }, padding, false);
        if let Some(message) = self.messages.last_mut() {
            message.end_part = self.parts.len();
        }
        Ok(())
    }

    /// Stages one datagram that is copied whole.
    pub fn push_bytes(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        tos: u8,
        bytes: &[u8],
    ) -> Result<(), Full> {
        self.push(to, from, tos, bytes, None, 0)
    }

    /// Counts the datagram into the last message (true) or into a new one (false).
    fn place(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        tos: u8,
        length: u32,
    ) -> Result<bool, Full> {
        if let Some(last) = self.messages.last_mut()
            && self.segmentation
            && last.takes(length)
            && (last.to, last.from, last.tos) == (to, from, tos)
        {
            last.total += length;
            last.datagrams += 1;
            return Ok(true);
        }
        if self.messages.len() == self.headers.len() {
            return Err(Full);
        }
        let first_part = self.parts.len();
        self.messages.push(Message {
            to,
            from,
            tos,
            segment: length,
            total: length,
            datagrams: 1,
            first_part,
            end_part: first_part,
        });
        Ok(false)
    }

    /// Adds a part, or lengthens the one before it where the bytes follow on in memory.
    fn append(&mut self, part: Part, length: usize, joined: bool) {
        if length == 0 {
            return;
        }
        if joined {
            match (self.parts.last_mut(), part) {
                (
                    Some(Part::Staged { end, .. }),
                    Part::Staged {
                        start,
                        end: new_end,
                    },
                ) if *end == start => {
                    *end = new_end;
                    return;
                }
                (
                    Some(Part::Received { slot, end, .. }),
                    Part::Received {
                        slot: new_slot,
                        start,
                        end: new_end,
                    },
                ) if *slot == new_slot && *end == start => {
                    *end = new_end;
                    return;
                }
                _ => {}
            }
        }
        self.parts.push(part);
    }

    /// Forgets what is staged, unsent, and reports all of it as failed.
    pub fn discard(&mut self) -> SendReport {
        let mut report = self.refused;
        let datagrams = self
            .messages
            .iter()
            .map(|message| u64::from(message.datagrams));
        report.failed += datagrams.sum::<u64>();
        self.clear();
        report
    }

    /// Forgets what is staged, unsent.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.parts.clear();
        self.staged_end = 0;
        self.refused = SendReport::default();
    }
}
