//! Ports reserved by EVEN-PORT and handed out by RESERVATION-TOKEN (RFC 8656 §7.2).

use std::net::SocketAddr;
use std::time::Instant;

use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use wharf_policy::QuotaPermit;

use crate::allocation::{Owner, RelayEntry};
use crate::auth::Authenticated;
use crate::server::{Pending, Server};
use crate::{ClaimedRelay, Command, Output, RelayId, Worker};

/// A bound socket that waits for its token, and its user's permit for it.
#[derive(Debug)]
struct Reservation {
    relay: RelayId,
    expires: Instant,
    permit: Option<QuotaPermit>,
}

/// All reservations of one worker, by token. The first byte of a token is the worker's number, the
/// other seven are random, so the map needs no secret hash.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    by_token: HashMap<[u8; 8], Reservation, foldhash::fast::FixedState>,
}

impl Reservations {
    pub(crate) fn new_token(&self, worker: Worker, rng: &mut ChaCha8Rng) -> [u8; 8] {
        loop {
            let mut token = rng.next_u64().to_be_bytes();
            token[0] = worker.index;
            if !self.by_token.contains_key(&token) {
                return token;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_token.len()
    }

    /// When a reservation ends, if there is one.
    pub(crate) fn expires(&self, token: [u8; 8]) -> Option<Instant> {
        Some(self.by_token.get(&token)?.expires)
    }

    /// The permit of a reservation, for the same user's allocation that takes it.
    pub(crate) fn permit(&mut self, token: [u8; 8], user: &Authenticated) -> Option<QuotaPermit> {
        let permit = &mut self.by_token.get_mut(&token)?.permit;
        permit.take_if(|permit| permit.user() == user.credential.user())
    }

    fn take(&mut self, now: Instant, token: [u8; 8]) -> Option<RelayId> {
        if now < self.expires(token)? {
            self.remove(token)
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, token: [u8; 8]) -> Option<RelayId> {
        Some(self.by_token.remove(&token)?.relay)
    }
}

impl Server {
    /// Holds the socket of the odd port for whoever brings the token.
    pub(crate) fn reserve(&mut self, now: Instant, index: u32, relay: RelayId, token: [u8; 8]) {
        let allocation = self.allocations.get_mut(index);
        let permit = allocation.binding.as_mut().and_then(|b| b.second.take());
        allocation.reservation = Some(token);
        let expires = now + self.config.reservation_lifetime;
        self.reservations.by_token.insert(
            token,
            Reservation {
                relay,
                expires,
                permit,
            },
        );
        self.schedule_reservation(token, expires);
    }

    /// The other worker that has made a token.
    pub(crate) fn lender(&self, token: [u8; 8]) -> Option<u8> {
        let Worker { index, count } = self.config.worker;
        (token[0] != index && token[0] < count).then_some(token[0])
    }

    /// Gives a reserved socket to an allocation, if need be after asking the worker that holds it.
    pub(crate) fn claim_reservation(
        &mut self,
        now: Instant,
        index: u32,
        token: [u8; 8],
    ) -> Output<'_> {
        if let Some(worker) = self.lender(token) {
            let nowhere = SocketAddr::from(([0; 4], 0));
            let relay = self.relays.insert(RelayEntry {
                owner: Owner::Allocation(index),
                local: nowhere,
                advertised: nowhere,
                lender: Some(worker),
            });
            let id = self.push_pending(Pending::Claim { index, relay });
            self.commands.push_back(Command::ClaimReservation {
                id,
                worker,
                token,
                relay,
            });
            return Output::Waiting;
        }
        if let Some(relay) = self.reservations.take(now, token)
            && let Some(entry) = self.relays.set_owner(relay, Owner::Allocation(index))
        {
            self.own(now, index, relay, entry.advertised);
        }
        self.finish(now, index)
    }

    /// Another worker's client has brought a token of ours: the socket is its from now on, and its port
    /// comes back with [`Server::return_port`].
    pub fn release_reservation(&mut self, now: Instant, token: [u8; 8]) -> Option<ClaimedRelay> {
        let relay = self.reservations.take(now, token)?;
        let RelayEntry {
            local, advertised, ..
        } = self.relays.remove(relay)?;
        Some(ClaimedRelay {
            relay,
            local,
            advertised,
        })
    }
}
