//! Cookies that prove an address without a state for it (RFC 6347 §4.2.1).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hello::Hello;

/// Bytes of a cookie: one that tells its slot, and a truncated HMAC.
pub(crate) const COOKIE: usize = 20;

/// Makes and checks cookies: `slot ‖ HMAC-SHA256(secret, address ‖ slot ‖ parameters)`, truncated.
///
/// Time is cut into slots of `lifetime`; a cookie is good in its own slot and in the next. A new
/// secret makes the cookies of later slots; the older ones are kept for as long as theirs are good.
#[derive(Debug)]
pub(crate) struct Cookies {
    secret: Hmac<Sha256>,
    /// Those before, and the last slot that each made cookies of: this one and the one before it.
    older: Vec<(Hmac<Sha256>, u64)>,
    began: Instant,
    lifetime: Duration,
}

impl Cookies {
    pub(crate) fn new(secret: &[u8; 32], lifetime: Duration, now: Instant) -> Self {
        Self {
            secret: keyed(secret),
            older: Vec::new(),
            began: now,
            lifetime: lifetime.max(Duration::from_millis(1)),
        }
    }

    pub(crate) fn rotate(&mut self, secret: &[u8; 32], now: Instant) {
        let slot = self.slot(now);
        let old = std::mem::replace(&mut self.secret, keyed(secret));
        self.older.retain(|(_, last)| last + 1 >= slot);
        // Rotated twice within a slot: the cookies of this slot were made by the older one.
        if self.older.last().is_none_or(|(_, last)| *last < slot) {
            self.older.push((old, slot));
        }
    }

    fn slot(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.began);
        (elapsed.as_nanos() / self.lifetime.as_nanos()) as u64
    }

    pub(crate) fn make(&self, now: Instant, from: SocketAddr, hello: &Hello<'_>) -> [u8; COOKIE] {
        let slot = self.slot(now);
        let mac = self.mac(slot, from, hello).finalize().into_bytes();
        let mut cookie = [slot as u8; COOKIE];
        cookie[1..].copy_from_slice(&mac[..COOKIE - 1]);
        cookie
    }

    /// Whether the cookie of `hello` was made here for `from`, not long ago.
    pub(crate) fn is_good(&self, now: Instant, from: SocketAddr, hello: &Hello<'_>) -> bool {
        let Ok(cookie) = <&[u8; COOKIE]>::try_from(hello.cookie()) else {
            return false;
        };
        let slot = self.slot(now);
        let made_in = if cookie[0] == slot as u8 {
            slot
        } else if slot > 0 && cookie[0] == (slot - 1) as u8 {
            slot - 1
        } else {
            return false;
        };
        self.mac(made_in, from, hello)
            .verify_truncated_left(&cookie[1..])
            .is_ok()
    }

    fn mac(&self, slot: u64, from: SocketAddr, hello: &Hello<'_>) -> Hmac<Sha256> {
        let older = self.older.iter().find(|(_, last)| slot <= *last);
        let mut mac = older.map_or(&self.secret, |(older, _)| older).clone();
        let address = match from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        mac.update(&address.octets());
        mac.update(&from.port().to_be_bytes());
        mac.update(&slot.to_be_bytes());
        // The parts tell their own lengths: no two hellos give the same bytes.
        for part in hello.parameters() {
            mac.update(part);
        }
        mac
    }
}

fn keyed(secret: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}
