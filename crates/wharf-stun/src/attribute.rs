//! The attributes, one a file, and what they have in common.
//!
//! To add one: its code point goes to `attribute_type.rs`, its file is written after the pattern
//! of `lifetime.rs` (a fixed value), `realm.rs` (text) or `password_algorithms.rs` (a list).

mod address;
mod address_family;
mod error_value;
#[cfg(test)]
mod testing;

mod access_token;
mod additional_address_family;
mod address_error_code;
mod alternate_domain;
mod alternate_server;
mod change_request;
mod channel_number;
mod connection_id;
mod data;
mod dont_fragment;
mod draft_additional_address_family;
mod error_code;
mod even_port;
mod icmp;
mod lifetime;
mod mapped_address;
mod mobility_ticket;
mod nonce;
mod other_address;
mod padding;
mod password_algorithm;
mod password_algorithms;
mod realm;
mod requested_address_family;
mod requested_transport;
mod reservation_token;
mod response_origin;
mod response_port;
mod software;
mod third_party_authorization;
mod unknown_attributes;
mod user_hash;
mod username;
mod xor_mapped_address;
mod xor_peer_address;
mod xor_relayed_address;

pub use access_token::AccessToken;
pub use additional_address_family::AdditionalAddressFamily;
pub use address_error_code::AddressErrorCode;
pub use address_family::AddressFamily;
pub use alternate_domain::AlternateDomain;
pub use alternate_server::AlternateServer;
pub use change_request::ChangeRequest;
pub use channel_number::ChannelNumber;
pub use connection_id::ConnectionId;
pub use data::Data;
pub use dont_fragment::DontFragment;
pub use draft_additional_address_family::DraftAdditionalAddressFamily;
pub use error_code::ErrorCode;
pub use even_port::EvenPort;
pub use icmp::Icmp;
pub use lifetime::Lifetime;
pub use mapped_address::MappedAddress;
pub use mobility_ticket::MobilityTicket;
pub use nonce::Nonce;
pub use other_address::OtherAddress;
pub use padding::Padding;
pub use password_algorithm::PasswordAlgorithm;
pub use password_algorithms::PasswordAlgorithms;
pub use realm::Realm;
pub use requested_address_family::RequestedAddressFamily;
pub use requested_transport::RequestedTransport;
pub use reservation_token::ReservationToken;
pub use response_origin::ResponseOrigin;
pub use response_port::ResponsePort;
pub use software::Software;
pub use third_party_authorization::ThirdPartyAuthorization;
pub use unknown_attributes::UnknownAttributes;
pub use user_hash::UserHash;
pub use username::Username;
pub use xor_mapped_address::XorMappedAddress;
pub use xor_peer_address::XorPeerAddress;
pub use xor_relayed_address::XorRelayedAddress;

use thiserror::Error;

use crate::{AttributeType, TransactionId};

/// The longest text in bytes: fewer than 128 characters of at most six bytes, as RFC 8489
/// §14.8 to §14.10 and §14.14 count.
const MAX_TEXT: usize = 763;

/// What an attribute's value says, read from and written to its bytes.
pub trait Attribute<'a>: Sized {
    /// The type that stands before the value.
    const TYPE: AttributeType;

    /// Reads a value, without padding. `id` is the message's, for addresses that are XORed.
    fn decode(value: &'a [u8], id: &TransactionId) -> Result<Self, AttributeError>;

    /// Length of the encoded value in bytes, without padding.
    fn value_len(&self) -> usize;

    /// Writes the value over the whole of `out`, which has [`Attribute::value_len`] bytes.
    fn encode(&self, out: &mut [u8], id: &TransactionId);
}

/// Why a value is malformed. A request with such a value is answered with 400 (RFC 8489 §6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AttributeError {
    /// The attribute cannot have this length.
    #[error("{ty} cannot have {len} bytes")]
    Length {
        /// The type of the attribute.
        ty: AttributeType,
        /// Length of the value in bytes.
        len: usize,
    },
    /// A field holds a value that its RFC does not define.
    #[error("{ty} holds a value that is not defined")]
    Value {
        /// The type of the attribute.
        ty: AttributeType,
    },
    /// The text is not UTF-8.
    #[error("{ty} is not UTF-8")]
    Utf8 {
        /// The type of the attribute.
        ty: AttributeType,
    },
}

/// A value of exactly `N` bytes.
fn array<const N: usize>(ty: AttributeType, value: &[u8]) -> Result<[u8; N], AttributeError> {
    value.try_into().map_err(|_| AttributeError::Length {
        ty,
        len: value.len(),
    })
}

/// A value of at most `max` bytes.
fn bytes(ty: AttributeType, value: &[u8], max: usize) -> Result<&[u8], AttributeError> {
    if value.len() > max {
        return Err(AttributeError::Length {
            ty,
            len: value.len(),
        });
    }
    Ok(value)
}

/// A text of at most `max` bytes.
fn text(ty: AttributeType, value: &[u8], max: usize) -> Result<&str, AttributeError> {
    str::from_utf8(bytes(ty, value, max)?).map_err(|_| AttributeError::Utf8 { ty })
}
