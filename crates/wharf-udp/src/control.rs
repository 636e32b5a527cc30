//! Control messages (`cmsg(3)`): the side data of a datagram, written and read.

use std::net::IpAddr;

/// Room for every control message that this crate asks for or sends: packet info, traffic class, hop
/// limit, segment size, timestamp and drop counter, or one extended error with its offender.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control(pub(crate) [u8; Control::SIZE]);

impl Control {
    pub(crate) const SIZE: usize = 256;
    pub(crate) const EMPTY: Control = Control([0; Control::SIZE]);
}

/// Appends control messages to a buffer.
pub(crate) struct Writer<'a> {
    buffer: &'a mut Control,
    used: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut Control) -> Writer<'a> {
        Writer { buffer, used: 0 }
    }

    /// Bytes written so far: the value of `msg_controllen`.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Sends from this address (`IP_PKTINFO`, `IPV6_PKTINFO`); the interface is left to routing.
    pub(crate) fn source(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => {
                // struct in_pktinfo: interface index, source, unused destination.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(ip) => {
                // struct in6_pktinfo: source, interface index.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// Sets the IPv4 TOS or IPv6 traffic class octet.
    pub(crate) fn traffic_class(&mut self, v6: bool, value: u8) {
        let value = i32::from(value).to_ne_bytes();
        if v6 {
            self.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &value);
        } else {
            self.put(libc::IPPROTO_IP, libc::IP_TOS, &value);
        }
    }

    /// Has the kernel cut the message into datagrams of this many bytes (`UDP_SEGMENT`).
    pub(crate) fn segment(&mut self, size: u16) {
        self.put(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Sends an SCTP message on this stream (`struct sctp_sndinfo`: stream, flags, identifier, context,
    /// association). The identifier goes as its bytes on the wire.
    pub(crate) fn sctp_send_info(&mut self, stream: u16, ppid: u32, unordered: bool) {
        let flags = u16::from(unordered) * libc::SCTP_UNORDERED as u16;
        let mut info = [0; 16];
        info[..2].copy_from_slice(&stream.to_ne_bytes());
        info[2..4].copy_from_slice(&flags.to_ne_bytes());
        info[4..8].copy_from_slice(&ppid.to_be_bytes());
        self.put(libc::IPPROTO_SCTP, libc::SCTP_SNDINFO, &info);
    }

    fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        // SAFETY: these three compute sizes; they touch no memory.
        let (space, length, offset) = unsafe {
            let size = data.len() as u32;
            (
                libc::CMSG_SPACE(size),
                libc::CMSG_LEN(size),
                libc::CMSG_LEN(0),
            )
        };
        let room = &mut self.buffer.0[self.used..self.used + space as usize];
        // SAFETY: `cmsghdr` is plain integers, for which zero is a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_len = length as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: `room` is at least CMSG_LEN(0) bytes, the size of the header rounded up.
        unsafe {
            room.as_mut_ptr()
                .cast::<libc::cmsghdr>()
                .write_unaligned(header);
        };
        room[offset as usize..length as usize].copy_from_slice(data);
        self.used += space as usize;
    }
}

/// Calls `visit(level, type, data)` for each control message that the kernel wrote.
///
/// # Safety
/// `msg_control` and `msg_controllen` of the header must describe memory that the kernel filled.
pub(crate) unsafe fn read(header: &libc::msghdr, mut visit: impl FnMut(i32, i32, &[u8])) {
    // SAFETY: the caller vouches for the header; the macros stay within msg_controllen.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: a header returned by the macros lies within the control buffer, which is aligned
        // for it, and its length covers the data that follows.
        unsafe {
            let length = ((*next).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let data = std::slice::from_raw_parts(libc::CMSG_DATA(next), length);
            visit((*next).cmsg_level, (*next).cmsg_type, data);
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_all_of_it_fits() {
        let mut control = Control::EMPTY;
        let mut writer = Writer::new(&mut control);
        writer.source("2001:db8::7".parse().unwrap());
        writer.traffic_class(true, 0xB8);
        writer.segment(1200);
        let used = writer.len();
        // SAFETY: zero is a valid msghdr; the control fields are set to the buffer just written.
        let seen = unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = used as _;
            let mut seen = Vec::new();
            read(&header, |level, kind, data| {
                seen.push((level, kind, data.to_vec()));
            });
            seen
        };
        let kinds: Vec<_> = seen
            .iter()
            .map(|(level, kind, _)| (*level, *kind))
            .collect();
        let expected = [
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            (libc::SOL_UDP, libc::UDP_SEGMENT),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(seen[0].2[..4], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(seen[1].2, 0xB8_i32.to_ne_bytes());
        assert_eq!(seen[2].2, 1200_u16.to_ne_bytes());
    }
}
