//! The ports of one relay address that belong to one worker.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;

use crate::{RelayAddress, Worker};

/// How long a port that somebody else holds is left alone.
const QUARANTINE: Duration = Duration::from_mins(1);
/// Marks a port that is not free.
const TAKEN: u16 = u16::MAX;

/// Free ports in a vector, and each port's place in it: taking any free port, or a certain one, and
/// giving it back take constant time, and every free port is as likely as any other (RFC 6056).
#[derive(Debug)]
pub(crate) struct PortPool {
    address: RelayAddress,
    worker: Worker,
    free: Vec<u16>,
    /// By port, from the start of the range.
    place: Vec<u16>,
    quarantine: VecDeque<(Instant, u16)>,
}

impl PortPool {
    /// Ports are dealt to the workers in pairs of an even port and the next, so that EVEN-PORT never
    /// needs another worker.
    pub(crate) fn new(address: RelayAddress, worker: Worker) -> Self {
        let range = address.ports.clone();
        let mut pool = Self {
            place: vec![TAKEN; range.clone().count()],
            address,
            worker,
            free: Vec::new(),
            quarantine: VecDeque::new(),
        };
        for port in range {
            if pool.owns_port(port) {
                pool.give_back(port);
            }
        }
        pool
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.address.bind.is_ipv4()
    }

    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Whether `local` is an address of this pool's worker.
    pub(crate) fn owns(&self, local: SocketAddr) -> bool {
        local.ip() == self.address.bind && self.owns_port(local.port())
    }

    /// Port 0 is none, which leaves a place beyond the last to mark what is taken.
    fn owns_port(&self, port: u16) -> bool {
        port != 0
            && self.address.ports.contains(&port)
            && port / 2 % u16::from(self.worker.count) == u16::from(self.worker.index)
    }

    /// The address to bind and the address to tell.
    pub(crate) fn addresses(&self, port: u16) -> (SocketAddr, SocketAddr) {
        let address = &self.address;
        (
            SocketAddr::new(address.bind, port),
            SocketAddr::new(address.advertised, port),
        )
    }

    pub(crate) fn take_any(&mut self, now: Instant, rng: &mut ChaCha8Rng) -> Option<u16> {
        self.end_quarantine(now);
        let port = self.free[self.random_index(rng)?];
        self.take(port);
        Some(port)
    }

    /// An even port; with `pair`, one whose odd neighbour is free too, and both are taken.
    pub(crate) fn take_even(
        &mut self,
        now: Instant,
        rng: &mut ChaCha8Rng,
        pair: bool,
    ) -> Option<u16> {
        self.end_quarantine(now);
        let start = self.random_index(rng)?;
        let order = self.free[start..]
            .iter()
            .chain(&self.free[..start])
            .copied();
        let port = order
            .filter(|port| port % 2 == 0)
            .find(|port| !pair || port.checked_add(1).is_some_and(|next| self.is_free(next)))?;
        if pair {
            self.take(port + 1);
        }
        self.take(port);
        Some(port)
    }

    /// Makes a port free again. Giving back what is free already, or not of this pool, does nothing.
    pub(crate) fn give_back(&mut self, port: u16) {
        if self.owns_port(port) && !self.is_free(port) {
            let place = self.slot(port);
            self.place[place] = self.free.len() as u16;
            self.free.push(port);
        }
    }

    /// Leaves a taken port alone for a while, because somebody else has bound it.
    pub(crate) fn quarantine(&mut self, now: Instant, port: u16) {
        self.quarantine.push_back((now + QUARANTINE, port));
    }

    /// Frees the ports that have been left alone for long enough.
    pub(crate) fn end_quarantine(&mut self, now: Instant) {
        while let Some((_, port)) = self.quarantine.pop_front_if(|(until, _)| *until <= now) {
            self.give_back(port);
        }
    }

    fn slot(&self, port: u16) -> usize {
        usize::from(port - self.address.ports.start())
    }

    fn is_free(&self, port: u16) -> bool {
        self.owns_port(port) && self.place[self.slot(port)] != TAKEN
    }

    fn take(&mut self, port: u16) {
        let slot = self.slot(port);
        let place = std::mem::replace(&mut self.place[slot], TAKEN) as usize;
        self.free.swap_remove(place);
        if let Some(&moved) = self.free.get(place) {
            let slot = self.slot(moved);
            self.place[slot] = place as u16;
        }
    }

    /// Uniform over the free ports: a 64-bit draw makes the bias of the remainder immaterial.
    fn random_index(&self, rng: &mut ChaCha8Rng) -> Option<usize> {
        let count = self.free.len() as u64;
        (count > 0).then(|| (rng.next_u64() % count) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand_core::SeedableRng as _;

    use super::*;

    fn pool(ports: std::ops::RangeInclusive<u16>, index: u8, count: u8) -> PortPool {
        let address = RelayAddress::new([192, 0, 2, 1].into(), ports);
        PortPool::new(address, Worker { index, count })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn workers_share_the_range_without_overlap() {
        let mut seen = HashSet::new();
        for index in 0..3 {
            let pool = pool(50_001..=50_100, index, 3);
            assert!(pool.free.iter().all(|port| seen.insert(*port)));
        }
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn t23_ports_are_spread_evenly() {
        let mut rng = ChaCha8Rng::from_seed([1; 32]);
        let now = start();
        let mut pool = pool(50_000..=50_999, 0, 1);
        let mut bins = [0_i32; 20];
        for _ in 0..1_000 {
            let port = pool.take_any(now, &mut rng).unwrap();
            bins[usize::from(port - 50_000) / 50] += 1;
            pool.give_back(port);
        }
        let chi: f64 = bins.iter().map(|n| f64::from((n - 50).pow(2)) / 50.0).sum();
        assert!(
            chi < 43.8,
            "chi-square with 19 degrees of freedom, 99.9 %: {chi}"
        );
    }

    #[test]
    fn even_ports_and_pairs_come_back() {
        let mut rng = ChaCha8Rng::from_seed([2; 32]);
        let now = start();
        let mut pool = pool(50_001..=50_010, 0, 1);
        let all = pool.free();
        // 50,010 is even but its neighbour lies outside.
        let mut pairs = Vec::new();
        while let Some(port) = pool.take_even(now, &mut rng, true) {
            assert!(port % 2 == 0 && port < 50_010);
            pairs.push(port);
        }
        assert_eq!(pairs.len(), 4);
        assert_eq!(pool.take_even(now, &mut rng, false), Some(50_010));
        assert_eq!(pool.take_any(now, &mut rng), Some(50_001));
        assert_eq!(pool.take_any(now, &mut rng), None);
        for port in pairs {
            pool.give_back(port);
            pool.give_back(port);
            pool.give_back(port + 1);
        }
        pool.give_back(50_010);
        pool.give_back(50_001);
        pool.give_back(40_000);
        assert_eq!(pool.free(), all);
    }

    #[test]
    fn a_port_of_somebody_else_is_left_alone_for_a_while() {
        let mut rng = ChaCha8Rng::from_seed([3; 32]);
        let now = start();
        let mut pool = pool(50_000..=50_000, 0, 1);
        let port = pool.take_any(now, &mut rng).unwrap();
        pool.quarantine(now, port);
        assert_eq!(pool.take_any(now + QUARANTINE / 2, &mut rng), None);
        assert_eq!(pool.take_any(now + QUARANTINE, &mut rng), Some(port));
    }
}
