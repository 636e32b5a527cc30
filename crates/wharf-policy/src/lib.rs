//! Verdicts from addresses, counters and time: who may connect, how often and how many at once;
//! which peers a relay may reach; how many allocations a user may hold; how well it all goes.
//!
//! The crate opens no socket, reads no clock and draws no entropy: the caller passes [`Instant`]s
//! and seeds in. It knows no TURN word either; it says *refused* and why, and the caller turns that
//! into an error code or a silent drop.
//!
//! | module | verdict |
//! |---|---|
//! | [`access`] | whether a source address, or the user of a Unix peer, may connect |
//! | [`address`] | what kind of address this is, and how firmly that kind is refused as a peer |
//! | [`peer`] | whether a relay may exchange data with this peer |
//! | [`bucket`] | whether one flow is within its rate, and when it will be |
//! | [`concurrency`] | whether a source prefix has room for one more connection, in fixed memory |
//! | [`prefix`] | whether a source prefix is within its rate, in fixed memory for any number of sources |
//! | [`pace`] | whether a sender holds its connection by sending too slowly |
//! | [`health`] | how well a server does, from its counters, with hysteresis |
//! | [`first_bytes`] | what is spoken on a connection, by how it begins |
//! | [`backoff`] | when to try again what has failed |
//! | [`alarm`] | whether a number is alarming, told at most once a cool-down |
//! | [`repeat`] | whether an event deserves a log line |
//! | [`quota`] | whether a user, and the server, have room for one more |
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use wharf_policy::{PeerPolicy, PeerRules, PrefixLimiter, PrefixLimits, QuotaLimits, Quotas};
//!
//! // The default rules are the hardened ones; a LAN peer has to be listed.
//! let policy = PeerPolicy::new(PeerRules {
//!     allow: vec!["10.1.0.0/16".parse().unwrap()],
//!     ..PeerRules::default()
//! });
//! assert!(policy.check("8.8.8.8:4000".parse().unwrap()).is_ok());
//! assert!(policy.check("10.1.2.3:4000".parse().unwrap()).is_ok());
//! let refusal = policy.check("10.2.0.1:4000".parse().unwrap()).unwrap_err();
//! assert_eq!(refusal.label(), "private");
//! assert!(refusal.to_string().contains("peers.allow"));
//!
//! // The seed comes from the caller's entropy; the time is an argument.
//! let mut limiter = PrefixLimiter::new(PrefixLimits::default(), 0x5eed);
//! assert!(limiter.allow(Instant::now(), "198.51.100.7".parse().unwrap()));
//!
//! let quotas = Quotas::new(QuotaLimits { per_user: 1, total: 0 });
//! let alice: Arc<str> = "alice".into();
//! let permit = quotas.acquire(&alice).unwrap();
//! assert!(quotas.acquire(&alice).is_err());
//! drop(permit);
//! assert_eq!(quotas.live(), 0);
//!
//! // A connection: may its source come in, has its prefix room, when may it be read again?
//! use wharf_policy::{AccessRules, PrefixSlots, PrefixSlotsLimits, TokenBucket, Verdict};
//! let (now, source) = (Instant::now(), "198.51.100.7".parse().unwrap());
//! let rules = AccessRules::new(vec!["deny 203.0.113.0/24".parse().unwrap()]).unwrap();
//! assert_eq!(rules.check(source), Verdict::Allow);
//! let limits = PrefixSlotsLimits { per_prefix: 200, ..PrefixSlotsLimits::default() };
//! let mut slots = PrefixSlots::new(limits, 0x5eed);
//! let entered = slots.try_enter(source).unwrap();
//! let mut bytes = TokenBucket::new(now, 64_000, 0);
//! bytes.charge(now, 16_000);
//! assert_eq!(bytes.ready_at(now), Some(now + std::time::Duration::from_millis(250)));
//! slots.leave(entered);
//! ```
//!
//! [`Instant`]: std::time::Instant

pub mod access;
pub mod address;
pub mod alarm;
pub mod backoff;
pub mod bucket;
pub mod concurrency;
pub mod first_bytes;
pub mod health;
mod key;
pub mod pace;
pub mod peer;
pub mod prefix;
pub mod quota;
mod ranges;
pub mod repeat;

pub use access::{AccessRules, IdentityRules, Verdict};
pub use address::{AddressClass, Tier};
pub use alarm::{Alarm, AlarmChange, AlarmState};
pub use backoff::{Backoff, BackoffRules};
pub use bucket::TokenBucket;
pub use concurrency::{Entered, Full, PrefixSlots, PrefixSlotsLimits};
pub use health::{Health, HealthMeter, HealthRules};
/// An address range in CIDR notation, from the `ipnet` crate; the type of [`PeerRules::allow`] and
/// [`PeerRules::deny`].
pub use ipnet::IpNet;
pub use pace::{MinimumRate, Pace, PaceMeter};
pub use peer::{OwnAddresses, PeerPolicy, PeerRefusal, PeerRules};
pub use prefix::{PrefixLimiter, PrefixLimits};
pub use quota::{QuotaLimits, QuotaPermit, QuotaRefusal, Quotas};
pub use repeat::RepeatLimiter;

#[cfg(test)]
mod testing {
    use std::time::Instant;

    #[allow(
        clippy::disallowed_methods,
        reason = "an origin for the test's own time"
    )]
    pub(crate) fn origin() -> Instant {
        Instant::now()
    }
}
