//! State Cookies that say by themselves for whom they were made and until when (RFC 9260 §5.1.3).
//!
//! The SCTP engine's own cookie carries neither a code nor a time. What goes on the wire is that cookie,
//! followed by the moment it ends, the peer's tag and a code over all of it, the peer's addresses and the tag that
//! the peer's packets have to carry: `cookie ‖ expiry (8) ‖ peer's tag (4) ‖ HMAC-SHA-256 (first 16)`.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::packet::u32_at;

const CODE: usize = 16;
const TRAILER: usize = 8 + 4 + CODE;

/// Makes and checks State Cookies, and draws the seeds of tags and sequence numbers, all from one secret.
///
/// All fronts and associations of a listener share one (it is cheap to clone): a cookie made by one is good at
/// another.
#[derive(Clone)]
pub struct Cookies {
    secret: [u8; 32],
    /// Where the times in cookies count from.
    base: Instant,
    life: Duration,
}

/// Where a packet comes from: the UDP endpoint and both SCTP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) udp: SocketAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// The verification tags of the association that a cookie is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tags {
    /// What the peer's packets carry.
    pub(crate) own: u32,
    /// What ours carry.
    pub(crate) peer: u32,
}

/// What a cookie is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened<'a> {
    /// Made here for this peer and still good: the engine's own cookie.
    Good(&'a [u8]),
    /// Made here for this peer, but too long ago.
    Stale { peer_tag: u32, by: Duration },
    /// Not made here, or for somebody else.
    Forged,
}

impl Cookies {
    /// Cookies that stay good for `life` (RFC 9260 §16: 60 s).
    ///
    /// `secret` is 32 bytes from the operating system, `now` any moment not after the first use.
    pub fn new(secret: [u8; 32], now: Instant, life: Duration) -> Self {
        Self {
            secret,
            base: now,
            life,
        }
    }

    pub(crate) fn seal(&self, now: Instant, origin: Origin, tags: Tags, cookie: &[u8]) -> Vec<u8> {
        let until = self
            .micros(now)
            .saturating_add(self.life.as_micros() as u64);
        let mut sealed = Vec::with_capacity(cookie.len() + TRAILER);
        sealed.extend_from_slice(cookie);
        sealed.extend_from_slice(&until.to_be_bytes());
        sealed.extend_from_slice(&tags.peer.to_be_bytes());
        let code = self.code(origin, tags.own, &sealed);
        sealed.extend_from_slice(&code);
        sealed
    }

    /// Judges a cookie that came back in a packet with the verification tag `tag`.
    pub(crate) fn open<'a>(
        &self,
        now: Instant,
        origin: Origin,
        tag: u32,
        sealed: &'a [u8],
    ) -> Opened<'a> {
        let Some((signed, code)) = sealed.split_last_chunk::<CODE>() else {
            return Opened::Forged;
        };
        let Some((cookie, trailer)) = signed.split_last_chunk::<{ TRAILER - CODE }>() else {
            return Opened::Forged;
        };
        if !bool::from(self.code(origin, tag, signed).ct_eq(code)) {
            return Opened::Forged;
        }
        let (until, peer_tag) = trailer.split_at(8);
        let until = u64::from_be_bytes(until.try_into().expect("eight bytes"));
        match self.micros(now).checked_sub(until) {
            None => Opened::Good(cookie),
            Some(late) => Opened::Stale {
                peer_tag: u32_at(peer_tag, 0),
                by: Duration::from_micros(late),
            },
        }
    }

    /// A seed nobody without the secret can guess: different for each moment, peer, packet and count.
    pub(crate) fn seed(&self, now: Instant, peer: SocketAddr, count: u64, packet: &[u8]) -> u64 {
        let mut mac = self.mac(b"seed");
        mac.update(&self.base_nanos(now).to_be_bytes());
        mac.update(&count.to_be_bytes());
        update_address(&mut mac, peer);
        mac.update(packet);
        let bytes = mac.finalize().into_bytes();
        let (seed, _) = bytes.split_first_chunk::<8>().expect("32 bytes");
        u64::from_be_bytes(*seed)
    }

    fn code(&self, origin: Origin, tag: u32, signed: &[u8]) -> [u8; CODE] {
        let mut mac = self.mac(b"cookie");
        update_address(&mut mac, origin.udp);
        mac.update(&origin.source_port.to_be_bytes());
        mac.update(&origin.destination_port.to_be_bytes());
        mac.update(&tag.to_be_bytes());
        mac.update(signed);
        let bytes = mac.finalize().into_bytes();
        *bytes.first_chunk().expect("32 bytes")
    }

    fn mac(&self, purpose: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(purpose);
        mac
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.base).as_micros() as u64
    }

    fn base_nanos(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.base).as_nanos()
    }
}

