//! Sending what is staged: one `sendmmsg`, and what to do about each way it can end.

use std::os::fd::{AsRawFd, RawFd};

use crate::control::Writer;
use crate::errno;
use crate::receive::ReceiveBatch;
use crate::send::{MAX_PADDING, Part, SendBatch, SendReport};
use crate::socket::Socket;

static ZEROS: [u8; MAX_PADDING] = [0; MAX_PADDING];

/// Parts of one datagram: header, payload, padding.
const PARTS: usize = 3;

impl SendBatch {
    /// Hands all staged datagrams to the kernel and leaves the batch empty. Never waits: what does
    /// not fit into the socket's buffer is dropped and counted. `arena` is the batch that the
    /// payload ranges refer to, unchanged since they were pushed.
    ///
    /// A message that meets the ICMP error of an earlier one is sent again, once. A message of
    /// several datagrams that the kernel cannot cut up (larger than the MTU, or no support) is sent
    /// one datagram at a time.
    pub fn flush(&mut self, socket: &Socket, arena: &ReceiveBatch) -> SendReport {
        let mut report = self.refused;
        self.prepare(arena, &mut report);
        let fd = socket.as_raw_fd();
        let mut next = 0;
        let mut retried = false;
        while next < self.messages.len() {
            let message = self.messages[next];
            let datagrams = u64::from(message.datagrams);
            match self.transmit(fd, next) {
                Ok(count) => {
                    for sent in &self.messages[next..next + count] {
                        report.sent += u64::from(sent.datagrams);
                        report.sent_bytes += u64::from(sent.total);
                    }
                    next += count;
                    retried = false;
                    continue;
                }
                Err(libc::EINTR) => continue,
                Err(libc::EAGAIN) => {
                    let rest = self.messages[next..].iter().map(|m| u64::from(m.datagrams));
                    report.would_block += rest.sum::<u64>();
                    break;
                }
                // The device's queue was full and took this message only, not its followers.
                Err(libc::ENOBUFS) => report.would_block += datagrams,
                Err(number) if message.datagrams > 1 && uncuttable(number) => {
                    self.segmentation &= !matches!(number, libc::EIO | libc::ENOPROTOOPT);
                    self.send_singly(fd, next, &mut report);
                }
                Err(number) if errno::is_icmp(number) && !retried => {
                    retried = true;
                    continue;
                }
                Err(number) => report.fail(datagrams, number),
            }
            next += 1;
            retried = false;
        }
        self.clear();
        report
    }

    /// Points headers at the parts; a message with a part that does not exist is taken out.
    fn prepare(&mut self, arena: &ReceiveBatch, report: &mut SendReport) {
        let mut ready = 0;
        for index in 0..self.messages.len() {
            let message = self.messages[index];
            let parts = message.first_part..message.end_part;
            let mut exist = true;
            for (part, iovec) in self.parts[parts.clone()]
                .iter()
                .zip(&mut self.iovecs.as_mut_slice()[parts])
            {
                let bytes = match *part {
                    Part::Staged { start, end } => self.staged.as_slice().get(start..end),
                    Part::Received { slot, start, end } => arena
                        .payload(slot)
                        .and_then(|payload| payload.get(start..end)),
                    Part::Zeros { length } => ZEROS.get(..length),
                };
                exist &= bytes.is_some();
                let bytes = bytes.unwrap_or_default();
                iovec.iov_base = bytes.as_ptr().cast_mut().cast();
                iovec.iov_len = bytes.len();
            }
            if !exist {
                report.fail(u64::from(message.datagrams), libc::EFAULT);
                continue;
            }
            self.messages[ready] = message;
            self.head(ready);
            ready += 1;
        }
        self.messages.truncate(ready);
    }

    /// Fills in the kernel's header of message `index`.
    fn head(&mut self, index: usize) {
        let message = &self.messages[index];
        let name = &mut self.names.as_mut_slice()[index];
        let name_length = name.set(&message.to);
        let mut control = Writer::new(&mut self.controls.as_mut_slice()[index]);
        if let Some(from) = message.from {
            control.source(from);
        }
        if message.tos != 0 {
            control.traffic_class(message.to.is_ipv6(), message.tos);
        }
        if message.datagrams > 1 {
            control.segment(message.segment as u16);
        }
        let control_length = control.len();
        let has_parts = message.first_part < message.end_part;
        let iovec = if has_parts {
            self.iovecs.at(message.first_part)
        } else {
            std::ptr::null_mut()
        };
        let header = &mut self.headers.as_mut_slice()[index].msg_hdr;
        header.msg_name = self.names.at(index).cast();
        header.msg_namelen = name_length as libc::socklen_t;
        header.msg_iov = iovec;
        header.msg_iovlen = (message.end_part - message.first_part) as _;
        header.msg_control = match control_length {
            0 => std::ptr::null_mut(),
            _ => self.controls.at(index).cast(),
        };
        header.msg_controllen = control_length as _;
    }

