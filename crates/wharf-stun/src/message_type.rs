//! The 14-bit message type: a method and a class, with their bits interleaved (RFC 8489 §5).

use std::fmt;

/// The part that a message plays in an exchange (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for a response (0b00).
    Request,
    /// Is never answered (0b01).
    Indication,
    /// Answers a request that was carried out (0b10).
    Success,
    /// Answers a request that failed (0b11).
    Error,
}

/// What a message is about: 12 bits (RFC 8489 §18.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(u16);

impl Method {
    /// RFC 8489 §18.2.
    pub const BINDING: Self = Self(0x001);
    /// RFC 8656 §17.
    pub const ALLOCATE: Self = Self(0x003);
    /// RFC 8656 §17.
    pub const REFRESH: Self = Self(0x004);
    /// RFC 8656 §17; indications only.
    pub const SEND: Self = Self(0x006);
    /// RFC 8656 §17; indications only.
    pub const DATA: Self = Self(0x007);
    /// RFC 8656 §17.
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// RFC 8656 §17.
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// RFC 6062 §6.1.
    pub const CONNECT: Self = Self(0x00a);
    /// RFC 6062 §6.1.
    pub const CONNECTION_BIND: Self = Self(0x00b);
    /// RFC 6062 §6.1; indications only.
    pub const CONNECTION_ATTEMPT: Self = Self(0x00c);

    /// The method with this code; `None` above 0xfff, the largest that 12 bits hold.
    pub const fn new(code: u16) -> Option<Self> {
        if code <= 0xfff {
            Some(Self(code))
        } else {
            None
        }
    }

    /// The code, 0 to 0xfff.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The name that its RFC gives it; `None` for a method that this crate does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::BINDING => "Binding",
            Self::ALLOCATE => "Allocate",
            Self::REFRESH => "Refresh",
            Self::SEND => "Send",
            Self::DATA => "Data",
            Self::CREATE_PERMISSION => "CreatePermission",
            Self::CHANNEL_BIND => "ChannelBind",
            Self::CONNECT => "Connect",
            Self::CONNECTION_BIND => "ConnectionBind",
            Self::CONNECTION_ATTEMPT => "ConnectionAttempt",
            _ => return None,
        })
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Method({:#05x})", self.0),
        }
    }
}

/// A method and a class, as they stand in the first two bytes of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType {
    /// What the message is about.
    pub method: Method,
    /// The part that it plays.
    pub class: Class,
}

impl MessageType {
    /// The type in the first two bytes of a message; `None` when one of the two topmost bits is
    /// set, which no STUN message has.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits > 0x3fff {
            return None;
        }
        let class = match (bits >> 4 & 1) | (bits >> 7 & 2) {
            0 => Class::Request,
            1 => Class::Indication,
            2 => Class::Success,
            _ => Class::Error,
        };
        let method = Method(bits & 0xf | bits >> 1 & 0x70 | bits >> 2 & 0xf80);
        Some(Self { method, class })
    }

    /// The first two bytes of a message of this type.
    pub const fn to_bits(self) -> u16 {
        let class = self.class as u16;
        let method = self.method.0;
        method & 0xf
            | (class & 1) << 4
            | (method & 0x70) << 1
            | (class & 2) << 7
            | (method & 0xf80) << 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_type_round_trips() {
        let mut seen = [false; 0x4000];
        for code in 0..=0xfff {
            let method = Method::new(code).expect("12 bits");
            for class in [
                Class::Request,
                Class::Indication,
                Class::Success,
                Class::Error,
            ] {
                let ty = MessageType { method, class };
                assert_eq!(MessageType::from_bits(ty.to_bits()), Some(ty));
                assert!(!std::mem::replace(
                    &mut seen[usize::from(ty.to_bits())],
                    true
                ));
            }
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn s1_known_types() {
        let bits = |method, class| MessageType { method, class }.to_bits();
        assert_eq!(bits(Method::BINDING, Class::Request), 0x0001);
        assert_eq!(bits(Method::BINDING, Class::Success), 0x0101);
        assert_eq!(bits(Method::ALLOCATE, Class::Error), 0x0113);
        assert_eq!(bits(Method::SEND, Class::Indication), 0x0016);
        assert_eq!(bits(Method::CONNECTION_ATTEMPT, Class::Indication), 0x001c);
        assert_eq!(bits(Method(0xfff), Class::Request), 0x3eef);
    }

    #[test]
    fn s1_bits_outside_the_type_are_refused() {
        for bits in 0x4000..=u16::MAX {
            assert_eq!(MessageType::from_bits(bits), None);
        }
        assert_eq!(Method::new(0x1000), None);
        assert_eq!(
            format!("{:?} {:?}", Method::SEND, Method(0x80)),
            "Send Method(0x080)"
        );
    }
}
