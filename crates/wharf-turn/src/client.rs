//! What comes from clients: sorting, indications and ChannelData.

use std::time::Instant;

use wharf_stun::attribute::{Data, RequestedTransport, XorPeerAddress};
use wharf_stun::{AttributeType, Class, Fingerprint, Message, Method, ParseError};

use crate::auth::Authenticated;
use crate::flows::Forwarded;
use crate::reply::{Refusal, Request, UnknownTypes};
use crate::server::Server;
use crate::{ClientPath, DropReason, Output, ToPeer, Transport};

/// Attributes understood in a Binding request.
const BINDING_ATTRIBUTES: &[AttributeType] = &[
    AttributeType::USERNAME,
    AttributeType::USERHASH,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::MESSAGE_INTEGRITY,
    AttributeType::MESSAGE_INTEGRITY_SHA256,
    AttributeType::PASSWORD_ALGORITHM,
];

/// Attributes understood in TURN requests and indications; not all mean something in each.
const TURN_ATTRIBUTES: &[AttributeType] = &[
    AttributeType::USERNAME,
    AttributeType::USERHASH,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::MESSAGE_INTEGRITY,
    AttributeType::MESSAGE_INTEGRITY_SHA256,
    AttributeType::PASSWORD_ALGORITHM,
    AttributeType::CHANNEL_NUMBER,
    AttributeType::LIFETIME,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::DATA,
    AttributeType::REQUESTED_ADDRESS_FAMILY,
    AttributeType::EVEN_PORT,
    AttributeType::REQUESTED_TRANSPORT,
    AttributeType::DONT_FRAGMENT,
    AttributeType::RESERVATION_TOKEN,
];

/// Bytes before the data of ChannelData.
const CHANNEL_HEADER: usize = 4;

