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
use crate::{ClaimedRelay, Command, RelayId, Worker};

/// A bound socket that waits for its token. It counts as an allocation of its user, so that making and
/// dropping allocations does not pile up ports.
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

    /// The permit of a reservation, for the same user's allocation that takes it.
    pub(crate) fn permit(&mut self, token: &[u8; 8], user: &Authenticated) -> Option<QuotaPermit> {
        let reservation = self.by_token.get_mut(token)?;
        let permit = reservation
            .permit
            .take_if(|permit| permit.user() == user.credential.user());
        permit
    }

    fn take(&mut self, now: Instant, token: &[u8; 8]) -> Option<RelayId> {
        let relay = self
            .by_token
            .get(token)
            .filter(|found| now < found.expires)?
            .relay;
        self.by_token.remove(token);
        Some(relay)
    }

    /// The reservation's relay, if it has expired.
    pub(crate) fn expire(&mut self, now: Instant, token: &[u8; 8]) -> Option<RelayId> {
        let relay = self
            .by_token
            .get(token)
            .filter(|found| found.expires <= now)?
            .relay;
        self.by_token.remove(token);
        Some(relay)
    }
}

impl Server {
    /// Holds the socket of the odd port for whoever brings the token.
    pub(crate) fn reserve(&mut self, now: Instant, index: u32, relay: RelayId, token: [u8; 8]) {
        let allocation = self.allocations.get_mut(index);
        match self.quotas.acquire(allocation.credential.user()) {
            Ok(permit) => {
                allocation.reservation = Some(token);
                let expires = now + self.config.reservation_lifetime;
                let permit = Some(permit);
                self.reservations.by_token.insert(
                    token,
                    Reservation {
                        relay,
                        expires,
                        permit,
                    },
                );
                self.timers.reservation(token, expires);
            }
            Err(_) => self.abandon_pair(index, relay),
        }
    }

    /// The user may not have a second port, so there is no pair (RFC 8656 §7.2: 508).
    fn abandon_pair(&mut self, index: u32, relay: RelayId) {
        self.close_relay(relay);
        for relay in std::mem::take(&mut self.allocations.get_mut(index).relays)
            .iter()
            .flatten()
        {
            self.close_relay(relay.id);
        }
    }

    /// Gives a reserved socket to an allocation. True when the worker that holds it has to be asked.
    pub(crate) fn claim_reservation(&mut self, now: Instant, index: u32, token: [u8; 8]) -> bool {
        let Worker { index: own, count } = self.config.worker;
        if token[0] != own && token[0] < count {
            let nowhere = SocketAddr::from(([0; 4], 0));
            let relay = self.relays.insert(RelayEntry {
                owner: Owner::Allocation(index),
                local: nowhere,
                advertised: nowhere,
                lender: Some(token[0]),
            });
            let generation = self.allocations.get(index).generation;
            let id = self.push_pending(Pending::Claim {
                allocation: index,
                generation,
                relay,
            });
            let worker = token[0];
            self.commands.push_back(Command::ClaimReservation {
                id,
                worker,
                token,
                relay,
            });
            return true;
        }
        if let Some(relay) = self.reservations.take(now, &token)
            && let Some(entry) = self.relays.set_owner(relay, Owner::Allocation(index))
        {
            self.own(now, index, relay, entry.advertised);
        }
        false
    }

    /// Another worker's client has brought a token of ours: the socket is its from now on, and its port
    /// comes back with [`Server::return_port`].
    pub fn release_reservation(&mut self, now: Instant, token: [u8; 8]) -> Option<ClaimedRelay> {
        let relay = self.reservations.take(now, &token)?;
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
