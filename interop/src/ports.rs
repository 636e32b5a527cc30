//! Ports that no other test, in this process or another, uses at the same time.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::ops::RangeInclusive;

/// Ports in one block: the claim, room for listeners, then the relay range.
const BLOCK: u16 = 200;
/// Ports of a block that stand before its relay range.
const LISTENERS: u16 = 40;
/// Blocks lie below Linux's ephemeral range (`net.ipv4.ip_local_port_range`, 32768 and up), so
/// that the sockets clients open without choosing a port never take one of theirs.
const FIRST: u16 = 10_000;
/// Number of blocks between [`FIRST`] and the ephemeral range.
const BLOCKS: u16 = 110;

/// A run of consecutive UDP ports that belongs to its holder until it is dropped.
///
/// The claim is a socket bound to the first port of the block: the kernel refuses it to every other
/// claimant, and takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    next: u16,
    _claim: UdpSocket,
}

impl PortBlock {
    /// Claims a free block, starting the search at a random one. Panics when none is left.
    #[must_use]
    pub fn claim() -> Self {
        let start = RandomState::new().hash_one(FIRST) as u16 % BLOCKS;
        (0..BLOCKS)
            .map(|step| FIRST + (start + step) % BLOCKS * BLOCK)
            .find_map(|base| {
                let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, base)).ok()?;
                Some(Self {
                    base,
                    next: base + 1,
                    _claim: claim,
                })
            })
            .expect("every block of test ports is taken")
    }

    /// A port that is free on 127.0.0.1 and ::1, and whose successor is free too.
    ///
    /// Two at a time, because coturn's peer serves the even port of RTP and the odd one of RTCP.
    pub fn pair(&mut self) -> u16 {
        while self.next + 1 < self.base + LISTENERS {
            let port = self.next;
            self.next += 2;
            if is_free(port) && is_free(port + 1) {
                return port;
            }
        }
        panic!("no free pair of ports left in the block at {}", self.base);
    }

    /// The ports for relayed transport addresses: 160 of them.
    #[must_use]
    pub fn relay_range(&self) -> RangeInclusive<u16> {
        self.base + LISTENERS..=self.base + BLOCK - 1
    }
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_never_share_a_port() {
        let (mut a, mut b) = (PortBlock::claim(), PortBlock::claim());
        assert!(!a.relay_range().contains(b.relay_range().start()));
        assert_ne!(a.pair(), b.pair());
        assert!(a.base.abs_diff(b.base) >= BLOCK);
    }

    #[test]
    fn a_pair_is_never_handed_out_twice_and_stays_out_of_the_relay_range() {
        let mut block = PortBlock::claim();
        let (first, second) = (block.pair(), block.pair());
        assert!(second >= first + 2);
        assert!(second + 1 < *block.relay_range().start());
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut block = PortBlock::claim();
        let _taken = UdpSocket::bind((Ipv6Addr::LOCALHOST, block.base + 2)).unwrap();
        assert!(block.pair() > block.base + 2);
    }
}
