//! How load is spread over candidates that are equals.
//!
//! SRV spreads it by its weights already, and [`Balance::AsListed`] leaves it at that. The other ways
//! are for targets that a configuration lists, or that have one weight.
//!
//! ```
//! use wharf_sip::Transport;
//! use wharf_sip::balance::{Balance, Balancer};
//! use wharf_sip::locate::Candidate;
//!
//! let candidate = |address: &str| Candidate {
//!     transport: Transport::Udp,
//!     address: address.parse().unwrap(),
//!     domain: None,
//!     ttl: None,
//!     rank: 0,
//! };
//! let mut balancer = Balancer::new(Balance::RoundRobin);
//! let mut firsts = Vec::new();
//! for _ in 0..3 {
//!     let mut list = vec![candidate("192.0.2.1:5060"), candidate("192.0.2.2:5060")];
//!     balancer.arrange(&mut list, 0, |_| 0);
//!     firsts.push(list[0].address.ip().to_string());
//! }
//! assert_eq!(firsts, ["192.0.2.1", "192.0.2.2", "192.0.2.1"]);
//! ```

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::locate::Candidate;

/// A way to spread load. Each keeps the order of ranks: only candidates of one rank are equals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// In the order of the list: that of SRV, with its weights.
    #[default]
    AsListed,
    /// Each in its turn.
    RoundRobin,
    /// The one with the least to do first; among those the order of the list.
    LeastBusy,
    /// By a key, such as that of [`seed_of`](crate::locate::seed_of) for the
    /// Call-ID: one key leads to one candidate for as long as that is
    /// in the list, and when it is not, only its keys move (rendezvous hashing).
    ByKey,
}

/// Spreads load over the candidates of one target.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    balance: Balance,
    turn: usize,
}

impl Balancer {
    /// A balancer that begins with the first of the list.
    pub fn new(balance: Balance) -> Self {
        Self { balance, turn: 0 }
    }

    /// Brings candidates into the order in which to try them. `key` counts for [`Balance::ByKey`] only,
    /// and `busy`, the requests or connections under way to a candidate, for [`Balance::LeastBusy`].
    pub fn arrange(
        &mut self,
        candidates: &mut [Candidate],
        key: u64,
        busy: impl Fn(&Candidate) -> usize,
    ) {
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1);
        for equals in candidates.chunk_by_mut(|one, other| one.rank == other.rank) {
            match self.balance {
                Balance::AsListed => {}
                Balance::RoundRobin => equals.rotate_left(turn % equals.len()),
                Balance::LeastBusy => equals.sort_by_cached_key(&busy),
                Balance::ByKey => equals.sort_by_cached_key(|candidate| score(candidate, key)),
            }
        }
    }
}

/// The place of a candidate among all for this key.
fn score(candidate: &Candidate, key: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(key, 0);
    // Its text is the same on every host.
    hasher.write(candidate.to_string().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;

    fn list(count: u8, rank: u32) -> Vec<Candidate> {
        let candidate = |last| Candidate {
            transport: Transport::Udp,
            address: ([192, 0, rank as u8, last], 5060).into(),
            domain: None,
            ttl: None,
            rank,
        };
        (1..=count).map(candidate).collect()
    }

    fn arranged(balancer: &mut Balancer, mut list: Vec<Candidate>, key: u64) -> Vec<u8> {
        let last = |candidate: &Candidate| match candidate.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        balancer.arrange(&mut list, key, |candidate| {
            10 - usize::from(last(candidate) / 2)
        });
        list.iter().map(last).collect()
    }

    #[test]
    fn each_way_has_its_order() {
        let mut listed = Balancer::default();
        assert_eq!(arranged(&mut listed, list(3, 0), 0), [1, 2, 3]);
        assert_eq!(arranged(&mut listed, list(3, 0), 0), [1, 2, 3]);
        let mut turns = Balancer::new(Balance::RoundRobin);
        let orders: Vec<_> = (0..4)
            .map(|_| arranged(&mut turns, list(3, 0), 0))
            .collect();
        assert_eq!(orders, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
        let mut least = Balancer::new(Balance::LeastBusy);
        assert_eq!(arranged(&mut least, list(5, 0), 0), [4, 5, 2, 3, 1]);
    }

    #[test]
    fn ranks_keep_their_order() {
        for balance in [Balance::RoundRobin, Balance::LeastBusy, Balance::ByKey] {
            let mut balancer = Balancer::new(balance);
            for key in 0..20 {
                let mut both = list(3, 1);
                both.extend(list(3, 2));
                balancer.arrange(&mut both, key, |_| 0);
                let ranks: Vec<_> = both.iter().map(|candidate| candidate.rank).collect();
                assert_eq!(ranks, [1, 1, 1, 2, 2, 2], "{balance:?}");
            }
        }
        Balancer::new(Balance::RoundRobin).arrange(&mut [], 0, |_| 0);
    }

    #[test]
    fn a_key_stays_where_it_is_when_another_candidate_goes() {
        let mut balancer = Balancer::new(Balance::ByKey);
        let mut moved = 0;
        let mut firsts = [0; 5];
        for key in 0..1000 {
            let before = arranged(&mut balancer, list(4, 0), key);
            let after = arranged(&mut balancer, list(3, 0), key);
            firsts[usize::from(before[0])] += 1;
            if before[0] == 4 {
                // Its keys go to the next in their own order.
                assert_eq!(after[0], before[1]);
                moved += 1;
            } else {
                assert_eq!(after[0], before[0]);
            }
        }
        assert_eq!(firsts[4], moved);
        assert!(
            firsts[1..].iter().all(|&count| (200..300).contains(&count)),
            "{firsts:?}"
        );
    }
}
