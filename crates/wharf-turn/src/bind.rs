//! From a wanted allocation to its sockets: one command at a time, until all are answered.

use std::net::SocketAddr;
use std::time::Instant;

use rand_core::Rng as _;
use wharf_policy::QuotaPermit;
use wharf_stun::attribute::AddressFamily;

use crate::allocate::{PortWish, Wanted};
use crate::allocation::{Owner, Relay, RelayEntry};
use crate::auth::Authenticated;
use crate::reply::{Refusal, Request};
use crate::server::{Pending, Server};
use crate::{BindError, ClaimedRelay, Command, DropReason, Event, Output, RelayId};

/// Ports tried, when somebody else holds those chosen, before the client gets a 508.
const ATTEMPTS: u8 = 8;

/// What is still to be done for an allocation. As long as there is one the allocation stays, so that
/// the answer to a command always finds it.
#[derive(Debug)]
pub(crate) struct Binding {
    request: Request,
    user: Authenticated,
    wanted: Wanted,
    /// By family: ports tried.
    attempts: [u8; 2],
    /// The odd port of a pair, while its socket is not bound yet.
    next: Option<(SocketAddr, SocketAddr)>,
    /// For the odd port of a pair, which counts as an allocation of its user: otherwise making and
    /// dropping allocations would pile up ports.
    pub(crate) second: Option<QuotaPermit>,
    /// What to say if no socket can be had.
    pub(crate) failure: Refusal,
    /// The client's connection has ended meanwhile.
    pub(crate) abandoned: bool,
}

impl Binding {
    pub(crate) fn new(
        request: Request,
        user: Authenticated,
        wanted: Wanted,
        second: Option<QuotaPermit>,
    ) -> Self {
        Self {
            request,
            user,
            wanted,
            attempts: [0; 2],
            next: None,
            second,
            failure: Refusal::Capacity,
            abandoned: false,
        }
    }
}

