//! Responses: the one place where a refusal becomes an error code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use wharf_stun::Method;
use wharf_stun::attribute::{
    AlternateServer, ErrorCode, Nonce, PasswordAlgorithms, Realm, UnknownAttributes,
    XorMappedAddress,
};
use wharf_stun::{
    AttributeType, Class, HEADER_LEN, Message, MessageType, TransactionId, WriteError, Writer,
};

use crate::auth::Authenticated;
use crate::server::Server;
use crate::{AuthFailure, ClientPath, DropReason, Event, Output, Reply};

/// Room for the largest response: a 401 with a realm and the largest list of unknown attributes.
pub(crate) const REPLY_ROOM: usize = 1_200;
/// As many attribute types as a parsed message can hold.
const UNKNOWN: usize = 32;

/// What a reply repeats of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) path: ClientPath,
    pub(crate) id: TransactionId,
    pub(crate) method: Method,
    /// The request carried a FINGERPRINT, so the reply does.
    pub(crate) fingerprint: bool,
}

impl Request {
    pub(crate) fn new(path: &ClientPath, message: &Message<'_>) -> Self {
        Self {
            path: *path,
            id: message.transaction_id(),
            method: message.method(),
            fingerprint: message.has(AttributeType::FINGERPRINT),
        }
    }
}

/// Why a request is not granted, sorted by what the client should do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 300: ask that server.
    Alternate(SocketAddr),
    /// 400: malformed, or a combination that the RFC forbids.
    BadRequest,
    /// 401: no credentials were given.
    Challenge,
    /// 401: the credentials do not hold.
    Unauthorized(AuthFailure),
    /// 403: the peer policy refuses the peer.
    Forbidden,
    /// 420: comprehension-required attributes that are not understood.
    Unknown(UnknownTypes),
    /// 437: no allocation, or one too many.
    AllocationMismatch,
    /// 438: the nonce is not a valid one.
    StaleNonce,
    /// 440: no relay address of the family asked for.
    FamilyNotSupported,
    /// 441: the allocation is another user's.
    WrongCredentials,
    /// 442: REQUESTED-TRANSPORT is not UDP.
    UnsupportedTransport,
    /// 443: the peer is of another family than the relay.
    PeerFamilyMismatch,
    /// 486: the user has enough allocations.
    QuotaReached,
    /// 500: the credential back-end can't answer, or the request has no cookie (RFC 8489 §11).
    ServerError,
    /// 508: nothing left to give.
    Capacity,
}

/// Attribute types of a 420.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownTypes {
    types: [AttributeType; UNKNOWN],
    count: usize,
}

impl UnknownTypes {
    /// The comprehension-required attributes of `message` outside `understood`, or `None`.
    pub(crate) fn of(message: &Message<'_>, understood: &[AttributeType]) -> Option<Self> {
        let mut found = Self {
            types: [AttributeType(0); UNKNOWN],
            count: 0,
        };
        for ty in message.unknown_required(understood).take(UNKNOWN) {
            if !found.types[..found.count].contains(&ty) {
                found.types[found.count] = ty;
                found.count += 1;
            }
        }
        (found.count > 0).then_some(found)
    }
}

