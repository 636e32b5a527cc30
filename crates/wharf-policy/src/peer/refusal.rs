//! Why a peer was refused.

use crate::address::AddressClass;

/// Why a relay may not exchange data with a peer. Its `Display` is one line for the operator's log
/// and names the key to change where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PeerRefusal {
    /// The class is never a peer ([`Tier::Never`](crate::Tier::Never)).
    #[error("{0} address, never a peer")]
    Never(AddressClass),
    /// The class is refused unless listed ([`Tier::DefaultDeny`](crate::Tier::DefaultDeny)).
    #[error("{0} address, refused by default; to permit it, list its range in `peers.allow`")]
    DefaultDeny(AddressClass),
    /// Listed in `peers.deny`.
    #[error("listed in `peers.deny`")]
    Denied,
    /// Not listed while only listed peers are permitted.
    #[error("not listed in `peers.allow` while `peers.allow-only` is set")]
    NotAllowed,
    /// An address of the server itself, at no relay port.
    #[error("an address of this server, outside its relay ports")]
    OwnAddress,
    /// A socket that the server listens on.
    #[error("a listening socket of this server")]
    OwnSocket,
    /// Port 0, which is no destination (RFC 768).
    #[error("peer port 0")]
    PortZero,
    /// A port below 1024 while those are refused.
    #[error("peer port below 1024 while `peers.deny-low-ports` is set")]
    LowPort,
}

impl PeerRefusal {
    /// The reason as a metrics label: one of a fixed set; for a class, the label of the class.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Never(class) | Self::DefaultDeny(class) => class.label(),
            Self::Denied => "denied",
            Self::NotAllowed => "not-allowed",
            Self::OwnAddress => "own-address",
            Self::OwnSocket => "own-socket",
            Self::PortZero => "port-zero",
            Self::LowPort => "low-port",
        }
    }
}
