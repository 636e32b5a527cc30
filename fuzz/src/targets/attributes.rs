//! Every attribute: what decodes is encoded to something that decodes to the same.

use wharf_stun::attribute::{
    AccessToken, AdditionalAddressFamily, AddressErrorCode, AlternateDomain, AlternateServer,
    ChangeRequest, ChannelNumber, ConnectionId, Data, DontFragment, ErrorCode, EvenPort, Icmp,
    Lifetime, MappedAddress, MobilityTicket, Nonce, OtherAddress, Padding, PasswordAlgorithm,
    PasswordAlgorithms, Realm, RequestedAddressFamily, RequestedTransport, ReservationToken,
    ResponseOrigin, ResponsePort, Software, ThirdPartyAuthorization, UnknownAttributes, UserHash,
    Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use wharf_stun::{Attribute, Message, TransactionId};

/// Expands `$apply` for every attribute.
macro_rules! each_attribute {
    ($apply:ident, $first:expr, $second:expr) => {
        $apply! { $first, $second;
            AccessToken<'_>, AdditionalAddressFamily, AddressErrorCode<'_>, AlternateDomain<'_>,
            AlternateServer, ChangeRequest, ChannelNumber, ConnectionId, Data<'_>, DontFragment,
            ErrorCode<'_>, EvenPort, Icmp, Lifetime, MappedAddress, MobilityTicket<'_>, Nonce<'_>,
            OtherAddress, Padding<'_>, PasswordAlgorithm<'_>, PasswordAlgorithms<'_>, Realm<'_>,
            RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseOrigin,
            ResponsePort, Software<'_>, ThirdPartyAuthorization<'_>, UnknownAttributes<'_>,
            UserHash, Username<'_>, XorMappedAddress, XorPeerAddress, XorRelayedAddress
        }
    };
}

/// Encoding is stable: what is reserved is lost the first time, and nothing afterwards.
macro_rules! round_trip {
    ($value:expr, $id:expr; $($attribute:ty),*) => {$(
        if let Ok(decoded) = <$attribute>::decode($value, $id) {
            let encoded = encode(&decoded, $id);
            let again = <$attribute>::decode(&encoded, $id).expect("what was encoded");
            assert_eq!(encode(&again, $id), encoded);
        }
    )*};
}

/// The first of several is the one that is found.
macro_rules! first_is_found {
    ($message:expr, $none:expr; $($attribute:ty),*) => {$(
        let first = $message.get::<$attribute>().map_or($none, |value| Some(value.is_ok()));
        let all = $message.all::<$attribute>().next();
        assert_eq!(all.map(|value| value.is_ok()), first);
    )*};
}

/// 12 bytes of transaction ID, then a value.
pub(crate) fn attribute_parse(data: &[u8]) {
    if let Some((&id, value)) = data.split_first_chunk() {
        let id = &TransactionId(id);
        each_attribute!(round_trip, value, id);
    }
}

pub(crate) fn decode_all(message: &Message<'_>) {
    each_attribute!(first_is_found, message, None);
}

fn encode<'a, A: Attribute<'a>>(attribute: &A, id: &TransactionId) -> Vec<u8> {
    let mut encoded = vec![0xEE; attribute.value_len()];
    attribute.encode(&mut encoded, id);
    encoded
}
