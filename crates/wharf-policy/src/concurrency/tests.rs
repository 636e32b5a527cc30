use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::Ipv4Addr;

fn limits(per_prefix: u32, slots: usize) -> PrefixSlotsLimits {
    PrefixSlotsLimits {
        per_prefix,
        slots,
        ..PrefixSlotsLimits::default()
    }
}

fn ip(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

#[test]
fn a_slot_is_16_bytes() {
    assert_eq!(size_of::<Slot>(), 16);
    assert_eq!(size_of::<Entered>(), 8);
}

#[test]
fn the_limit_is_per_prefix_and_live() {
    let mut slots = PrefixSlots::new(limits(2, 64), 1);
    let first = slots.try_enter(ip(1)).unwrap();
    let second = slots.try_enter("::ffff:10.0.0.1".parse().unwrap()).unwrap();
    assert_eq!(slots.try_enter(ip(1)), Err(Full::PerPrefix { limit: 2 }));
    let other = slots.try_enter(ip(2)).unwrap();
    assert_eq!(
        (slots.held(ip(1)), slots.held(ip(2)), slots.prefixes()),
        (2, 1, 2)
    );

    slots.set_limit(1);
    slots.leave(first);
    assert_eq!(slots.try_enter(ip(1)), Err(Full::PerPrefix { limit: 1 }));
    slots.set_limit(3);
    let third = slots.try_enter(ip(1)).unwrap();
    for entered in [second, other, third] {
        slots.leave(entered);
    }
    assert_eq!((slots.held(ip(1)), slots.prefixes()), (0, 0));
}

#[test]
fn prefix_lengths() {
    let mut slots = PrefixSlots::new(
        PrefixSlotsLimits {
            ipv4_prefix: 24,
            ..limits(1, 64)
        },
        1,
    );
    let full = Err(Full::PerPrefix { limit: 1 });
    slots.try_enter(ip(1)).unwrap().slot.unwrap();
    assert_eq!(slots.try_enter(ip(255)), full);
    assert!(slots.try_enter(ip(256)).is_ok());
    assert!(slots.try_enter("2001:db8:0:1::1".parse().unwrap()).is_ok());
    assert_eq!(slots.try_enter("2001:db8:0:1:f::".parse().unwrap()), full);
    assert!(slots.try_enter("2001:db8:0:2::1".parse().unwrap()).is_ok());
}

#[test]
fn off_takes_no_memory_and_counts_nothing() {
    let mut slots = PrefixSlots::new(PrefixSlotsLimits::default(), 1);
    let before = slots.try_enter(ip(1)).unwrap();
    assert!(slots.buckets.is_empty());
    assert_eq!(slots.held(ip(1)), 0);

    slots.set_limit(1);
    let counted = slots.try_enter(ip(1)).unwrap();
    slots.leave(before);
    assert_eq!(
        slots.held(ip(1)),
        1,
        "what was never counted is not given back"
    );
    slots.set_limit(0);
    slots.leave(counted);
    assert_eq!((slots.held(ip(1)), slots.prefixes()), (0, 0));
}

#[test]
fn a_full_table_refuses_newcomers_and_keeps_its_counts() {
    let mut slots = PrefixSlots::new(limits(2, 0), 7);
    let held: Vec<_> = (0..16).map(|n| slots.try_enter(ip(n)).unwrap()).collect();
    assert_eq!(slots.try_enter(ip(16)), Err(Full::TableFull));
    assert_eq!((slots.prefixes(), slots.buckets.len()), (16, 2));
    assert!(slots.try_enter(ip(3)).is_ok(), "a known prefix goes on");
    assert_eq!(slots.try_enter(ip(3)), Err(Full::PerPrefix { limit: 2 }));
    slots.leave(held[0]);
    assert!(slots.try_enter(ip(16)).is_ok());
}

/// What the doc of `slots` promises: half full, no source finds its place taken.
#[test]
fn half_a_table_fills_without_a_refusal() {
    for seed in 0..4 {
        let mut slots = PrefixSlots::new(limits(1, 1 << 16), seed);
        let refused = (0..1 << 15)
            .filter(|&n| slots.try_enter(ip(n)).is_err())
            .count();
        assert_eq!((refused, slots.prefixes()), (0, 1 << 15));
    }
}

#[test]
fn a_token_of_another_table_does_no_harm() {
    let mut large = PrefixSlots::new(limits(1, 1 << 16), 3);
    let mut small = PrefixSlots::new(limits(1, 16), 3);
    for n in 0..64 {
        let entered = large.try_enter(ip(n)).unwrap();
        small.leave(entered);
    }
    assert_eq!(small.prefixes(), 0);
}

proptest! {
    /// Against a map without bounds: the same counts, and a refusal only for the stated reasons.
    #[test]
    fn counts_are_exact(
        steps in proptest::collection::vec((0u32..40, any::<bool>(), any::<prop::sample::Index>()), 1..300),
        per_prefix in 1u32..4,
        seed: u64,
    ) {
        let mut slots = PrefixSlots::new(limits(per_prefix, 16), seed);
        let mut model: HashMap<u32, u32> = HashMap::new();
        let mut live: Vec<(u32, Entered)> = Vec::new();
        for (source, enter, pick) in steps {
            if enter {
                let held = model.get(&source).copied().unwrap_or(0);
                match slots.try_enter(ip(source)) {
                    Ok(entered) => {
                        prop_assert!(held < per_prefix);
                        model.insert(source, held + 1);
                        live.push((source, entered));
                    }
                    Err(Full::PerPrefix { limit }) => prop_assert!(limit == per_prefix && held == limit),
                    Err(Full::TableFull) => prop_assert!(held == 0 && model.len() == 16),
                }
            } else if !live.is_empty() {
                let (source, entered) = live.swap_remove(pick.index(live.len()));
                slots.leave(entered);
                let held = model[&source] - 1;
                if held == 0 { model.remove(&source); } else { model.insert(source, held); }
            }
            prop_assert_eq!(slots.prefixes(), model.len());
            prop_assert_eq!(slots.held(ip(source)), model.get(&source).copied().unwrap_or(0));
        }
    }
}
