//! What one input led to, with nothing borrowed.

use std::net::SocketAddr;

use wharf_stun::attribute::{ErrorCode, Nonce, XorRelayedAddress};
use wharf_stun::{Attribute, AttributeType, ChannelData, Message};
use wharf_turn::{ClientPath, DropReason, Output, RelayId};

/// An [`Output`] with the payload put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Dropped(DropReason),
    ToPeer {
        relay: RelayId,
        peer: SocketAddr,
        data: Vec<u8>,
        dont_fragment: bool,
    },
    ToClient {
        client: SocketAddr,
        bytes: Vec<u8>,
    },
    Reply(Answer),
    Waiting,
}

impl Reaction {
    /// `input` is what the ranges of `output` are about.
    pub(crate) fn new(output: Output<'_>, input: &[u8]) -> Self {
        match output {
            Output::Dropped(reason) => Self::Dropped(reason),
            Output::Waiting => Self::Waiting,
            Output::ToPeer(out) => Self::ToPeer {
                relay: out.relay,
                peer: out.peer,
                data: input[out.payload].to_vec(),
                dont_fragment: out.dont_fragment,
            },
            Output::ToClient(out) => {
                assert!(out.header.len() <= 64 && out.padding < 4);
                let mut bytes = out.header.to_vec();
                bytes.extend_from_slice(&input[out.payload]);
                bytes.resize(bytes.len() + out.padding, 0);
                if bytes[0] < 4 {
                    assert_zero_padding(&bytes);
                }
                Self::ToClient {
                    client: out.path.client,
                    bytes,
                }
            }
            Output::Reply(reply) => {
                assert_zero_padding(reply.bytes);
                let answer = Answer {
                    path: reply.path,
                    bytes: reply.bytes.to_vec(),
                    error: reply.error,
                };
                let code = answer.get::<ErrorCode<'_>>().map(|error| error.code);
                assert_eq!(code, reply.error);
                Self::Reply(answer)
            }
        }
    }

    pub(crate) fn reply(self) -> Answer {
        match self {
            Self::Reply(answer) => answer,
            other => panic!("not a reply: {other:?}"),
        }
    }

    /// The datagram to a peer: where, and what.
    pub(crate) fn into_peer(self) -> (SocketAddr, Vec<u8>) {
        match self {
            Self::ToPeer { peer, data, .. } => (peer, data),
            other => panic!("not to a peer: {other:?}"),
        }
    }

    /// The bytes for a client.
    pub(crate) fn into_client(self) -> Vec<u8> {
        match self {
            Self::ToClient { bytes, .. } => bytes,
            other => panic!("not to a client: {other:?}"),
        }
    }

    /// Number and payload of the ChannelData for a client.
    pub(crate) fn channel_data(self) -> (u16, Vec<u8>) {
        let bytes = self.into_client();
        let parsed = ChannelData::parse_datagram(&bytes).expect("ChannelData");
        assert_eq!(
            bytes.len(),
            4 + parsed.data.len(),
            "T67: no padding over UDP"
        );
        (parsed.number, parsed.data.to_vec())
    }
}

/// A STUN response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) path: ClientPath,
    pub(crate) bytes: Vec<u8>,
    /// The error code; `None` for success.
    pub(crate) error: Option<u16>,
}

impl Answer {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("a reply is a message")
    }

    pub(crate) fn get<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        self.message()
            .get::<A>()
            .map(|value| value.expect("well-formed"))
    }

    pub(crate) fn has(&self, ty: AttributeType) -> bool {
        self.message().has(ty)
    }

    /// The attribute types, in order.
    pub(crate) fn types(&self) -> Vec<AttributeType> {
        self.message().attributes().map(|(ty, _)| ty).collect()
    }

    pub(crate) fn nonce(&self) -> Vec<u8> {
        self.get::<Nonce<'_>>().expect("a NONCE").0.to_vec()
    }

    /// The relayed transport addresses.
    pub(crate) fn relayed(&self) -> Vec<SocketAddr> {
        let message = self.message();
        let all = message.all::<XorRelayedAddress>();
        all.map(|address| address.expect("well-formed").0).collect()
    }
}

/// CVE-2020-4067: no byte of memory leaves as padding.
fn assert_zero_padding(bytes: &[u8]) {
    let mut at = 20;
    while at < bytes.len() {
        let len = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        let end = at + 4 + len;
        at = end.next_multiple_of(4);
        assert!(bytes[end..at].iter().all(|&byte| byte == 0), "{bytes:02x?}");
    }
    assert_eq!(at, bytes.len());
}
