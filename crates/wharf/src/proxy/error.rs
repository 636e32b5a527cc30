//! Why a header is refused, and why one cannot be sent.

use thiserror::Error;

/// A header that breaks the specification: the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// Version 1: the 107 bytes that a line may have hold no CR LF (section 2.1).
    #[error("the PROXY line does not end within 107 bytes")]
    LineTooLong,
    /// Version 1: a LF without its CR (section 2.1).
    #[error("the PROXY line ends without CR LF")]
    LineEnd,
    /// Version 1: the protocol is not `TCP4`, `TCP6` or `UNKNOWN`.
    #[error("the PROXY line names no protocol of TCP4, TCP6, UNKNOWN")]
    Protocol,
    /// Version 1: not two addresses and two ports with one space between.
    #[error("the PROXY line does not have two addresses and two ports")]
    Fields,
    /// Version 1: an address that its family does not allow.
    #[error("the PROXY line has an address that is not one of its protocol")]
    Address,
    /// Version 1: a port that is not a number from 0 to 65535 without leading zeros.
    #[error("the PROXY line has a port that is not a number from 0 to 65535")]
    Port,
    /// The version after the binary signature is not 2.
    #[error("PROXY version {0} is not supported")]
    Version(u8),
    /// Version 2: the command is neither LOCAL nor PROXY.
    #[error("PROXY command {0} is not assigned")]
    Command(u8),
    /// Version 2: the byte of family and transport is not one that the specification lists.
    #[error("PROXY address family and transport {0:#04x} are not assigned")]
    Family(u8),
    /// Version 2: the header is longer than the receiver accepts.
    #[error("the PROXY header has {bytes} bytes, more than the {max} allowed")]
    TooLong {
        /// The length that the header states, in bytes.
        bytes: usize,
        /// The most that is accepted, in bytes.
        max: usize,
    },
    /// Version 2: the header ends within its addresses.
    #[error("the PROXY header is too short for its addresses")]
    ShortAddresses,
    /// Version 2: the header ends within a TLV.
    #[error("the PROXY header ends within a TLV")]
    ShortTlv,
    /// Version 2: a TLV, or one within the SSL TLV, has a value that its type does not allow.
    #[error("the PROXY TLV of type {0:#04x} has a malformed value")]
    TlvValue(u8),
    /// Version 2: the CRC32C does not match (section 2.2.3).
    #[error("the PROXY header's CRC32C does not match")]
    Checksum,
}

impl Error {
    /// A short name that never changes, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::LineTooLong => "line-too-long",
            Self::LineEnd => "line-end",
            Self::Protocol => "protocol",
            Self::Fields => "fields",
            Self::Address => "address",
            Self::Port => "port",
            Self::Version(_) => "version",
            Self::Command(_) => "command",
            Self::Family(_) => "family",
            Self::TooLong { .. } => "too-long",
            Self::ShortAddresses => "short-addresses",
            Self::ShortTlv => "short-tlv",
            Self::TlvValue(_) => "tlv-value",
            Self::Checksum => "checksum",
        }
    }
}

/// A header that version 2 cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// One address is IPv4 and the other IPv6.
    #[error("source and destination of a PROXY header are of two address families")]
    MixedFamilies,
    /// There are addresses but the transport is unspecified.
    #[error("addresses in a PROXY header need a transport")]
    NoTransport,
    /// A Unix name of more than 108 bytes, or with a NUL where none can be told from the padding.
    #[error(
        "a Unix name in a PROXY header has over 108 bytes, or a NUL in its middle or at its end"
    )]
    UnixName,
    /// A TLV's value is not what its type allows, or a [`RawTlv`](super::RawTlv) has the type of a
    /// typed one.
    #[error("the PROXY TLV of type {0:#04x} has a value that cannot be sent")]
    TlvValue(u8),
    /// More than the 65,535 bytes that the length field can say.
    #[error("the PROXY header has more than 65535 bytes of addresses and TLVs")]
    TooLong,
}

impl EncodeError {
    /// A short name that never changes, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::MixedFamilies => "mixed-families",
            Self::NoTransport => "no-transport",
            Self::UnixName => "unix-name",
            Self::TlvValue(_) => "tlv-value",
            Self::TooLong => "too-long",
        }
    }
}
