//! The 16-bit type of an attribute, with every code point that this crate reads or writes.

use std::fmt;

/// The type of an attribute (RFC 8489 §14, §18.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// RFC 8489 §14.1.
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// RFC 5780 §7.2.
    pub const CHANGE_REQUEST: Self = Self(0x0003);
    /// RFC 8489 §14.3.
    pub const USERNAME: Self = Self(0x0006);
    /// RFC 8489 §14.5.
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// RFC 8489 §14.8.
    pub const ERROR_CODE: Self = Self(0x0009);
    /// RFC 8489 §14.13.
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    /// RFC 8656 §18.1.
    pub const CHANNEL_NUMBER: Self = Self(0x000c);
    /// RFC 8656 §18.2.
    pub const LIFETIME: Self = Self(0x000d);
    /// RFC 8656 §18.3.
    pub const XOR_PEER_ADDRESS: Self = Self(0x0012);
    /// RFC 8656 §18.4.
    pub const DATA: Self = Self(0x0013);
    /// RFC 8489 §14.9.
    pub const REALM: Self = Self(0x0014);
    /// RFC 8489 §14.10.
    pub const NONCE: Self = Self(0x0015);
    /// RFC 8656 §18.5.
    pub const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    /// RFC 8656 §18.6.
    pub const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    /// RFC 8656 §18.7.
    pub const EVEN_PORT: Self = Self(0x0018);
    /// RFC 8656 §18.8.
    pub const REQUESTED_TRANSPORT: Self = Self(0x0019);
    /// RFC 8656 §18.9.
    pub const DONT_FRAGMENT: Self = Self(0x001a);
    /// RFC 7635 §6.2.
    pub const ACCESS_TOKEN: Self = Self(0x001b);
    /// RFC 8489 §14.6.
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    /// RFC 8489 §14.12.
    pub const PASSWORD_ALGORITHM: Self = Self(0x001d);
    /// RFC 8489 §14.4.
    pub const USERHASH: Self = Self(0x001e);
    /// RFC 8489 §14.2.
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// RFC 8656 §18.10.
    pub const RESERVATION_TOKEN: Self = Self(0x0022);
    /// RFC 5780 §7.6.
    pub const PADDING: Self = Self(0x0026);
    /// RFC 5780 §7.5.
    pub const RESPONSE_PORT: Self = Self(0x0027);
    /// RFC 6062 §6.2.1.
    pub const CONNECTION_ID: Self = Self(0x002a);
    /// RFC 8656 §18.11.
    pub const ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8000);
    /// RFC 8656 §18.12.
    pub const ADDRESS_ERROR_CODE: Self = Self(0x8001);
    /// RFC 8489 §14.11.
    pub const PASSWORD_ALGORITHMS: Self = Self(0x8002);
    /// RFC 8489 §14.16.
    pub const ALTERNATE_DOMAIN: Self = Self(0x8003);
    /// RFC 8656 §18.13.
    pub const ICMP: Self = Self(0x8004);
    /// RFC 8489 §14.14.
    pub const SOFTWARE: Self = Self(0x8022);
    /// RFC 8489 §14.15.
    pub const ALTERNATE_SERVER: Self = Self(0x8023);
    /// RFC 8489 §14.7.
    pub const FINGERPRINT: Self = Self(0x8028);
    /// RFC 5780 §7.3.
    pub const RESPONSE_ORIGIN: Self = Self(0x802b);
    /// RFC 5780 §7.4.
    pub const OTHER_ADDRESS: Self = Self(0x802c);
    /// RFC 7635 §6.1.
    pub const THIRD_PARTY_AUTHORIZATION: Self = Self(0x802e);
    /// RFC 8016 §3.1.
    pub const MOBILITY_TICKET: Self = Self(0x8030);
    /// ADDITIONAL-ADDRESS-FAMILY of draft-ietf-tram-turn-ssoda; RFC 8656 has it at 0x8000.
    pub const DRAFT_ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8032);

    /// Whether a receiver that does not know the attribute must refuse the message: types below
    /// 0x8000 (RFC 8489 §14).
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// The name that its RFC gives it; `None` for a type that this crate does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MAPPED_ADDRESS => "MAPPED-ADDRESS",
            Self::CHANGE_REQUEST => "CHANGE-REQUEST",
            Self::USERNAME => "USERNAME",
            Self::MESSAGE_INTEGRITY => "MESSAGE-INTEGRITY",
            Self::ERROR_CODE => "ERROR-CODE",
            Self::UNKNOWN_ATTRIBUTES => "UNKNOWN-ATTRIBUTES",
            Self::CHANNEL_NUMBER => "CHANNEL-NUMBER",
            Self::LIFETIME => "LIFETIME",
            Self::XOR_PEER_ADDRESS => "XOR-PEER-ADDRESS",
            Self::DATA => "DATA",
            Self::REALM => "REALM",
            Self::NONCE => "NONCE",
            Self::XOR_RELAYED_ADDRESS => "XOR-RELAYED-ADDRESS",
            Self::REQUESTED_ADDRESS_FAMILY => "REQUESTED-ADDRESS-FAMILY",
            Self::EVEN_PORT => "EVEN-PORT",
            Self::REQUESTED_TRANSPORT => "REQUESTED-TRANSPORT",
            Self::DONT_FRAGMENT => "DONT-FRAGMENT",
            Self::ACCESS_TOKEN => "ACCESS-TOKEN",
            Self::MESSAGE_INTEGRITY_SHA256 => "MESSAGE-INTEGRITY-SHA256",
            Self::PASSWORD_ALGORITHM => "PASSWORD-ALGORITHM",
            Self::USERHASH => "USERHASH",
            Self::XOR_MAPPED_ADDRESS => "XOR-MAPPED-ADDRESS",
            Self::RESERVATION_TOKEN => "RESERVATION-TOKEN",
            Self::PADDING => "PADDING",
            Self::RESPONSE_PORT => "RESPONSE-PORT",
            Self::CONNECTION_ID => "CONNECTION-ID",
            Self::ADDITIONAL_ADDRESS_FAMILY => "ADDITIONAL-ADDRESS-FAMILY",
            Self::ADDRESS_ERROR_CODE => "ADDRESS-ERROR-CODE",
            Self::PASSWORD_ALGORITHMS => "PASSWORD-ALGORITHMS",
            Self::ALTERNATE_DOMAIN => "ALTERNATE-DOMAIN",
            Self::ICMP => "ICMP",
            Self::SOFTWARE => "SOFTWARE",
            Self::ALTERNATE_SERVER => "ALTERNATE-SERVER",
            Self::FINGERPRINT => "FINGERPRINT",
            Self::RESPONSE_ORIGIN => "RESPONSE-ORIGIN",
            Self::OTHER_ADDRESS => "OTHER-ADDRESS",
            Self::THIRD_PARTY_AUTHORIZATION => "THIRD-PARTY-AUTHORIZATION",
            Self::MOBILITY_TICKET => "MOBILITY-TICKET",
            Self::DRAFT_ADDITIONAL_ADDRESS_FAMILY => "ADDITIONAL-ADDRESS-FAMILY (draft)",
            _ => return None,
        })
    }
}

/// The name, or the number in hexadecimal.
impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_the_upper_half_is_optional() {
        assert!(AttributeType(0x0000).is_comprehension_required());
        assert!(AttributeType(0x7fff).is_comprehension_required());
        assert!(!AttributeType(0x8000).is_comprehension_required());
        assert!(!AttributeType(0xffff).is_comprehension_required());
    }

    #[test]
    fn names() {
        let known = (0..=u16::MAX)
            .filter(|&code| AttributeType(code).name().is_some())
            .count();
        assert_eq!(known, 39);
        assert_eq!(AttributeType::USERHASH.to_string(), "USERHASH");
        assert_eq!(format!("{:?}", AttributeType(0x7f)), "0x007f");
    }
}
