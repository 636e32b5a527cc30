//! The PROXY protocol, versions 1 and 2: what a proxy says about the connection that it relays.
//!
//! The module reads and writes headers in memory; it opens no socket. Section numbers are those of
//! the specification that HAProxy publishes as `proxy-protocol.txt`. Whether a source may send a
//! header at all is decided before this module is asked.
//!
//! ```
//! use wharf::proxy::{self, Addresses, Command, Header, Step, Transport, Version};
//!
//! let header = Header {
//!     version: Version::V1,
//!     command: Command::Proxy,
//!     transport: Transport::Stream,
//!     addresses: Addresses::Ip {
//!         source: "192.0.2.1:56324".parse().unwrap(),
//!         destination: "192.0.2.9:443".parse().unwrap(),
//!     },
//!     tlvs: Vec::new(),
//! };
//! let mut bytes = header.encode_v1();
//! assert_eq!(bytes, b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
//!
//! bytes.extend(b"GET /");
//! let consumed = bytes.len() - 5;
//! let step = proxy::parse(&bytes, proxy::MAX_BYTES).unwrap();
//! assert_eq!(step, Step::Done { header, consumed });
//! assert_eq!(proxy::parse(b"GET /", proxy::MAX_BYTES).unwrap(), Step::NotProxy);
//! ```

mod error;
mod tlv;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use error::{EncodeError, Error};
pub use tlv::{RawTlv, Ssl, Tlv};

/// Bytes of a header that [`parse`] is usually asked to accept at most: 4096, eight times what the
/// specification wants to fit (section 2: 536 bytes).
pub const MAX_BYTES: usize = 4096;

/// The format of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// One line of text (section 2.1).
    V1,
    /// Binary (section 2.2).
    V2,
}

/// On whose behalf the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// The proxy's own, such as a health check: the connection's real addresses hold.
    Local,
    /// A client's: the header's addresses hold, where it has any.
    Proxy,
}

/// How the client reached the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, or a Unix stream.
    Stream,
    /// UDP, or Unix datagrams.
    Datagram,
    /// Not said: the connection's real addresses hold.
    Unspecified,
}

/// The two ends of the client's connection to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// Not said: the connection's real addresses hold.
    Unspecified,
    /// IPv4 or IPv6. Both are of one family.
    Ip {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
    /// Unix socket names of at most 108 bytes: a path without its final NUL, an abstract name with
    /// its leading NUL, or nothing for a socket without a name.
    Unix {
        /// The client.
        source: Vec<u8>,
        /// What the client connected to.
        destination: Vec<u8>,
    },
}

/// A header, read or to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The format in which it was read; [`Header::encode_v1`] and [`Header::encode_v2`] do not look
    /// at it.
    pub version: Version,
    /// On whose behalf the connection was made.
    pub command: Command,
    /// How the client reached the proxy.
    pub transport: Transport,
    /// Who the client is, and what it connected to.
    pub addresses: Addresses,
    /// What else the proxy said, in its order. Empty in version 1 and for [`Command::Local`].
    pub tlvs: Vec<Tlv>,
}

/// What [`Header::encode_v2`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// Whether a CRC32C of the header is sent (section 2.2.3). Default: no.
    pub crc32c: bool,
}

/// What [`parse`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The header is not complete.
    NeedMore {
        /// Bytes that are missing at least: reading so many never takes what follows the header.
        /// Fewer may already decide, so parse again after any read.
        at_least: usize,
    },
    /// The bytes begin with no PROXY signature.
    NotProxy,
    /// A header.
    Done {
        /// What it says.
        header: Header,
        /// Its length in bytes; the application's bytes follow.
        consumed: usize,
    },
}

/// Reads the header that `buf` begins with. `buf` is all that has come so far: call again with more
/// after [`Step::NeedMore`], which in a datagram means that the header is cut off.
///
/// A header of version 2 longer than `max_bytes` is refused as soon as it has said its length;
/// version 1 never has more than 107 bytes. The first byte that differs from both signatures makes
/// [`Step::NotProxy`]; after a signature anything malformed is an [`Error`]. The memory taken is
/// at most 32 bytes for three bytes of the header.
pub fn parse(buf: &[u8], max_bytes: usize) -> Result<Step, Error> {
    if agrees(buf, v1::SIGNATURE) {
        v1::parse(buf)
    } else if agrees(buf, v2::SIGNATURE) {
        v2::parse(buf, max_bytes)
    } else {
        Ok(Step::NotProxy)
    }
}

impl Header {
    /// The header as a line of text (section 2.1). What version 1 cannot say (datagrams, Unix
    /// names, two families, [`Command::Local`]) becomes `UNKNOWN`; TLVs are left out.
    pub fn encode_v1(&self) -> Vec<u8> {
        v1::encode(self)
    }

    /// The header in binary (section 2.2). With [`Command::Local`] neither addresses nor TLVs are
    /// sent, and without addresses the transport is not.
    pub fn encode_v2(&self, options: &EncodeOptions) -> Result<Vec<u8>, EncodeError> {
        v2::encode(self, *options)
    }
}

/// Whether `datagram` begins with a header of version 2, whole or cut off.
pub(crate) fn begins_v2(datagram: &[u8]) -> bool {
    datagram.starts_with(v2::SIGNATURE)
}

/// Whether `buf` begins with `pattern`, as far as both go.
fn agrees(buf: &[u8], pattern: &[u8]) -> bool {
    buf.iter().zip(pattern).all(|(a, b)| a == b)
}
