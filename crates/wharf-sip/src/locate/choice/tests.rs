use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn srv(priority: u16, weight: u16, target: &str) -> Srv {
    let target = Some(target.parse().unwrap());
    Srv {
        priority,
        weight,
        target,
        port: 5060,
        ttl: Duration::from_mins(1),
    }
}

fn ordered(mut records: Vec<Srv>, seed: u64) -> Vec<Srv> {
    order(&mut records, 64, Chance::new(seed, "_sip._udp.example.com"));
    records
}

/// How often each of three targets comes first.
fn firsts(weights: [u16; 3], rounds: u32) -> [u32; 3] {
    let names = ["a.example", "b.example", "c.example"];
    let mut count = [0; 3];
    for seed in 0..rounds {
        let records = (0..3)
            .map(|index| srv(1, weights[index], names[index]))
            .collect();
        let first = ordered(records, seed.into()).swap_remove(0).target.unwrap();
        count[names
            .iter()
            .position(|name| *name == first.as_str())
            .unwrap()] += 1;
    }
    count
}

/// Whether `count` of `rounds` is the expected share, within six standard deviations and two.
fn is_share(count: u32, rounds: u32, share: f64) -> bool {
    let (count, rounds) = (f64::from(count), f64::from(rounds));
    let deviation = (rounds * share * (1.0 - share)).sqrt();
    (count - rounds * share).abs() <= 6.0 * deviation + 2.0
}

#[test]
fn rfc2782_equal_weights_share_alike() {
    for count in firsts([1, 1, 1], 6000) {
        assert!(is_share(count, 6000, 1.0 / 3.0), "{count}");
    }
}

#[test]
fn rfc2782_a_zero_weight_comes_first_hardly_ever_but_does() {
    let [zero, one, other] = firsts([0, 20, 20], 20_000);
    // A draw from 0 to 40 gives 0 once in 41 times.
    assert!(zero > 0 && is_share(zero, 20_000, 1.0 / 41.0), "{zero}");
    assert!(is_share(one, 20_000, 20.0 / 41.0) && is_share(other, 20_000, 20.0 / 41.0));
    // Zero weights alone share alike.
    for count in firsts([0, 0, 0], 6000) {
        assert!(is_share(count, 6000, 1.0 / 3.0), "{count}");
    }
}

#[test]
fn a_choice_does_not_depend_on_the_choice_before() {
    let mut one = Chance::new(5, "a.example");
    let mut other = Chance::new(5, "b.example");
    let draws = |chance: &mut Chance| (0..8).map(|_| chance.below(1 << 32)).collect::<Vec<_>>();
    assert_ne!(draws(&mut one), draws(&mut other));
    assert_eq!(
        draws(&mut Chance::new(5, "a.example")),
        draws(&mut Chance::new(5, "a.example"))
    );
    assert_eq!(Chance::new(5, "a.example").below(0), 0);
}

#[test]
fn what_is_left_out_is_what_would_come_last() {
    let mut records: Vec<_> = (0..100).map(|number| srv(number, 1, "a.example")).collect();
    records.reverse();
    order(&mut records, 3, Chance::new(1, "x"));
    assert_eq!(
        records.iter().map(|srv| srv.priority).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rfc2782_the_first_is_drawn_by_weight(weights in [1_u16..=u16::MAX, 1..=u16::MAX, 1..=u16::MAX]) {
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        for (count, weight) in firsts(weights, 2000).into_iter().zip(weights) {
            let share = f64::from(weight) / sum;
            prop_assert!(is_share(count, 2000, share), "{weights:?}: {count} of 2000 for {weight}");
        }
    }

    #[test]
    fn rfc2782_priority_is_strict_and_no_record_is_lost(
        records in proptest::collection::vec((0_u16..5, 0_u16..4), 0..40),
        seed: u64,
    ) {
        let records: Vec<_> = records
            .iter()
            .enumerate()
            .map(|(index, &(priority, weight))| srv(priority, weight, &format!("n{index}.example")))
            .collect();
        let mut done = ordered(records.clone(), seed);
        prop_assert!(done.is_sorted_by_key(|srv| srv.priority));
        let mut expected = records;
        expected.sort_unstable();
        done.sort_unstable();
        prop_assert_eq!(done, expected);
    }

    #[test]
    fn rfc3263_4_4_one_seed_gives_one_order_however_the_records_came(
        records in proptest::collection::vec((0_u16..3, 0_u16..4, 0_u8..20), 1..20),
        turn in 0_usize..20,
        seed: u64,
    ) {
        let records: Vec<_> = records
            .iter()
            .map(|&(priority, weight, number)| srv(priority, weight, &format!("n{number}.example")))
            .collect();
        let mut turned = records.clone();
        turned.rotate_left(turn % records.len());
        prop_assert_eq!(ordered(records, seed), ordered(turned, seed));
    }
}
