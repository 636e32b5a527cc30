//! Why a datagram was dropped.

/// Why a datagram that the kernel handed over reached no handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dropped {
    /// `access`, by its source.
    Access,
    /// `unix.peers`, by the process that sent it.
    Identity,
    /// `rates.datagrams-per-prefix`.
    PrefixRate,
    /// Longer than `datagrams.max-size`.
    Oversized,
    /// The PROXY header is malformed, missing where it is required, or names another client than
    /// the flow has.
    Proxy,
    /// `datagrams.queue`: the handler of its flow is too slow.
    QueueFull,
    /// `limits.memory`: the server's memory for what waits is used up.
    Memory,
    /// It would have begun a flow, which was refused; the reason is counted too.
    Refused,
    /// It would have begun a flow, or reached a handler, while the listener is suspended or stops.
    Suspended,
    /// It ends before the bytes of `datagrams.flow-key`.
    NoKey,
    /// A Unix sender without a name, where there are flows: it could not be answered.
    Unnamed,
    /// It would have begun a flow, and what it speaks has no handler.
    NoHandler,
    /// It belongs to no flow, and the protocol does not begin one with it.
    Ignored,
}

impl Dropped {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Access,
        Self::Identity,
        Self::PrefixRate,
        Self::Oversized,
        Self::Proxy,
        Self::QueueFull,
        Self::Memory,
        Self::Refused,
        Self::Suspended,
        Self::NoKey,
        Self::Unnamed,
        Self::NoHandler,
        Self::Ignored,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Identity => "identity",
            Self::PrefixRate => "prefix-rate",
            Self::Oversized => "oversized",
            Self::Proxy => "proxy",
            Self::QueueFull => "queue-full",
            Self::Memory => "memory",
            Self::Refused => "refused",
            Self::Suspended => "suspended",
            Self::NoKey => "no-key",
            Self::Unnamed => "unnamed",
            Self::NoHandler => "no-handler",
            Self::Ignored => "ignored",
        }
    }
}
