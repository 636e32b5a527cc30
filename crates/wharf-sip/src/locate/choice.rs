//! The order among records: strict by priority, by chance within one (RFC 2782), and the same again
//! for the same seed, whatever order the records came in (RFC 3263 §4.4).

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::Srv;

/// A number for [`Locator::new`](super::Locator::new) that is always the same for the same words.
///
/// A stateless proxy makes it from what the retransmissions of a request, its ACK and its CANCEL have
/// in common, the branch of the topmost Via, or the Call-ID where the branch is not unique, so that
/// they all go one way (RFC 3263 §4.4, RFC 3261 §16.11). Proxies that share a `key` choose alike; one
/// that peers do not know keeps them from choosing their target.
///
/// ```
/// use wharf_sip::locate::seed_of;
///
/// let key = [7; 16];
/// assert_eq!(seed_of(&key, b"z9hG4bK74bf9"), seed_of(&key, b"z9hG4bK74bf9"));
/// assert_ne!(seed_of(&key, b"z9hG4bK74bf9"), seed_of(&key, b"z9hG4bK74bf8"));
/// ```
pub fn seed_of(key: &[u8; 16], words: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(words);
    hasher.finish()
}

/// Numbers that follow from a seed: `splitmix64`, good enough to spread load.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The numbers of `seed` for the choice named `what`: independent of any choice made before.
    pub(super) fn new(seed: u64, what: &str) -> Self {
        Self(seed_of(&[0; 16], what.as_bytes()) ^ seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, evenly distributed; 0 for a bound of 0.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Puts `items` into any order, each as likely as the others.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Puts SRV records into the order in which they are to be tried, the first `most` of them by
/// priority; the others are left out.
pub(super) fn order(records: &mut Vec<Srv>, most: usize, mut chance: Chance) {
    // Zero weights first within a priority, as RFC 2782 wants them; the rest only makes the start
    // the same however the server rotates its answers.
    records.sort_unstable_by(|a, b| {
        let key = |srv: &Srv| (srv.priority, srv.weight != 0);
        key(a).cmp(&key(b)).then_with(|| a.cmp(b))
    });
    records.dedup_by(|a, b| (a.priority, a.port, &a.target) == (b.priority, b.port, &b.target));
    records.truncate(most);
    for group in records.chunk_by_mut(|a, b| a.priority == b.priority) {
        let zeros = group.partition_point(|srv| srv.weight == 0);
        chance.shuffle(&mut group[..zeros]);
        for first in 0..group.len() {
            let rest = &mut group[first..];
            let sum: u64 = rest.iter().map(|srv| u64::from(srv.weight)).sum();
            // RFC 2782 draws from 0 to the sum. A draw of 0 is the small chance of a zero weight;
            // without one it would be a second chance for whichever record stands first.
            let least = u64::from(rest[0].weight != 0);
            let drawn = least + chance.below(sum + 1 - least);
            let mut running = 0;
            let chosen = rest.iter().position(|srv| {
                running += u64::from(srv.weight);
                running >= drawn
            });
            // The running sum ends at the sum, which no draw exceeds.
            rest[..=chosen.unwrap_or(0)].rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests;