impl Server {
    /// The next command for an allocation that is being made, or its reply.
    pub(crate) fn bind_next(&mut self, now: Instant, index: u32) -> Output<'_> {
        let Some(binding) = &mut self.allocations.get_mut(index).binding else {
            return Output::Dropped(DropReason::UnknownCommand);
        };
        if binding.abandoned {
            return self.finish(now, index);
        }
        if let Some(token) = binding.wanted.token {
            return self.claim_reservation(now, index, token);
        }
        if let Some(pair) = binding.next.take() {
            let token = self
                .reservations
                .new_token(self.config.worker, &mut self.rng);
            return self.bind(index, Owner::Reservation(token), pair);
        }
        for family in 0..2 {
            let allocation = self.allocations.get_mut(index);
            let Some(binding) = &mut allocation.binding else {
                break;
            };
            if !std::mem::take(&mut binding.wanted.families[family]) {
                continue;
            }
            let wish = binding.wanted.port;
            match self.take_port(now, family, wish) {
                Ok((pool, port)) => {
                    let addresses = self.pools[pool].addresses(port);
                    if wish == PortWish::Pair {
                        let next = self.pools[pool].addresses(port + 1);
                        if let Some(binding) = &mut self.allocations.get_mut(index).binding {
                            binding.next = Some(next);
                        }
                    }
                    return self.bind(index, Owner::Allocation(index), addresses);
                }
                Err(code) => {
                    self.allocations.get_mut(index).missing_family =
                        Some(([AddressFamily::V4, AddressFamily::V6][family], code));
                }
            }
        }
        self.finish(now, index)
    }

    /// A port of a random relay address of the family, or of another one if that has none left.
    fn take_port(
        &mut self,
        now: Instant,
        family: usize,
        wish: PortWish,
    ) -> Result<(usize, u16), u16> {
        let count = self.pools.len();
        let start = self.rng.next_u32() as usize % count.max(1);
        let mut code = Refusal::FamilyNotSupported.code();
        for pool in (0..count).map(|offset| (start + offset) % count) {
            if self.pools[pool].is_v4() != (family == 0) {
                continue;
            }
            code = Refusal::Capacity.code();
            let port = match wish {
                PortWish::Any => self.pools[pool].take_any(now, &mut self.rng),
                PortWish::Even => self.pools[pool].take_even(now, &mut self.rng, false),
                PortWish::Pair => self.pools[pool].take_even(now, &mut self.rng, true),
            };
            if let Some(port) = port {
                return Ok((pool, port));
            }
        }
        Err(code)
    }

    fn bind(
        &mut self,
        index: u32,
        owner: Owner,
        (local, advertised): (SocketAddr, SocketAddr),
    ) -> Output<'_> {
        let relay = self.relays.insert(RelayEntry {
            owner,
            local,
            advertised,
            lender: None,
        });
        let id = self.push_pending(Pending::Bind { index, relay });
        self.commands
            .push_back(Command::BindRelay { id, relay, local });
        Output::Waiting
    }

    /// The answer to [`Command::BindRelay`].
    pub(crate) fn handle_bound(
        &mut self,
        now: Instant,
        index: u32,
        relay: RelayId,
        result: Result<(), BindError>,
    ) -> Output<'_> {
        let Some(entry) = self.relays.get(relay).copied() else {
            return Output::Dropped(DropReason::UnknownCommand);
        };
        match (result, entry.owner) {
            (Ok(()), Owner::Allocation(_)) => self.own(now, index, relay, entry.advertised),
            (Ok(()), Owner::Reservation(token)) => {
                self.reserve(now, index, relay, token);
            }
            (Err(error), owner) => self.unbound(now, index, relay, owner, error),
        }
        self.bind_next(now, index)
    }

    pub(crate) fn own(&mut self, now: Instant, index: u32, id: RelayId, advertised: SocketAddr) {
        let relay = Relay {
            id,
            advertised,
            expires: now,
        };
        self.allocations.get_mut(index).relays[usize::from(advertised.is_ipv6())] = Some(relay);
    }

    /// A socket could not be bound: another port is tried, as long as that makes sense. One half of a
    /// pair takes the other half with it.
    fn unbound(
        &mut self,
        now: Instant,
        index: u32,
        relay: RelayId,
        owner: Owner,
        error: BindError,
    ) {
        let Some(entry) = self.relays.remove(relay) else {
            return;
        };
        let in_use = error == BindError::AddressInUse;
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.owns(entry.local)) {
            if in_use {
                pool.quarantine(now, entry.local.port());
            } else {
                pool.give_back(entry.local.port());
            }
        }
        let family = usize::from(entry.advertised.is_ipv6());
        let allocation = self.allocations.get_mut(index);
        let Some(binding) = &mut allocation.binding else {
            return;
        };
        binding.attempts[family] += 1;
        let again = in_use && binding.attempts[family] < ATTEMPTS;
        binding.wanted.families[family] = again;
        let unused = binding.next.take();
        let first = match owner {
            Owner::Reservation(_) => allocation.relays[family].take(),
            Owner::Allocation(_) => None,
        };
        if !again {
            let family = [AddressFamily::V4, AddressFamily::V6][family];
            allocation.missing_family = Some((family, Refusal::Capacity.code()));
        }
        if let Some((local, _)) = unused {
            self.return_port(local);
        }
        if let Some(first) = first {
            self.close_relay(first.id);
        }
    }

    /// The answer to [`Command::ClaimReservation`].
    pub(crate) fn handle_claimed(
        &mut self,
        now: Instant,
        index: u32,
        relay: RelayId,
        claimed: Option<ClaimedRelay>,
    ) -> Output<'_> {
        let Some(ClaimedRelay {
            local, advertised, ..
        }) = claimed
        else {
            self.relays.remove(relay);
            return self.finish(now, index);
        };
        self.relays.set_addresses(relay, local, advertised);
        // The worker that held the socket has given back the permit that went with it.
        match self.permit_user(self.allocations.get(index).credential.user()) {
            Ok(permit) => {
                self.allocations.get_mut(index).permit = Some(permit);
                self.own(now, index, relay, advertised);
            }
            Err(refusal) => {
                if let Some(binding) = &mut self.allocations.get_mut(index).binding {
                    binding.failure = refusal;
                }
                self.close_relay(relay);
            }
        }
        self.finish(now, index)
    }

    /// All sockets are answered for: the allocation begins, or it ends before it began.
    pub(crate) fn finish(&mut self, now: Instant, index: u32) -> Output<'_> {
        let Some(binding) = self.allocations.get_mut(index).binding.take() else {
            return Output::Dropped(DropReason::UnknownCommand);
        };
        let Binding {
            request,
            user,
            wanted,
            failure,
            next,
            abandoned,
            ..
        } = *binding;
        if abandoned {
            if let Some((local, _)) = next {
                self.return_port(local);
            }
            self.give_up(index);
            return Output::Dropped(DropReason::ClientGone);
        }
        let allocation = self.allocations.get_mut(index);
        let expires = now + wanted.lifetime;
        for relay in allocation.relays.iter_mut().flatten() {
            relay.expires = expires;
        }
        let relayed = allocation
            .relays
            .map(|relay| relay.map(|relay| relay.advertised));
        if relayed == [None; 2] {
            self.allocations.remove(index);
            // A token that is not good any more says nothing of what there is.
            if wanted.token.is_none() && failure == Refusal::Capacity {
                let path = request.path;
                self.events.push_back(Event::NoRelay { path });
            }
            return self.refuse(&request, &user, failure);
        }
        let user_id = user.credential.user().clone();
        self.events.push_back(Event::Allocated {
            path: request.path,
            user: user_id,
            relayed,
        });
        self.schedule(index, expires);
        self.allocated(now, &request, &user, index)
    }
}