impl fmt::Debug for Cookies {
    /// The secret stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// The address as 18 bytes: an IPv4-mapped address and the IPv4 address itself are the same peer.
fn update_address(mac: &mut Hmac<Sha256>, address: SocketAddr) {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    mac.update(&ip.octets());
    mac.update(&address.port().to_be_bytes());
}

/// Runs the engine with its generator seeded: it draws tags, sequence numbers and tie-tags from the thread's
/// `fastrand`, whose state a peer could learn from what it has been sent. The thread's own state is put back.
pub(crate) fn with_seed<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    let before = fastrand::get_seed();
    fastrand::seed(seed);
    let result = run();
    fastrand::seed(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    fn origin(port: u16) -> Origin {
        Origin {
            udp: SocketAddr::from(([192, 0, 2, 1], port)),
            source_port: 5000,
            destination_port: 5001,
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_peer_and_its_time_only() {
        let now = start();
        let life = Duration::from_mins(1);
        let cookies = Cookies::new([1; 32], now, life);
        let sealed = cookies.seal(now, origin(1), Tags { own: 3, peer: 77 }, b"inner");
        assert_eq!(
            cookies.open(now, origin(1), 3, &sealed),
            Opened::Good(b"inner")
        );
        let last = now + Duration::from_micros(59_999_999);
        assert_eq!(
            cookies.open(last, origin(1), 3, &sealed),
            Opened::Good(b"inner")
        );
        let late = now + life + Duration::from_millis(3);
        assert_eq!(
            cookies.open(late, origin(1), 3, &sealed),
            Opened::Stale {
                peer_tag: 77,
                by: Duration::from_millis(3)
            }
        );
        let mut elsewhere = origin(1);
        elsewhere.source_port = 1;
        assert_eq!(cookies.open(now, elsewhere, 3, &sealed), Opened::Forged);
        assert_eq!(cookies.open(now, origin(2), 3, &sealed), Opened::Forged);
        assert_eq!(cookies.open(now, origin(1), 4, &sealed), Opened::Forged);
        let others = Cookies::new([2; 32], now, life);
        assert_eq!(others.open(now, origin(1), 3, &sealed), Opened::Forged);
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cookies.open(now, origin(1), 3, &forged), Opened::Forged);
        }
        for len in 0..sealed.len() {
            assert_eq!(
                cookies.open(now, origin(1), 3, &sealed[..len]),
                Opened::Forged
            );
        }
    }

    #[test]
    fn seeds_differ_and_the_threads_generator_is_left_as_it_was() {
        let now = start();
        let cookies = Cookies::new([1; 32], now, Duration::from_mins(1));
        let peer = origin(1).udp;
        let seeds = [
            cookies.seed(now, peer, 0, b"x"),
            cookies.seed(now, peer, 1, b"x"),
            cookies.seed(now, peer, 0, b"y"),
            cookies.seed(now, origin(2).udp, 0, b"x"),
            cookies.seed(now + Duration::from_nanos(1), peer, 0, b"x"),
            Cookies::new([2; 32], now, Duration::from_mins(1)).seed(now, peer, 0, b"x"),
        ];
        for (at, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..at].contains(seed));
        }
        fastrand::seed(5);
        let drawn = with_seed(seeds[0], || fastrand::u64(..));
        assert_eq!(with_seed(seeds[0], || fastrand::u64(..)), drawn);
        let after = fastrand::u64(..);
        fastrand::seed(5);
        assert_eq!(fastrand::u64(..), after);
    }
}
