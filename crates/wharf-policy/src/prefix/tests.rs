#![allow(
    clippy::disallowed_methods,
    reason = "an origin for the test's own time"
)]

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// One set of four buckets, so that every prefix competes with every other.
fn one_set(per_second: u32, burst: u32) -> PrefixLimiter {
    let limits = PrefixLimits {
        per_second,
        burst,
        slots: 4,
        ..PrefixLimits::default()
    };
    PrefixLimiter::new(limits, 7)
}

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn granted(limiter: &mut PrefixLimiter, now: Instant, source: IpAddr, tries: u32) -> u32 {
    (0..tries)
        .map(|_| u32::from(limiter.allow(now, source)))
        .sum()
}

#[test]
fn a_set_is_one_cache_line() {
    assert_eq!(size_of::<[Slot; WAYS]>(), 64);
}

#[test]
fn burst_then_rate() {
    let now = Instant::now();
    let mut limiter = one_set(10, 5);
    assert_eq!(granted(&mut limiter, now, v4(1), 100), 5);
    let later = now + Duration::from_millis(300);
    assert_eq!(granted(&mut limiter, later, v4(1), 100), 3);
    let idle = later + Duration::from_secs(4000);
    assert_eq!(
        granted(&mut limiter, idle, v4(1), 100),
        5,
        "no more than the burst is saved"
    );
}

#[test]
fn a_refusal_costs_nothing() {
    let now = Instant::now();
    let mut limiter = one_set(10, 1);
    assert_eq!(granted(&mut limiter, now, v4(1), 1000), 1);
    assert!(limiter.allow(now + Duration::from_millis(100), v4(1)));
}

#[test]
fn zero_rate_is_off() {
    let now = Instant::now();
    let mut limiter = one_set(0, 1);
    assert_eq!(granted(&mut limiter, now, v4(1), 10_000), 10_000);
    assert!(limiter.sets.is_empty());
}

#[test]
fn prefixes_share_a_bucket() {
    let now = Instant::now();
    let limits = PrefixLimits {
        per_second: 1,
        burst: 1,
        ipv4_prefix: 24,
        ..Default::default()
    };
    let mut limiter = PrefixLimiter::new(limits, 1);
    let mut allow = |text: &str| limiter.allow(now, text.parse().unwrap());
    assert!(allow("192.0.2.1"));
    assert!(!allow("192.0.2.255"));
    assert!(!allow("::ffff:192.0.2.7"), "mapped is IPv4");
    assert!(allow("192.0.3.1"));
    assert!(allow("2001:db8:0:ff::1"));
    assert!(!allow("2001:db8:0:01::2"), "the same /56");
    assert!(allow("2001:db8:0:100::1"), "the next /56");
}

#[test]
fn settings_out_of_range_act_as_the_nearest() {
    let now = Instant::now();
    let limits = PrefixLimits {
        per_second: 1,
        burst: 0,
        ipv4_prefix: 255,
        ipv6_prefix: 255,
        slots: 0,
    };
    let mut limiter = PrefixLimiter::new(limits, 1);
    assert_eq!(limiter.sets.len(), 1);
    assert_eq!(granted(&mut limiter, now, v4(1), 9), 1);
    assert_eq!(
        granted(&mut limiter, now, v4(2), 9),
        1,
        "each address by itself"
    );
    assert_eq!(granted(&mut limiter, now, Ipv6Addr::LOCALHOST.into(), 9), 1);

    let limits = PrefixLimits {
        ipv4_prefix: 0,
        ipv6_prefix: 0,
        slots: 5,
        ..limits
    };
    let mut limiter = PrefixLimiter::new(limits, 1);
    assert_eq!(limiter.sets.len(), 2, "rounded up to eight records");
    assert!(limiter.allow(now, v4(1)));
    assert!(
        !limiter.allow(now, v4(u32::MAX)),
        "one bucket for all of IPv4"
    );
    assert!(limiter.allow(now, Ipv6Addr::LOCALHOST.into()));
    assert!(!limiter.allow(now, Ipv6Addr::from_bits(u128::MAX).into()));
}

#[test]
fn a_newcomer_inherits_the_fullest_bucket() {
    let now = Instant::now();
    let mut limiter = one_set(1, 10);
    for (source, used) in [(1, 10), (2, 10), (3, 10), (4, 7)] {
        assert_eq!(granted(&mut limiter, now, v4(source), used), used);
    }
    assert_eq!(
        granted(&mut limiter, now, v4(5), 10),
        3,
        "the three that source 4 left"
    );
    assert_eq!(
        granted(&mut limiter, now, v4(6), 10),
        0,
        "nothing is left in the set"
    );
    assert!(
        !limiter.allow(now, v4(5)),
        "a refused newcomer takes nothing over"
    );
}

