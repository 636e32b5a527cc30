//! ICMP errors about datagrams sent earlier, from the socket's error queue.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use crate::control::{self, Control};
use crate::errno;
use crate::name::{self, Name, V6_LENGTH};
use crate::socket::Socket;

/// Entries of another origin passed over in one call; the rest waits for the next event.
const SKIPPED: usize = 64;

/// An ICMP or ICMPv6 error message that answers a datagram of this socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the datagram was going.
    pub destination: SocketAddr,
    /// The type of the ICMP message (RFC 792) or ICMPv6 message (RFC 4443), by the family of
    /// `destination`.
    pub icmp_type: u8,
    /// The code of the message.
    pub code: u8,
    /// Next-hop MTU in bytes, in ICMP type 3 code 4 (RFC 1191) and ICMPv6 type 2; otherwise 0.
    pub mtu: u32,
    /// The router or host that reported the error.
    pub offender: Option<IpAddr>,
}

impl IcmpError {
    /// Reads `struct sock_extended_err` and the `sockaddr` behind it; `None` for another origin.
    fn parse(destination: SocketAddr, bytes: &[u8]) -> Option<IcmpError> {
        let error: &[u8; 16] = bytes.first_chunk()?;
        let [_, _, _, _, origin, icmp_type, code, _, info @ ..] = *error;
        let carries_mtu = match origin {
            libc::SO_EE_ORIGIN_ICMP => (icmp_type, code) == (3, 4),
            libc::SO_EE_ORIGIN_ICMP6 => icmp_type == 2,
            _ => return None,
        };
        let info = u32::from_ne_bytes(*info.first_chunk()?);
        Some(IcmpError {
            destination,
            icmp_type,
            code,
            mtu: if carries_mtu { info } else { 0 },
            offender: name::parse(&bytes[error.len()..]).map(|offender| offender.ip()),
        })
    }
}

impl Socket {
    /// Takes the next ICMP error off the queue; `None` when there is none. Needs
    /// [`SocketOptions::errors`](crate::SocketOptions). The poller reports a waiting one as
    /// [`Event::error`](crate::Event).
    pub fn receive_error(&self) -> io::Result<Option<IcmpError>> {
        for _ in 0..SKIPPED {
            let mut name = Name::EMPTY;
            let mut control = Control::EMPTY;
            // SAFETY: `msghdr` is integers and pointers, for which zero is a value.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_name = (&raw mut name).cast();
            header.msg_namelen = V6_LENGTH as libc::socklen_t;
            header.msg_control = (&raw mut control).cast();
            header.msg_controllen = Control::SIZE as _;
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            // SAFETY: the header describes `name` and `control`, which outlive the call.
            if unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut header, flags) } < 0 {
                match errno::last() {
                    libc::EAGAIN => return Ok(None),
                    libc::EINTR => continue,
                    number => return Err(io::Error::from_raw_os_error(number)),
                }
            }
            let named = (header.msg_namelen as usize).min(V6_LENGTH);
            let Some(destination) = name::parse(&name.0[..named]) else {
                continue;
            };
            let mut found = None;
            // SAFETY: the kernel has just filled `control` as the header says.
            unsafe {
                control::read(&header, |level, kind, data| {
                    if matches!(
                        (level, kind),
                        (libc::IPPROTO_IP, libc::IP_RECVERR)
                            | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
                    ) {
                        found = IcmpError::parse(destination, data);
                    }
                });
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(origin: u8, icmp_type: u8, code: u8, info: u32) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes[4..7].copy_from_slice(&[origin, icmp_type, code]);
        bytes[8..12].copy_from_slice(&info.to_ne_bytes());
        let mut name = Name::EMPTY;
        let length = name.set(&"192.0.2.1:0".parse().unwrap());
        bytes.extend_from_slice(&name.0[..length]);
        bytes
    }

    #[test]
    fn the_mtu_is_kept_only_where_the_message_carries_one() {
        let to: SocketAddr = "198.51.100.2:9".parse().unwrap();
        let too_big = IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_ICMP, 3, 4, 1280)).unwrap();
        assert_eq!((too_big.mtu, too_big.code), (1280, 4));
        assert_eq!(too_big.offender, Some("192.0.2.1".parse().unwrap()));
        let pointer = IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_ICMP, 12, 0, 7)).unwrap();
        assert_eq!(pointer.mtu, 0);
        let six = IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_ICMP6, 2, 0, 1400)).unwrap();
        assert_eq!(six.mtu, 1400);
    }

    #[test]
    fn local_errors_and_short_entries_are_no_icmp_errors() {
        let to: SocketAddr = "198.51.100.2:9".parse().unwrap();
        assert_eq!(
            IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_LOCAL, 0, 0, 1500)),
            None
        );
        assert_eq!(
            IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_ICMP, 3, 3, 0)[..15]),
            None
        );
        let bare = IcmpError::parse(to, &entry(libc::SO_EE_ORIGIN_ICMP, 3, 3, 0)[..16]).unwrap();
        assert_eq!(bare.offender, None);
    }
}
