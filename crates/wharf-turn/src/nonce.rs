//! Stateless nonces (RFC 8489 §9.2): a time and a code over it and the client's address, so that a nonce
//! says by itself who got it, when, and whether it was made here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use std::hash::Hasher as _;
use subtle::ConstantTimeEq as _;

/// The nonce cookie with its security features (RFC 8489 §9.2): 13 characters.
const COOKIE: usize = 13;
/// Seconds as `u32`, and 80 bits of the code.
const TOKEN: usize = 14;
/// Characters in all: the token is 19 characters in base64.
pub(crate) const NONCE_LEN: usize = COOKIE + 19;
/// How far a nonce's time may lie ahead, for clocks of a fleet that differ.
const SKEW: u32 = 60;

/// Makes and checks nonces.
#[derive(Debug)]
pub(crate) struct Nonces {
    secret: [u8; 32],
    cookie: [u8; COOKIE],
    lifetime: u32,
    /// A moment and the seconds since 1970 at that moment: later changes of the clock do not matter.
    base: (Instant, u64),
    /// Keys of the current and the previous epoch.
    keys: [(u32, SipHasher24); 2],
}

impl Nonces {
    pub(crate) fn new(
        secret: [u8; 32],
        cookie: [u8; COOKIE],
        lifetime: Duration,
        now: Instant,
        unix: Duration,
    ) -> Self {
        let lifetime = u32::try_from(lifetime.as_secs())
            .unwrap_or(u32::MAX / 2)
            .max(1);
        let epoch = unix.as_secs() as u32 / lifetime;
        let keys = [epoch, epoch.saturating_sub(1)].map(|epoch| (epoch, key(&secret, epoch)));
        Self {
            secret,
            cookie,
            lifetime,
            base: (now, unix.as_secs()),
            keys,
        }
    }

    /// A fresh nonce for a client.
    pub(crate) fn make(&mut self, now: Instant, client: SocketAddr) -> [u8; NONCE_LEN] {
        let time = self.seconds(now);
        let mut token = [0; TOKEN];
        token[..4].copy_from_slice(&time.to_be_bytes());
        token[4..].copy_from_slice(&self.code(time, client));
        let mut nonce = [0; NONCE_LEN];
        nonce[..COOKIE].copy_from_slice(&self.cookie);
        let written = URL_SAFE_NO_PAD.encode_slice(token, &mut nonce[COOKIE..]);
        debug_assert_eq!(written.ok(), Some(NONCE_LEN - COOKIE));
        nonce
    }

    /// Whether the nonce claims to be one of ours: then the security features in it count.
    pub(crate) fn has_our_cookie(&self, nonce: &[u8]) -> bool {
        nonce.starts_with(&self.cookie)
    }

    /// Whether the nonce was made for this client, by the holder of this secret, and has not expired.
    pub(crate) fn is_valid(&mut self, now: Instant, client: SocketAddr, nonce: &[u8]) -> bool {
        let Some(text) = nonce.strip_prefix(&self.cookie) else {
            return false;
        };
        let mut token = [0; TOKEN];
        if text.len() != NONCE_LEN - COOKIE
            || URL_SAFE_NO_PAD.decode_slice(text, &mut token) != Ok(TOKEN)
        {
            return false;
        }
        let [a, b, c, d, code @ ..] = token;
        let time = u32::from_be_bytes([a, b, c, d]);
        let seconds = self.seconds(now);
        if time > seconds.saturating_add(SKEW) || seconds.saturating_sub(time) >= self.lifetime {
            return false;
        }
        self.code(time, client).ct_eq(&code).into()
    }

    fn seconds(&self, now: Instant) -> u32 {
        (self.base.1 + now.saturating_duration_since(self.base.0).as_secs()) as u32
    }