impl Refusal {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Alternate(_) => 300,
            Self::BadRequest => 400,
            Self::Challenge | Self::Unauthorized(_) => 401,
            Self::Forbidden => 403,
            Self::Unknown(_) => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::FamilyNotSupported => 440,
            Self::WrongCredentials => 441,
            Self::UnsupportedTransport => 442,
            Self::PeerFamilyMismatch => 443,
            Self::QuotaReached => 486,
            Self::ServerError => 500,
            Self::Capacity => 508,
        }
    }

    /// ERROR-CODE, and what the code says more by.
    fn write(self, writer: &mut Writer<'_>) -> Result<(), WriteError> {
        let code = self.code();
        writer.push(&ErrorCode { code, reason: "" })?;
        match self {
            Self::Unknown(UnknownTypes { types, count }) => {
                writer.push(&UnknownAttributes::new(&types[..count]))?;
            }
            Self::Alternate(server) => {
                writer.push(&AlternateServer(server))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Server {
    /// A success response with the attributes that `fill` writes, under the user's key.
    pub(crate) fn success(
        &mut self,
        request: &Request,
        user: &Authenticated,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<(), WriteError>,
    ) -> Output<'_> {
        self.respond(request, Class::Success, None, |writer| {
            fill(writer)?;
            user.sign(writer)
        })
    }

    /// The answer to a Binding request (RFC 8489 §6.3.1): nothing but what was asked for, so that it is
    /// of little use for reflection.
    pub(crate) fn binding(&mut self, now: Instant, request: &Request) -> Output<'_> {
        if !self.may_answer(now, &request.path) {
            return Output::Dropped(DropReason::RateLimited);
        }
        let mapped = XorMappedAddress(request.path.client);
        self.respond(request, Class::Success, None, |writer| {
            writer.push(&mapped).map(drop)
        })
    }

    /// An error response under the user's key.
    pub(crate) fn refuse(
        &mut self,
        request: &Request,
        user: &Authenticated,
        refusal: Refusal,
    ) -> Output<'_> {
        if refusal == Refusal::WrongCredentials {
            let (path, name) = (request.path, user.credential.name());
            let why = AuthFailure::WrongUser;
            self.events.push_back(Event::AuthenticationFailed {
                path,
                user: Some(name.into()),
                why,
            });
        }
        self.respond(request, Class::Error, Some(refusal.code()), |writer| {
            refusal.write(writer)?;
            user.sign(writer)
        })
    }

    /// An error response to somebody who has not proved anything; the caller has asked the limiter.
    pub(crate) fn deny(&mut self, now: Instant, request: &Request, refusal: Refusal) -> Output<'_> {
        let asks = matches!(
            refusal,
            Refusal::Challenge | Refusal::Unauthorized(_) | Refusal::StaleNonce
        );
        let nonce = asks.then(|| self.nonces.make(now, request.path.client));
        let realm = Arc::clone(&self.realm);
        let offered = self.offered;
        self.respond(request, Class::Error, Some(refusal.code()), |writer| {
            refusal.write(writer)?;
            if let Some(nonce) = nonce {
                writer.push(&Realm(&realm))?.push(&Nonce(&nonce))?;
                if !offered.is_empty() {
                    writer.push(&PasswordAlgorithms::new(offered))?;
                }
            }
            Ok(())
        })
    }

    /// The answer to a request without the magic cookie over DTLS (RFC 8489 §11). For its client the
    /// place of the cookie is a part of the transaction id, and is repeated (RFC 5389 §12.2).
    pub(crate) fn without_cookie(
        &mut self,
        now: Instant,
        path: &ClientPath,
        method: Method,
        datagram: &[u8],
    ) -> Output<'_> {
        let Some((&[_, _, _, _, c0, c1, c2, c3, id @ ..], _)) =
            datagram.split_first_chunk::<HEADER_LEN>()
        else {
            return Output::Dropped(DropReason::Malformed);
        };
        if !self.may_answer(now, path) {
            return Output::Dropped(DropReason::RateLimited);
        }
        let request = Request {
            path: *path,
            id: TransactionId(id),
            method,
            fingerprint: false,
        };
        let written = match self.deny(now, &request, Refusal::ServerError) {
            Output::Reply(reply) => reply.bytes.len(),
            _ => return Output::Dropped(DropReason::TooLarge),
        };
        self.scratch[4..8].copy_from_slice(&[c0, c1, c2, c3]);
        Output::Reply(Reply {
            path: *path,
            bytes: &self.scratch[..written],
            method,
            error: Some(Refusal::ServerError.code()),
        })
    }

    fn respond(
        &mut self,
        request: &Request,
        class: Class,
        error: Option<u16>,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<(), WriteError>,
    ) -> Output<'_> {
        let ty = MessageType {
            method: request.method,
            class,
        };
        let written = Writer::new(&mut self.scratch[..], ty, request.id).and_then(|mut writer| {
            fill(&mut writer)?;
            if request.fingerprint {
                writer.fingerprint()?;
            }
            Ok(writer.len())
        });
        match written {
            Ok(len) => Output::Reply(Reply {
                path: request.path,
                bytes: &self.scratch[..len],
                method: request.method,
                error,
            }),
            // Every reply fits by REPLY_ROOM; a realm beyond its limit is refused by configuration.
            Err(_) => Output::Dropped(DropReason::TooLarge),
        }
    }
}
