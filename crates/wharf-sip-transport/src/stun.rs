//! STUN on the SIP port (RFC 5626 §8): a Binding request is answered with the address that it came from.
//!
//! No message of SIP begins with a byte below 4, and every message of STUN does (RFC 8489 §5).

use std::net::SocketAddr;

use bytes::Bytes;
use wharf_stun::attribute::{ErrorCode, UnknownAttributes, XorMappedAddress};
use wharf_stun::{
    AttributeType, Class, Fingerprint, Message, MessageType, Method, TransactionId, WriteError,
    Writer,
};

/// Room for an answer.
const ANSWER: usize = 128;
/// Attributes that are named to a client that sends unknown ones, at most.
const NAMED: usize = 8;

/// Whether these bytes are to be read as STUN.
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&first| first < 4)
}

/// The answer to what came from `source`; none to what is no Binding request.
pub(crate) fn answer(bytes: &[u8], source: SocketAddr, out: &mut Vec<u8>) -> bool {
    let Ok(message) = Message::parse(bytes) else {
        return false;
    };
    let asked = (message.method(), message.class());
    let wrong = matches!(message.fingerprint(), Fingerprint::Wrong);
    if asked != (Method::BINDING, Class::Request) || wrong {
        return false;
    }
    let written = write(&message, source, out);
    written.is_ok()
}

/// A response to a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) id: TransactionId,
    /// Our address as the peer sees it, or the code of an error.
    pub(crate) result: Result<SocketAddr, u16>,
}

/// Reads a response to a Binding request.
pub(crate) fn answer_of(bytes: &[u8]) -> Option<Answer> {
    let message = Message::parse(bytes).ok()?;
    let wrong = matches!(message.fingerprint(), Fingerprint::Wrong);
    if message.method() != Method::BINDING || wrong {
        return None;
    }
    let result = match message.class() {
        Class::Success => Ok(message.get::<XorMappedAddress>()?.ok()?.0),
        Class::Error => Err(message.get::<ErrorCode<'_>>()?.ok()?.code),
        Class::Request | Class::Indication => return None,
    };
    let id = message.transaction_id();
    Some(Answer { id, result })
}

/// A Binding request: its header alone (RFC 5626 §8).
pub(crate) fn request(id: TransactionId) -> Bytes {
    let mut header = [0; wharf_stun::HEADER_LEN];
    let ty = MessageType {
        method: Method::BINDING,
        class: Class::Request,
    };
    match Writer::new(&mut header, ty, id) {
        Ok(writer) => Bytes::copy_from_slice(writer.finish()),
        Err(_) => unreachable!("a header fits into a header"),
    }
}

fn write(message: &Message<'_>, source: SocketAddr, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let understood = &[
        AttributeType::USERNAME,
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
    ];
    let mut unknown = [AttributeType(0); NAMED];
    let mut count = 0;
    for (place, ty) in unknown.iter_mut().zip(message.unknown_required(understood)) {
        *place = ty;
        count += 1;
    }
    let class = if count == 0 {
        Class::Success
    } else {
        Class::Error
    };
    let mut buffer = [0; ANSWER];
    let ty = MessageType {
        method: Method::BINDING,
        class,
    };
    let mut writer = Writer::new(&mut buffer, ty, message.transaction_id())?;
    if count == 0 {
        writer.push(&XorMappedAddress(source))?;
    } else {
        // RFC 8489 §6.3.1: attributes that have to be understood, and are not.
        writer.push(&ErrorCode {
            code: 420,
            reason: "Unknown Attribute",
        })?;
        writer.push(&UnknownAttributes::new(&unknown[..count]))?;
    }
    if message.has(AttributeType::FINGERPRINT) {
        writer.fingerprint()?;
    }
    out.extend_from_slice(writer.finish());
    Ok(())
}

#[cfg(test)]
mod tests {
    use wharf_stun::TransactionId;
    use wharf_stun::attribute::Software;

    use super::*;

    const ID: TransactionId = TransactionId([9; 12]);
    const BINDING: MessageType = MessageType {
        method: Method::BINDING,
        class: Class::Request,
    };

    fn source() -> SocketAddr {
        "[2001:db8::1]:40000".parse().unwrap()
    }

    fn answered(request: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        answer(request, source(), &mut out).then_some(out)
    }

    #[test]
    fn k5_a_binding_request_is_answered_with_its_source() {
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer, BINDING, ID).unwrap();
        writer.push(&Software("phone")).unwrap();
        writer.fingerprint().unwrap();
        let out = answered(writer.finish()).unwrap();
        let message = Message::parse(&out).unwrap();
        assert_eq!(message.class(), Class::Success);
        assert_eq!(message.transaction_id(), ID);
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
        let mapped = message.get::<XorMappedAddress>().unwrap().unwrap();
        assert_eq!(mapped.0, source());
    }

    #[test]
    fn k5_an_attribute_that_has_to_be_understood_is_named() {
        let mut request = [0; 28];
        request[..20].copy_from_slice(Writer::new(&mut [0; 20], BINDING, ID).unwrap().finish());
        request[3] = 8;
        // 0x0024: PRIORITY, which is of ICE and not of SIP.
        request[20..24].copy_from_slice(&[0, 0x24, 0, 4]);
        let out = answered(&request).unwrap();
        let message = Message::parse(&out).unwrap();
        assert_eq!(message.class(), Class::Error);
        let error = message.get::<ErrorCode<'_>>().unwrap().unwrap();
        assert_eq!(error.code, 420);
        let unknown = message.get::<UnknownAttributes<'_>>().unwrap().unwrap();
        assert!(unknown.iter().eq([AttributeType(0x24)]));
    }

    #[test]
    fn what_is_no_request_has_no_answer() {
        let of = |class| MessageType { class, ..BINDING };
        for class in [Class::Success, Class::Error, Class::Indication] {
            let mut buffer = [0; 20];
            let other = Writer::new(&mut buffer, of(class), ID).unwrap().finish();
            assert_eq!(answered(other), None, "{class:?}");
        }
        assert_eq!(answered(&[0; 20]), None);
        assert_eq!(answered(&[0]), None);
    }
}
