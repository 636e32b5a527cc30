//! Allocate (RFC 8656 §7.2): what is asked for, in the order of the RFC's checks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_policy::{QuotaPermit, QuotaRefusal, TokenBucket};
use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, DraftAdditionalAddressFamily,
    EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
    XorMappedAddress, XorRelayedAddress,
};
use wharf_stun::{Attribute, AttributeError, Message};

use crate::allocation::Allocation;
use crate::auth::Authenticated;
use crate::bind::Binding;
use crate::path::PathKey;
use crate::reply::{Refusal, Request};
use crate::server::Server;
use crate::{DropReason, FreedBy, Output};

/// REQUESTED-TRANSPORT of UDP: its protocol number.
const UDP: u8 = 17;
/// ICMP errors passed on to one client, per second and at once.
const ICMP_RATE: u32 = 10;

/// What an Allocate asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// By family: IPv4, IPv6.
    pub(crate) families: [bool; 2],
    pub(crate) port: PortWish,
    pub(crate) token: Option<[u8; 8]>,
    pub(crate) lifetime: Duration,
}

/// EVEN-PORT (RFC 8656 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortWish {
    Any,
    Even,
    /// An even port, and the next one reserved.
    Pair,
}

impl Server {
    pub(crate) fn allocate(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Output<'_> {
        if let Some(index) = self.allocations.find(&request.path) {
            let allocation = self.allocations.get(index);
            let again = allocation.transaction == request.id
                && allocation.credential.name() == user.credential.name();
            if allocation.binding.is_some() {
                return if again {
                    Output::Dropped(DropReason::InProgress)
                } else {
                    self.refuse(request, user, Refusal::AllocationMismatch)
                };
            }
            if allocation.is_live(now) {
                return if again {
                    self.allocated(now, request, user, index)
                } else {
                    self.refuse(request, user, Refusal::AllocationMismatch)
                };
            }
            self.free(index, FreedBy::Expiry);
        }
        match self.begin(now, request, message, user) {
            Ok(index) => self.bind_next(now, index),
            Err(refusal) => self.refuse(request, user, refusal),
        }
    }

    fn begin(
        &mut self,
        now: Instant,
        request: &Request,
        message: &Message<'_>,
        user: &Authenticated,
    ) -> Result<u32, Refusal> {
        let wanted = self.wanted(message)?;
        if self.draining {
            return Err(self.elsewhere(request));
        }
        let user_id = user.credential.user();
        // A reserved port counts already, here or at the worker that lends it.
        let permit = match wanted.token {
            Some(token) if self.lender(token).is_some() => None,
            Some(token) => match self.reservations.permit(token, user) {
                Some(permit) => Some(permit),
                None => Some(self.permit_user(user_id)?),
            },
            None => Some(self.permit_user(user_id)?),
        };
        let second = match wanted.port {
            PortWish::Pair => Some(self.permit_user(user_id)?),
            PortWish::Any | PortWish::Even => None,
        };
        Ok(self.allocations.insert(Allocation {
            path: request.path,
            key: PathKey::new(&request.path),
            generation: 0,
            credential: Arc::clone(&user.credential),
            transaction: request.id,
            relays: [None; 2],
            reservation: None,
            missing_family: None,
            permissions: Vec::new(),
            channels: Vec::new(),
            scheduled: None,
            binding: Some(Box::new(Binding::new(
                *request,
                user.clone(),
                wanted,
                second,
            ))),
            icmp: TokenBucket::new(now, ICMP_RATE, ICMP_RATE),
            permit,
        }))
    }

    /// Counts one allocation more of a user, if that is within the quotas.
    pub(crate) fn permit_user(&self, user: &Arc<str>) -> Result<QuotaPermit, Refusal> {
        self.quotas.acquire(user).map_err(|why| match why {
            QuotaRefusal::User { .. } => Refusal::QuotaReached,
            QuotaRefusal::Total { .. } => Refusal::Capacity,
        })
    }