    fn code(&mut self, time: u32, client: SocketAddr) -> [u8; 10] {
        let mut hasher = self.key(time / self.lifetime);
        hasher.write_u32(time);
        match client.ip() {
            std::net::IpAddr::V4(ip) => hasher.write(&ip.octets()),
            std::net::IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write_u16(client.port());
        let bytes = hasher.finish128().as_bytes();
        let mut code = [0; 10];
        code.copy_from_slice(&bytes[..10]);
        code
    }

    /// The key of an epoch. The secret itself never enters a nonce, and each epoch has a key of its own.
    fn key(&mut self, epoch: u32) -> SipHasher24 {
        if let Some((_, key)) = self.keys.iter().find(|(of, _)| *of == epoch) {
            return *key;
        }
        let key = key(&self.secret, epoch);
        if epoch > self.keys[0].0 {
            self.keys[1] = self.keys[0];
            self.keys[0] = (epoch, key);
        } else {
            self.keys[1] = (epoch, key);
        }
        key
    }
}

fn key(secret: &[u8; 32], epoch: u32) -> SipHasher24 {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"wharf nonce epoch");
    mac.update(&epoch.to_be_bytes());
    let bytes = mac.finalize().into_bytes();
    let mut key = [0; 16];
    key.copy_from_slice(&bytes[..16]);
    SipHasher24::new_with_key(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE_TEXT: [u8; COOKIE] = *b"obMatJos2gAAA";

    fn nonces(secret: u8, now: Instant, unix: u64) -> Nonces {
        let unix = Duration::from_secs(unix);
        Nonces::new(
            [secret; 32],
            COOKIE_TEXT,
            Duration::from_mins(10),
            now,
            unix,
        )
    }

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// `now` is an argument everywhere, so the tests need one moment to start from.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn l1_nonces_of_two_ports_differ_and_do_not_serve_each_other() {
        let now = start();
        let mut nonces = nonces(1, now, 1_800_000_000);
        let one = nonces.make(now, client(1));
        let two = nonces.make(now, client(2));
        assert_ne!(one, two);
        assert!(nonces.is_valid(now, client(1), &one));
        assert!(
            !nonces.is_valid(now, client(2), &one),
            "L10: bound to address and port"
        );
    }

    #[test]
    fn a_nonce_lives_its_lifetime_through_a_change_of_epoch() {
        let now = start();
        for offset in [0, 1, 599] {
            let mut nonces = nonces(1, now, 1_800_000_000 + offset);
            let nonce = nonces.make(now, client(1));
            let last = now + Duration::from_millis(599_999);
            assert!(nonces.is_valid(last, client(1), &nonce));
            assert!(!nonces.is_valid(now + Duration::from_mins(10), client(1), &nonce));
        }
    }

    #[test]
    fn a_fleet_key_makes_nonces_valid_on_another_server_and_a_wrong_one_does_not() {
        let now = start();
        let nonce = nonces(1, now, 1_800_000_010).make(now, client(1));
        assert!(
            nonces(1, now, 1_800_000_000).is_valid(now, client(1), &nonce),
            "10 s of skew"
        );
        assert!(nonces(1, now, 1_800_000_400).is_valid(now, client(1), &nonce));
        assert!(
            !nonces(1, now, 1_799_999_900).is_valid(now, client(1), &nonce),
            "110 s ahead"
        );
        assert!(!nonces(2, now, 1_800_000_000).is_valid(now, client(1), &nonce));
    }

    #[test]
    fn anything_else_is_not_a_nonce() {
        let now = start();
        let mut nonces = nonces(1, now, 1_800_000_000);
        let nonce = nonces.make(now, client(1));
        for at in 0..nonce.len() {
            let mut bent = nonce;
            bent[at] ^= 1;
            // The last character carries unused bits, which the decoder refuses.
            assert!(!nonces.is_valid(now, client(1), &bent), "byte {at}");
            assert!(!nonces.is_valid(now, client(1), &nonce[..at]));
        }
        assert!(!nonces.is_valid(now, client(1), b""));
    }
}
