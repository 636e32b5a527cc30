//! A transport address as a value, in the clear and XORed (RFC 8489 §14.1, §14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{AddressFamily, array};
use crate::{AttributeError, AttributeType, MAGIC_COOKIE, TransactionId};

/// 8 bytes for IPv4, 20 for IPv6.
pub(super) fn value_len(address: SocketAddr) -> usize {
    if address.is_ipv4() { 8 } else { 20 }
}

/// The first byte is ignored, then family, port and address.
pub(super) fn decode(ty: AttributeType, value: &[u8]) -> Result<SocketAddr, AttributeError> {
    let &[_, family, ..] = value else {
        return Err(AttributeError::Length {
            ty,
            len: value.len(),
        });
    };
    match AddressFamily::decode(ty, family)? {
        AddressFamily::V4 => {
            let [_, _, p0, p1, ip @ ..] = array::<8>(ty, value)?;
            Ok(SocketAddr::new(
                Ipv4Addr::from(ip).into(),
                u16::from_be_bytes([p0, p1]),
            ))
        }
        AddressFamily::V6 => {
            let [_, _, p0, p1, ip @ ..] = array::<20>(ty, value)?;
            Ok(SocketAddr::new(
                Ipv6Addr::from(ip).into(),
                u16::from_be_bytes([p0, p1]),
            ))
        }
    }
}

/// `out` has [`value_len`] bytes.
pub(super) fn encode(address: SocketAddr, out: &mut [u8]) {
    out[..2].copy_from_slice(&[0, AddressFamily::from(address).code()]);
    out[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => out[4..].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out[4..].copy_from_slice(&ip.octets()),
    }
}

pub(super) fn decode_xor(
    ty: AttributeType,
    value: &[u8],
    id: &TransactionId,
) -> Result<SocketAddr, AttributeError> {
    decode(ty, value).map(|address| xor(address, id))
}

pub(super) fn encode_xor(address: SocketAddr, out: &mut [u8], id: &TransactionId) {
    encode(xor(address, id), out);
}

/// The port with the upper half of the cookie, an IPv4 address with the cookie, an IPv6 address
/// with the cookie and the transaction ID (RFC 8489 §14.2). Twice is the identity.
fn xor(address: SocketAddr, id: &TransactionId) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE).into(),
        IpAddr::V6(ip) => {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            key[4..].copy_from_slice(&id.0);
            Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(key)).into()
        }
    };
    SocketAddr::new(ip, address.port() ^ (MAGIC_COOKIE >> 16) as u16)
}
