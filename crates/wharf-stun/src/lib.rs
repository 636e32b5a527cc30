//! The STUN and TURN wire format: views over bytes and a writer into bytes. No sockets, no clock,
//! no state.
//!
//! It covers the methods and attributes of STUN (RFC 8489), TURN (RFC 8656), TURN over TCP
//! (RFC 6062), NAT behaviour discovery (RFC 5780), third-party authorisation (RFC 7635) and
//! mobility (RFC 8016). It does not decide what a message means: that is the server's work.
//!
//! Parsing, verifying and writing allocate nothing: a [`Message`] borrows the datagram, a
//! [`Writer`] fills the caller's buffer. Malformed input is a typed error, never a panic.
//!
//! ```
//! use wharf_stun::attribute::{Username, XorMappedAddress};
//! use wharf_stun::{Class, Message, MessageType, Method, Sha1Key, TransactionId, Writer};
//!
//! let key = Sha1Key::new(b"VOkJxbRl1RmTxUk/WvJxBt");
//! let id = TransactionId([7; 12]);
//! let success = MessageType { method: Method::BINDING, class: Class::Success };
//!
//! let mut buffer = [0; 128];
//! let mut writer = Writer::new(&mut buffer, success, id)?;
//! writer.push(&XorMappedAddress("192.0.2.1:32853".parse()?))?;
//! writer.integrity_sha1(&key)?.fingerprint()?;
//! let bytes = writer.finish();
//!
//! let message = Message::parse(bytes)?;
//! assert_eq!(message.transaction_id(), id);
//! assert!(message.verify_sha1(&key));
//! assert!(message.get::<Username>().is_none());
//! let address = message.get::<XorMappedAddress>().expect("it was written")?;
//! assert_eq!(address.0.port(), 32853);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribute;
mod attribute_type;
mod channel_data;
pub mod credential;
mod demux;
mod fingerprint;
mod framer;
mod integrity;
mod message;
mod message_type;
mod order;
pub mod security_features;
mod writer;

pub use attribute::{Attribute, AttributeError};
pub use attribute_type::AttributeType;
pub use channel_data::{ChannelData, ChannelDataError};
pub use demux::{Protocol, classify};
pub use fingerprint::Fingerprint;
pub use framer::{Frame, FrameError, Framer, Step};
pub use integrity::{Sha1Key, Sha256Key};
pub use message::{Message, ParseError};
pub use message_type::{Class, MessageType, Method};
pub use writer::{WriteError, Writer};

/// The fixed value of bytes 4 to 7 of every message (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Bytes in the header of a message (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// The 96 bits that tie a response to its request (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// The length of a value together with the padding that takes it to a multiple of four
/// (RFC 8489 §14, RFC 8656 §12.5).
pub(crate) const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}
