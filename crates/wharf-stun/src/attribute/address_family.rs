//! The address family of RFC 8489 §14.1.

use std::net::{IpAddr, SocketAddr};

use crate::{AttributeError, AttributeType};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4, 0x01.
    V4,
    /// IPv6, 0x02.
    V6,
}

impl AddressFamily {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    /// The family with this number; others are a value error of the attribute `ty`.
    pub(super) fn decode(ty: AttributeType, code: u8) -> Result<Self, AttributeError> {
        match code {
            1 => Ok(Self::V4),
            2 => Ok(Self::V6),
            _ => Err(AttributeError::Value { ty }),
        }
    }
}

impl From<IpAddr> for AddressFamily {
    fn from(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl From<SocketAddr> for AddressFamily {
    fn from(address: SocketAddr) -> Self {
        address.ip().into()
    }
}