    fn wanted(&self, message: &Message<'_>) -> Result<Wanted, Refusal> {
        match message.get::<RequestedTransport>() {
            Some(Ok(RequestedTransport(UDP))) => {}
            Some(Ok(_)) => return Err(Refusal::UnsupportedTransport),
            _ => return Err(Refusal::BadRequest),
        }
        let even = optional::<EvenPort>(message)?;
        let token = optional::<ReservationToken>(message)?;
        let family = match message.get::<RequestedAddressFamily>() {
            None => None,
            Some(Ok(RequestedAddressFamily(family))) => Some(family),
            // RFC 8656 §7.2: a family that is not known is one that is not supported.
            Some(Err(AttributeError::Value { .. })) => return Err(Refusal::FamilyNotSupported),
            Some(Err(_)) => return Err(Refusal::BadRequest),
        };
        let additional = match optional::<AdditionalAddressFamily>(message)? {
            // Clients of the time before RFC 8656, coturn's among them, ask by the draft's number.
            None => optional::<DraftAdditionalAddressFamily>(message)?
                .map(|DraftAdditionalAddressFamily(family)| AdditionalAddressFamily(family)),
            additional => additional,
        };
        if token.is_some() && (even.is_some() || family.is_some() || additional.is_some())
            || family.is_some() && additional.is_some()
        {
            return Err(Refusal::BadRequest);
        }
        let port = match even {
            None => PortWish::Any,
            Some(EvenPort {
                reserve_next: false,
            }) => PortWish::Even,
            Some(EvenPort { reserve_next: true }) => PortWish::Pair,
        };
        let families = match (family, additional) {
            (_, Some(AdditionalAddressFamily(AddressFamily::V6))) if port != PortWish::Pair => {
                [true, true]
            }
            (_, Some(_)) => return Err(Refusal::BadRequest),
            (Some(AddressFamily::V6), None) => [false, true],
            _ => [true, false],
        };
        let supported = |family: usize| self.pools.iter().any(|p| p.is_v4() == (family == 0));
        let possible = (0..2).any(|family| families[family] && supported(family));
        if token.is_none() && !possible {
            return Err(Refusal::FamilyNotSupported);
        }
        let lifetime = self.granted_lifetime(optional::<Lifetime>(message)?);
        Ok(Wanted {
            families,
            port,
            token: token.map(|token| token.0),
            lifetime,
        })
    }

    /// At least the default, at most the maximum (RFC 8656 §7.2).
    pub(crate) fn granted_lifetime(&self, requested: Option<Lifetime>) -> Duration {
        let requested = requested.map_or(0, |lifetime| lifetime.0);
        let longest = self.config.max_lifetime.max(self.config.default_lifetime);
        Duration::from_secs(requested.into()).clamp(self.config.default_lifetime, longest)
    }

    /// A server that takes what this one does not (RFC 8489 §10): one of the client's family.
    fn elsewhere(&self, request: &Request) -> Refusal {
        let is_v4 = request.path.client.is_ipv4();
        let servers = &self.config.alternate_servers;
        servers
            .iter()
            .find(|server| server.is_ipv4() == is_v4)
            .map_or(Refusal::Capacity, |server| Refusal::Alternate(*server))
    }

    /// The success response, the first time and for each retransmission (RFC 8656 §7.2, §7.3).
    pub(crate) fn allocated(
        &mut self,
        now: Instant,
        request: &Request,
        user: &Authenticated,
        index: u32,
    ) -> Output<'_> {
        let allocation = self.allocations.get(index);
        let (relays, reservation) = (allocation.relays, allocation.reservation);
        let missing = allocation.missing_family;
        self.success(request, user, |writer| {
            let relays = || relays.iter().flatten().filter(|relay| now < relay.expires);
            for relay in relays() {
                writer.push(&XorRelayedAddress(relay.advertised))?;
            }
            let left = relays()
                .map(|relay| relay.expires - now)
                .max()
                .unwrap_or_default();
            writer.push(&Lifetime(left.as_secs() as u32))?;
            writer.push(&XorMappedAddress(request.path.client))?;
            if let Some(token) = reservation {
                writer.push(&ReservationToken(token))?;
            }
            if let Some((family, code)) = missing {
                writer.push(&AddressErrorCode {
                    family,
                    code,
                    reason: "",
                })?;
            }
            Ok(())
        })
    }
}

/// An attribute that may be absent but not malformed.
pub(crate) fn optional<'a, A: Attribute<'a>>(message: &Message<'a>) -> Result<Option<A>, Refusal> {
    message
        .get::<A>()
        .transpose()
        .map_err(|_| Refusal::BadRequest)
}
