//! Socket addresses as the kernel spells them: `sockaddr_in` and `sockaddr_in6`, by hand and in place.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Size of `sockaddr_in` and of `sockaddr_in6` in bytes.
pub(crate) const V4_LENGTH: usize = size_of::<libc::sockaddr_in>();
pub(crate) const V6_LENGTH: usize = size_of::<libc::sockaddr_in6>();

/// Room for either kind of address, laid out as `ip(7)` and `ipv6(7)` say:
/// family (host order), port (network order), then address, or flow label, address and scope.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Name(pub(crate) [u8; V6_LENGTH]);

impl Name {
    pub(crate) const EMPTY: Name = Name([0; V6_LENGTH]);

    /// Overwrites this name; returns the length of the part in use.
    pub(crate) fn set(&mut self, address: &SocketAddr) -> usize {
        let bytes = &mut self.0;
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                bytes[8..16].fill(0);
                V4_LENGTH
            }
            SocketAddr::V6(v6) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                V6_LENGTH
            }
        }
    }
}

/// Reads a `sockaddr`; `None` when the family is another one or the bytes are too few.
///
/// The flow label is left out, so that all datagrams of one sender have equal addresses. An IPv4
/// address that a socket of both families maps is given as IPv4; the kernel takes it so too.
pub(crate) fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(ip.into(), port).into())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            match Ipv6Addr::from(ip).to_ipv4_mapped() {
                Some(v4) => Some(SocketAddrV4::new(v4, port).into()),
                None => Some(SocketAddrV6::new(ip.into(), port, 0, scope).into()),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.7:3478", "[2001:db8::1]:5349", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = Name([0xFF; V6_LENGTH]);
            let length = name.set(&address);
            assert_eq!(parse(&name.0[..length]), Some(address));
        }
    }

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        let mut name = Name::EMPTY;
        let length = name.set(&"[::1]:1".parse().unwrap());
        for cut in 0..length {
            assert_eq!(parse(&name.0[..cut]), None);
        }
        name.0[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        assert_eq!(parse(&name.0), None);
    }
}
