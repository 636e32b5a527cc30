//! A DNS name that a SIP element is asked to reach or claims to be, and a host to keep.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::Host;

/// The longest name in text form, without the final dot (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
/// The longest label of a name (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A DNS name in lower case and without a final dot, so that equal names are equal bytes (RFC 5922 §7.2
/// compares domains without regard to case). Cheap to clone.
///
/// A name in another script has its ASCII form here (`xn--…`, RFC 5890); an address in digits is no name.
///
/// ```
/// use wharf_sip::Domain;
///
/// let domain: Domain = "Atlanta.Example.COM.".parse().unwrap();
/// assert_eq!(domain.as_str(), "atlanta.example.com");
/// assert!("192.0.2.1".parse::<Domain>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// Why a text is no [`Domain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// It is empty or longer than 253 bytes (RFC 1035 §2.3.4).
    #[error("a domain name has 1 to 253 bytes, this one {0}")]
    Length(usize),
    /// A label is empty or longer than 63 bytes (RFC 1035 §2.3.4).
    #[error("a label of a domain name has 1 to 63 bytes, this one {0}")]
    Label(usize),
    /// A byte that is no letter, digit, hyphen or underscore.
    #[error("byte 0x{0:02x} cannot stand in a domain name")]
    Byte(u8),
    /// The last label is a number: an address, not a name (RFC 3696 §2).
    #[error("the last label is a number: an address, not a name")]
    Numeric,
}

impl Domain {
    /// The name, in lower case and without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name lies below `invalid` and is never to be resolved (RFC 2606 §2): what a WebSocket
    /// client that knows no address of its own writes into its Via (RFC 7118 §5.2.1).
    pub fn is_invalid(&self) -> bool {
        &*self.0 == "invalid" || self.0.ends_with(".invalid")
    }

    /// The name with these labels before it, such as `_sip._udp`; none where it would be too long.
    pub fn with_labels(&self, labels: &str) -> Option<Self> {
        format!("{labels}.{self}").parse().ok()
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(DomainError::Length(name.len()));
        }
        let mut last = "";
        for label in name.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return Err(DomainError::Label(label.len()));
            }
            let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if let Some(byte) = label.bytes().find(|byte| !legal(byte)) {
                return Err(DomainError::Byte(byte));
            }
            last = label;
        }
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DomainError::Numeric);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A [`Host`] that outlives the message it stood in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnedHost {
    /// A name.
    Name(Domain),
    /// An address.
    Ip(IpAddr),
}

impl OwnedHost {
    /// The host as it stands in a message; fails where it is a name that DNS could not be asked for.
    pub fn new(host: Host<'_>) -> Result<Self, DomainError> {
        Ok(match host {
            Host::Ip(ip) => Self::Ip(ip),
            Host::Name(name) => Self::Name(name.parse()?),
        })
    }

    /// The name, when it is one.
    pub fn name(&self) -> Option<&Domain> {
        match self {
            Self::Name(name) => Some(name),
            Self::Ip(_) => None,
        }
    }

    /// The same, as it is compared and written.
    pub fn as_host(&self) -> Host<'_> {
        match self {
            Self::Name(name) => Host::Name(name.as_str()),
            Self::Ip(ip) => Host::Ip(*ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_or_refused_for_its_reason() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63).as_str(); 4].join(".");
        let cases: [(&str, Result<&str, DomainError>); 12] = [
            ("example.com", Ok("example.com")),
            ("EXAMPLE.com.", Ok("example.com")),
            ("_sip._udp.Example.com", Ok("_sip._udp.example.com")),
            ("localhost", Ok("localhost")),
            ("3com.1a", Ok("3com.1a")),
            ("", Err(DomainError::Length(0))),
            (".", Err(DomainError::Length(0))),
            (&long_name, Err(DomainError::Length(255))),
            (&long_label, Err(DomainError::Label(64))),
            ("a..b", Err(DomainError::Label(0))),
            ("a b", Err(DomainError::Byte(b' '))),
            ("192.0.2.1", Err(DomainError::Numeric)),
        ];
        for (text, expected) in cases {
            let parsed: Result<Domain, _> = text.parse();
            assert_eq!(
                parsed.as_ref().map(Domain::as_str),
                expected.as_ref().copied(),
                "{text}"
            );
        }
    }

    #[test]
    fn names_below_invalid_are_known() {
        let invalid = |name: &str| name.parse::<Domain>().unwrap().is_invalid();
        assert!(invalid("df7jal23ls0d.INVALID") && invalid("invalid"));
        assert!(!invalid("notinvalid") && !invalid("invalid.example"));
    }

    #[test]
    fn labels_go_before_a_name_that_has_room_for_them() {
        let domain: Domain = "example.com".parse().unwrap();
        assert_eq!(
            domain.with_labels("_sip._udp").unwrap().as_str(),
            "_sip._udp.example.com"
        );
        let longest: Domain = ["a".repeat(61).as_str(); 4].join(".").parse().unwrap();
        assert_eq!(longest.with_labels("_sip._udp"), None);
    }
}
