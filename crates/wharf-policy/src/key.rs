//! The prefix that a source is counted under, as a number that the sources cannot foresee.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::FixedState;

use crate::address::canonical;

/// Cuts sources to their prefix and hashes it with a secret seed.
#[derive(Debug, Clone)]
pub(crate) struct PrefixKey {
    hasher: FixedState,
    ipv4_mask: u128,
    ipv6_mask: u128,
}

impl PrefixKey {
    /// Prefixes of these lengths in bits; a longer one than the family has is a whole address.
    pub(crate) fn new(ipv4_prefix: u8, ipv6_prefix: u8, seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            ipv4_mask: mask(96 + ipv4_prefix.min(32)),
            ipv6_mask: mask(ipv6_prefix.min(128)),
        }
    }

    /// The hash of the source's prefix: 64 bits, under a seed that the sources do not know, are
    /// identity enough for a limit.
    pub(crate) fn hash(&self, source: IpAddr) -> u64 {
        self.hasher.hash_one(self.prefix_of(source))
    }

    /// The prefix as an IPv6 number, an IPv4 one under `::ffff:0:0/96`.
    fn prefix_of(&self, source: IpAddr) -> u128 {
        match canonical(source) {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits() & self.ipv4_mask,
            IpAddr::V6(ip) => ip.to_bits() & self.ipv6_mask,
        }
    }
}

fn mask(prefix_len: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(prefix_len))
        .unwrap_or(0)
}