    /// Offers the messages from `first` on; `Ok` is how many the kernel took, at least one.
    fn transmit(&mut self, fd: RawFd, first: usize) -> Result<usize, i32> {
        let count = self.messages.len() - first;
        let headers = self.headers.at(first);
        if count == 1 {
            // SAFETY: `prepare` filled the header with pointers that this flush keeps borrowed.
            send_one(fd, unsafe { &(*headers).msg_hdr }).map(|()| 1)
        } else {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: `prepare` filled `count` headers from `first` on with pointers that this
            // flush keeps borrowed; the kernel writes only their `msg_len`.
            let sent = unsafe { libc::sendmmsg(fd, headers, count as libc::c_uint, flags as _) };
            match usize::try_from(sent) {
                Ok(0) => Err(libc::EAGAIN),
                Ok(sent) => Ok(sent.min(count)),
                Err(_) => Err(errno::last()),
            }
        }
    }

    /// Sends the datagrams of one message by themselves.
    fn send_singly(&mut self, fd: RawFd, index: usize, report: &mut SendReport) {
        let mut message = self.messages[index];
        let parts = message.first_part..message.end_part;
        let segment = message.segment as usize;
        let total = message.total as usize;
        // Without the request to cut it up, the header serves for each of the datagrams.
        message.datagrams = 1;
        self.messages[index] = message;
        self.head(index);
        let mut header = self.headers.as_slice()[index].msg_hdr;

        let mut source = self.iovecs.as_slice()[parts].iter().copied();
        let mut rest = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut start = 0;
        while start < total {
            let length = segment.min(total - start);
            let mut pieces = [libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }; PARTS];
            let mut used = 0;
            let mut missing = length;
            while missing > 0 && used < PARTS {
                if rest.iov_len == 0 {
                    let Some(part) = source.next() else { break };
                    rest = part;
                }
                let taken = missing.min(rest.iov_len);
                pieces[used] = libc::iovec {
                    iov_base: rest.iov_base,
                    iov_len: taken,
                };
                rest.iov_base = rest.iov_base.wrapping_byte_add(taken);
                rest.iov_len -= taken;
                missing -= taken;
                used += 1;
            }
            header.msg_iov = pieces.as_mut_ptr();
            header.msg_iovlen = used as _;
            start += length;
            let mut result = send_one(fd, &header);
            if matches!(result, Err(number) if errno::is_icmp(number)) {
                result = send_one(fd, &header);
            }
            match result {
                Ok(()) => {
                    report.sent += 1;
                    report.sent_bytes += length as u64;
                }
                Err(libc::EAGAIN | libc::ENOBUFS) => report.would_block += 1,
                Err(number) => report.fail(1, number),
            }
        }
    }
}

/// Errors by which the kernel refuses to cut a message: a segment over the MTU (`EINVAL`, since 6.9
/// `EMSGSIZE`), no checksum offload or an IPsec route (`EIO`), no such option (`ENOPROTOOPT`).
fn uncuttable(number: i32) -> bool {
    matches!(
        number,
        libc::EINVAL | libc::EMSGSIZE | libc::EIO | libc::ENOPROTOOPT
    )
}

/// `header` must point at memory that stays in place during the call, as those of `prepare` do.
fn send_one(fd: RawFd, header: &libc::msghdr) -> Result<(), i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the callers, all in this file, pass headers whose pointers are borrowed meanwhile.
    let sent = unsafe { libc::sendmsg(fd, header, flags) };
    if sent < 0 { Err(errno::last()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UDP over loopback never fills a send buffer, as the receiver is charged at once. A pair of
    /// `SOCK_SEQPACKET` sockets does, and ignores the address.
    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (ours, theirs) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
        ours.set_nonblocking(true).unwrap();
        ours.set_send_buffer_size(8192).unwrap();
        let to = "127.0.0.1:9".parse().unwrap();
        let socket = Socket::from_parts(ours.into(), to);
        let none = ReceiveBatch::new(0);
        let mut batch = SendBatch::new(64, 64);
        for length in 1000..1064 {
            // Growing lengths are not joined: 64 messages.
            batch.push_bytes(to, None, 0, &[1; 2048][..length]).unwrap();
        }
        let report = batch.flush(&socket, &none);
        assert!(report.sent > 0 && report.would_block > 0, "{report:?}");
        assert_eq!((report.sent + report.would_block, report.failed), (64, 0));
        let bytes: u64 = (1000..1000 + report.sent).sum();
        assert_eq!(report.sent_bytes, bytes);
        assert!(batch.is_empty());

        // A single message takes the other way into the kernel, and ends the same.
        batch.push_bytes(to, None, 0, b"late").unwrap();
        let expected = SendReport {
            would_block: 1,
            ..SendReport::default()
        };
        assert_eq!(batch.flush(&socket, &none), expected);
        drop(theirs);
        batch.push_bytes(to, None, 0, b"gone").unwrap();
        let report = batch.flush(&socket, &none);
        assert_eq!(
            (report.failed, report.last_error),
            (1, Some(libc::ECONNRESET))
        );
    }
}