#[test]
fn an_idle_bucket_gives_the_whole_burst() {
    let now = Instant::now();
    let mut limiter = one_set(1, 10);
    for source in 1..=4 {
        granted(&mut limiter, now, v4(source), 10);
    }
    let later = now + Duration::from_secs(10);
    assert_eq!(granted(&mut limiter, later, v4(9), 20), 10);
}

/// X1: a million sources leave memory as it was and a quiet client its answers.
#[test]
fn x1_flood_of_sources_leaves_a_client_its_answers() {
    let start = Instant::now();
    let mut limiter = PrefixLimiter::new(PrefixLimits::default(), 0x00c0_ffee);
    let sets = limiter.sets.as_ptr();
    let client = "198.51.100.7".parse().unwrap();
    let mut answered = 0;
    for i in 0..1_000_000u32 {
        let now = start + Duration::from_micros(u64::from(i) * 2);
        limiter.allow(now, v4(0x0b00_0000 + i));
        if i % 1000 == 0 {
            answered += u32::from(limiter.allow(now, client));
        }
    }
    assert_eq!(answered, 1000);
    assert_eq!(
        (limiter.sets.as_ptr(), limiter.sets.len()),
        (sets, (1 << 16) / WAYS)
    );
}

#[test]
fn seeds_place_prefixes_differently() {
    let place = |seed| {
        let limiter = PrefixLimiter::new(PrefixLimits::default(), seed);
        (0..64).map(|i| limiter.key.hash(v4(i))).collect::<Vec<_>>()
    };
    assert_ne!(place(1), place(2));
    assert_eq!(place(1), place(1));
}

#[test]
fn time_before_the_first_and_after_the_end() {
    let now = Instant::now();
    let mut limiter = one_set(1, 1);
    assert!(limiter.allow(now, v4(1)));
    if let Some(earlier) = now.checked_sub(Duration::from_secs(5)) {
        assert!(!limiter.allow(earlier, v4(1)));
    }
    assert!(limiter.allow(now + Duration::from_secs(12_800_000_000), v4(1)));
}

/// `burst + per_second × elapsed`, in whole tokens.
fn bound(per_second: u32, burst: u32, elapsed: u64) -> u64 {
    u64::from(burst) + u64::from(per_second) * elapsed / 1_000_000_000
}

proptest! {
    /// While at most four prefixes are about, each keeps its bucket and its bound, and gets at
    /// least what it is due.
    #[test]
    fn each_prefix_is_bounded(
        per_second in 1u32..100_000,
        burst in 1u32..100,
        steps in proptest::collection::vec((0u64..30_000_000, 0u32..4), 1..400),
    ) {
        let start = Instant::now();
        let mut limiter = one_set(per_second, burst);
        let mut exact: Vec<_> =
            (0..4).map(|_| crate::TokenBucket::new(start, per_second, burst)).collect();
        let (mut elapsed, mut granted) = (0, [0u64; 4]);
        for (step, source) in steps {
            elapsed += step;
            let now = start + Duration::from_nanos(elapsed);
            let bucket = source as usize;
            let allowed = limiter.allow(now, v4(source));
            granted[bucket] += u64::from(allowed);
            prop_assert!(granted[bucket] <= bound(per_second, burst, elapsed));
            if allowed {
                prop_assert!(exact[bucket].take(now, 1), "never ahead of an exact bucket");
            } else {
                prop_assert!(exact[bucket].available(now) <= 1, "nor a token behind it");
            }
        }
    }

    /// However sources rotate, a set of four grants at most what four prefixes may have.
    #[test]
    fn rotation_gains_nothing(
        per_second in 1u32..10_000,
        burst in 1u32..30,
        fresh in any::<bool>(),
        steps in proptest::collection::vec((0u64..5_000_000, 0u32..40), 1..600),
    ) {
        let start = Instant::now();
        let mut limiter = one_set(per_second, burst);
        let (mut elapsed, mut granted) = (0, 0);
        for (i, (step, source)) in steps.into_iter().enumerate() {
            elapsed += step;
            let source = if fresh { i as u32 } else { source };
            let now = start + Duration::from_nanos(elapsed);
            granted += u64::from(limiter.allow(now, v4(source)));
            let four = bound(per_second * 4, burst * 4, elapsed);
            prop_assert!(granted <= four, "{} > {}", granted, four);
        }
    }
}
