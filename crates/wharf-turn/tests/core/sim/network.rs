//! The network: what is sent arrives late, out of order, twice or not at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Of a hundred datagrams, so many are lost.
const LOSS: u64 = 10;
/// Of a hundred datagrams, so many arrive twice.
const DUPLICATION: u64 = 5;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: Vec<u8>,
}

/// How often something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

pub(crate) struct Network {
    rng: ChaCha8Rng,
    /// By time of arrival, then in the order of sending.
    under_way: BinaryHeap<Reverse<(Duration, u64, Datagram)>>,
    sent: u64,
    latest: u64,
    pub(crate) faults: Faults,
    pub(crate) delivered: u64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            under_way: BinaryHeap::new(),
            sent: 0,
            latest: 0,
            faults: Faults::default(),
            delivered: 0,
        }
    }

    /// A number below `bound`.
    pub(crate) fn draw(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    pub(crate) fn send(&mut self, now: Duration, datagram: &Datagram) {
        let copies = match self.draw(100) {
            n if n < LOSS => {
                self.faults.lost += 1;
                0
            }
            n if n < LOSS + DUPLICATION => {
                self.faults.duplicated += 1;
                2
            }
            _ => 1,
        };
        for _ in 0..copies {
            let arrival = now + Duration::from_millis(5 + self.draw(200));
            self.sent += 1;
            let entry = (arrival, self.sent, datagram.clone());
            self.under_way.push(Reverse(entry));
        }
    }

    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn arrive(&mut self) -> Option<Datagram> {
        let Reverse((_, number, datagram)) = self.under_way.pop()?;
        self.delivered += 1;
        if number < self.latest {
            self.faults.reordered += 1;
        }
        self.latest = self.latest.max(number);
        Some(datagram)
    }
}
