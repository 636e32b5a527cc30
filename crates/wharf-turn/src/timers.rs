//! What ends by itself. Lifetimes are compared with `now` wherever they matter; timers only give back
//! what an ended thing held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::allocation::{Owner, family_index};
use crate::flows::Channel;
use crate::permission::Permission;
use crate::server::Server;
use crate::{Command, Event, FreedBy, RelayId};

/// Timers handled by one call, so that a mass expiry does not hold up packets.
const BUDGET: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Allocation { index: u32, generation: u32 },
    Reservation([u8; 8]),
}

/// Timers that no longer count and are kept all the same, so that they are seldom looked for.
const STALE: usize = 1_024;

/// All timers of one worker. An allocation has one that counts; those that an earlier one has replaced
/// are dropped when they come up, or when they are more than those that count.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        (self.next()? <= now)
            .then(|| self.heap.pop())?
            .map(|Reverse(timer)| timer)
    }
}

impl Server {
    /// When [`Server::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Gives back what has ended by `now`, a bounded part of it at a time: call again while
    /// [`Server::poll_timeout`] is not later than `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for pool in &mut self.pools {
            pool.end_quarantine(now);
        }
        for _ in 0..BUDGET {
            match self.timers.pop_due(now) {
                None => return,
                Some((at, timer)) if !self.counts(at, timer) => {}
                Some((_, Timer::Reservation(token))) => {
                    if let Some(relay) = self.reservations.remove(token) {
                        self.close_relay(relay);
                    }
                }
                Some((_, Timer::Allocation { index, .. })) => self.expire(now, index),
            }
        }
    }

    fn counts(&self, at: Instant, timer: Timer) -> bool {
        let due = match timer {
            Timer::Reservation(token) => self.reservations.expires(token),
            Timer::Allocation { index, generation } => self
                .allocations
                .checked(index, generation)
                .and_then(|allocation| allocation.scheduled),
        };
        due == Some(at)
    }

    fn push_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.heap.push(Reverse((at, timer)));
        let alive = self.allocations.len() + self.reservations.len();
        if self.timers.heap.len() > 2 * alive + STALE {
            let mut heap = std::mem::take(&mut self.timers.heap);
            heap.retain(|Reverse((at, timer))| self.counts(*at, *timer));
            self.timers.heap = heap;
        }
    }

    /// Makes sure that a reservation ends at `at`.
    pub(crate) fn schedule_reservation(&mut self, token: [u8; 8], at: Instant) {
        self.push_timer(at, Timer::Reservation(token));
    }

    /// Makes sure that the allocation is looked at no later than `at`.
    pub(crate) fn schedule(&mut self, index: u32, at: Instant) {
        let allocation = self.allocations.get_mut(index);
        if allocation.scheduled.is_none_or(|scheduled| at < scheduled) {
            allocation.scheduled = Some(at);
            let timer = Timer::Allocation {
                index,
                generation: allocation.generation,
            };
            self.push_timer(at, timer);
        }
    }

    fn expire(&mut self, now: Instant, index: u32) {
        for family in 0..2 {
            let relay = self.allocations.get(index).relays[family];
            if relay.is_some_and(|relay| relay.expires <= now) {
                self.free_relay(index, family);
            }
        }
        if self
            .allocations
            .get(index)
            .relays
            .iter()
            .all(Option::is_none)
        {
            return self.free(index, FreedBy::Expiry);
        }
        self.sweep(now, index);
        let allocation = self.allocations.get_mut(index);
        allocation.scheduled = None;
        let relays = allocation
            .relays
            .iter()
            .flatten()
            .map(|relay| relay.expires);
        let permissions = allocation
            .permissions
            .iter()
            .map(|&i| self.permissions.get(i).expires);
        let channels = allocation
            .channels
            .iter()
            .map(|&i| self.channels.get(i).expires);
        if let Some(next) = relays.chain(permissions).chain(channels).min() {
            self.schedule(index, next);
        }
    }

    /// Drops the permissions and channels of an allocation that have expired.
    pub(crate) fn sweep(&mut self, now: Instant, index: u32) {
        self.retain(
            index,
            |permission| now < permission.expires,
            |channel| now < channel.expires,
        );
    }

    fn retain(
        &mut self,
        index: u32,
        permission: impl Fn(&Permission) -> bool,
        channel: impl Fn(&Channel) -> bool,
    ) {
        let Self {
            allocations,
            permissions,
            channels,
            ..
        } = self;
        let allocation = allocations.get_mut(index);
        allocation.permissions.retain(|&at| {
            let keep = permission(permissions.get(at));
            if !keep {
                permissions.remove(at);
            }
            keep
        });
        allocation.channels.retain(|&at| {
            let keep = channel(channels.get(at));
            if !keep {
                channels.remove(at);
            }
            keep
        });
    }

    /// Works out anew until when each channel of an allocation passes data, or those to some peers.
    pub(crate) fn update_channels(&mut self, index: u32, peers: Option<&[IpAddr]>) {
        let Self {
            allocations,
            permissions,
            channels,
            ..
        } = self;
        let allocation = allocations.get(index);
        for &at in &allocation.channels {
            let channel = channels.get(at);
            if peers.is_some_and(|peers| !peers.contains(&channel.peer.ip())) {
                continue;
            }
            let permission = permissions.expires(channel.relay.index, channel.peer.ip());
            let relay = allocation.relay(channel.peer.ip());
            let until = match (permission, relay) {
                (Some(permission), Some(relay)) => {
                    Some(channel.expires.min(permission).min(relay.expires))
                }
                _ => None,
            };
            channels.set_usable(at, until);
        }
    }

    /// Ends what the peer policy refuses now.
    pub(crate) fn enforce_peers(&mut self, index: u32) {
        let peers = Arc::clone(&self.peers);
        self.retain(
            index,
            |permission| peers.check_ip(permission.peer).is_ok(),
            |channel| peers.check(channel.peer).is_ok(),
        );
        self.update_channels(index, None);
    }

    /// Ends one family of an allocation with its permissions and channels.
    pub(crate) fn free_relay(&mut self, index: u32, family: usize) {
        let relay = self.allocations.get_mut(index).relays[family].take();
        let Some(relay) = relay else { return };
        self.retain(
            index,
            |permission| family_index(permission.peer) != family,
            |channel| family_index(channel.peer.ip()) != family,
        );
        self.close_relay(relay.id);
    }

    /// Ends an allocation and gives back all that it held.
    pub(crate) fn free(&mut self, index: u32, by: FreedBy) {
        self.free_relay(index, 0);
        self.free_relay(index, 1);
        let allocation = self.allocations.remove(index);
        let user = allocation.credential.user().clone();
        self.events.push_back(Event::Freed {
            path: allocation.path,
            user,
            by,
        });
    }

    /// Closes a relay socket; its port goes back to the pool that it is from.
    pub(crate) fn close_relay(&mut self, relay: RelayId) {
        let Some(entry) = self.relays.remove(relay) else {
            return;
        };
        debug_assert!(!matches!(entry.owner, Owner::Reservation(_)) || entry.lender.is_none());
        self.commands.push_back(Command::CloseRelay { relay });
        match entry.lender {
            Some(worker) => {
                self.commands.push_back(Command::ReturnPort {
                    worker,
                    local: entry.local,
                });
            }
            None => self.return_port(entry.local),
        }
    }
}

#[cfg(test)]
mod tests;