impl Server {
    /// A datagram from a client, a record of its DTLS session, or a whole frame of its stream, padding
    /// included.
    pub fn handle_client(
        &mut self,
        now: Instant,
        path: &ClientPath,
        datagram: &[u8],
    ) -> Output<'_> {
        let last_channel = if self.config.rfc5766_channels {
            127
        } else {
            79
        };
        match datagram.first() {
            // RFC 7983 §7, RFC 8656 §12.
            Some(64..) if datagram[0] <= last_channel => self.channel_data(now, path, datagram),
            Some(0..=3) => self.stun(now, path, datagram),
            _ => Output::Dropped(DropReason::UnknownProtocol),
        }
    }

    /// ChannelData (RFC 8656 §12.6): one look-up, and the payload goes on as it is.
    fn channel_data(&mut self, now: Instant, path: &ClientPath, datagram: &[u8]) -> Output<'_> {
        let Some((&[n0, n1, l0, l1], rest)) = datagram.split_first_chunk() else {
            return Output::Dropped(DropReason::BadChannelData);
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len > rest.len() {
            return Output::Dropped(DropReason::BadChannelData);
        }
        let payload = CHANNEL_HEADER..CHANNEL_HEADER + len;
        let number = u16::from_be_bytes([n0, n1]);
        match self.channels.forward(now, path, number) {
            Forwarded::ToPeer(relay, peer) => Output::ToPeer(ToPeer {
                relay,
                peer,
                payload,
                dont_fragment: false,
            }),
            Forwarded::Across(relay, peer) => {
                if let Some(target) = self.relays.find(peer) {
                    self.hand_across(now, relay, target, payload)
                } else {
                    let peer = self.bound_address(peer);
                    Output::ToPeer(ToPeer {
                        relay,
                        peer,
                        payload,
                        dont_fragment: false,
                    })
                }
            }
            Forwarded::Nowhere(channel) => Output::Dropped(match channel {
                _ if self.live_allocation(now, path).is_none() => DropReason::NoAllocation,
                Some(channel) if now < self.channels.get(channel).expires => {
                    DropReason::NoPermission
                }
                _ => DropReason::UnboundChannel,
            }),
        }
    }

    fn stun(&mut self, now: Instant, path: &ClientPath, datagram: &[u8]) -> Output<'_> {
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            // RFC 8489 §11: over DTLS a request without the cookie is told; an indication is ignored.
            Err(ParseError::NoCookie { ty, .. })
                if path.transport == Transport::Dtls && ty.class == Class::Request =>
            {
                return self.without_cookie(now, path, ty.method, datagram);
            }
            Err(_) => return Output::Dropped(DropReason::Malformed),
        };
        if message.fingerprint() == Fingerprint::Wrong {
            return Output::Dropped(DropReason::BadFingerprint);
        }
        match (message.class(), message.method()) {
            (Class::Request, Method::BINDING) => self.handle_binding(now, path, &message),
            (
                Class::Request,
                Method::ALLOCATE
                | Method::REFRESH
                | Method::CREATE_PERMISSION
                | Method::CHANNEL_BIND,
            ) => match self.early_refusal(now, path, &message) {
                Some(refusal) => {
                    self.turn_away(now, &Request::new(path, &message), &message, refusal)
                }
                None => self.handle_request(now, path, &message, None),
            },
            (Class::Indication, Method::SEND) => self.send_indication(now, path, &message),
            (Class::Indication, Method::BINDING) => Output::Dropped(DropReason::KeepAlive),
            (Class::Success | Class::Error, _) => Output::Dropped(DropReason::UnexpectedResponse),
            _ => Output::Dropped(DropReason::UnsupportedMethod),
        }
    }

    fn handle_binding(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
    ) -> Output<'_> {
        let request = Request::new(path, message);
        match UnknownTypes::of(message, BINDING_ATTRIBUTES) {
            Some(unknown) => self.turn_away(now, &request, message, Refusal::Unknown(unknown)),
            None => self.binding(now, &request),
        }
    }

    /// A request without any proof that can only fail: the shortest error serves both sides better
    /// than a challenge three times its size ([`crate::Config::early_refusal`]).
    fn early_refusal(
        &self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
    ) -> Option<Refusal> {
        if !self.config.early_refusal
            || message.has(AttributeType::MESSAGE_INTEGRITY)
            || message.has(AttributeType::MESSAGE_INTEGRITY_SHA256)
        {
            return None;
        }
        if message.method() == Method::ALLOCATE {
            let asks = matches!(message.get::<RequestedTransport>(), Some(Ok(_)));
            return (!asks).then_some(Refusal::BadRequest);
        }
        let none = self.live_allocation(now, path).is_none();
        none.then_some(Refusal::AllocationMismatch)
    }

    /// A request by a user who is who they say.
    pub(crate) fn handle_authenticated(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Output<'_> {
        // RFC 8489 §6.3.1: after authentication.
        if let Some(unknown) = UnknownTypes::of(message, TURN_ATTRIBUTES) {
            return self.refuse(request, user, Refusal::Unknown(unknown));
        }
        match request.method {
            Method::ALLOCATE => self.allocate(now, request, message, user),
            Method::REFRESH => self.refresh(now, request, message, user),
            Method::CREATE_PERMISSION => self.create_permission(now, request, message, user),
            _ => self.channel_bind(now, request, message, user),
        }
    }

    /// Send indication (RFC 8656 §11.2). Never answered, whatever is wrong with it.
    fn send_indication(
        &mut self,
        now: Instant,
        path: &ClientPath,
        message: &Message<'_>,
    ) -> Output<'_> {
        if UnknownTypes::of(message, TURN_ATTRIBUTES).is_some() {
            return Output::Dropped(DropReason::UnknownAttribute);
        }
        let Some(index) = self.live_allocation(now, path) else {
            return Output::Dropped(DropReason::NoAllocation);
        };
        let (Some(Ok(XorPeerAddress(peer))), Some(Ok(Data(data)))) =
            (message.get::<XorPeerAddress>(), message.get::<Data<'_>>())
        else {
            return Output::Dropped(DropReason::BadIndication);
        };
        let relay = self
            .allocations
            .get(index)
            .relay(peer.ip())
            .filter(|r| now < r.expires);
        let Some(relay) =
            relay.filter(|relay| self.permissions.allows(now, relay.id.index, peer.ip()))
        else {
            return Output::Dropped(DropReason::NoPermission);
        };
        if self.peers.check(peer).is_err() {
            return Output::Dropped(DropReason::PeerRefused);
        }
        let start = data.as_ptr().addr() - message.bytes().as_ptr().addr();
        let payload = start..start + data.len();
        if let Some(target) = self.relays.find(peer) {
            return self.hand_across(now, relay.id, target, payload);
        }
        // RFC 8656 §14 and §15: translated packets have no DF to keep.
        let dont_fragment = message.has(AttributeType::DONT_FRAGMENT) && peer.is_ipv4();
        let peer = self.bound_address(peer);
        Output::ToPeer(ToPeer {
            relay: relay.id,
            peer,
            payload,
            dont_fragment,
        })
    }

    /// The allocation on this five-tuple that data may use.
    pub(crate) fn live_allocation(&self, now: Instant, path: &ClientPath) -> Option<u32> {
        let index = self.allocations.find(path)?;
        self.allocations.get(index).is_live(now).then_some(index)
    }

    /// The allocation on this five-tuple, if it is this user's (RFC 8656 §5).
    pub(crate) fn own_allocation(
        &self,
        now: Instant,
        path: &ClientPath,
        user: &Authenticated,
    ) -> Result<u32, Refusal> {
        let index = self
            .live_allocation(now, path)
            .ok_or(Refusal::AllocationMismatch)?;
        let owner = &self.allocations.get(index).credential;
        if owner.name() == user.credential.name() {
            Ok(index)
        } else {
            Err(Refusal::WrongCredentials)
        }
    }
}
