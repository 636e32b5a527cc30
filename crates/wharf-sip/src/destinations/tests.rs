use proptest::prelude::*;

use super::*;

#[allow(
    clippy::disallowed_methods,
    reason = "an origin for the test's own time"
)]
fn origin() -> Instant {
    Instant::now()
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn to(last: u8) -> Destination {
    Destination {
        transport: Transport::Udp,
        address: ([192, 0, 2, last], 5060).into(),
    }
}

fn candidate(last: u8) -> Candidate {
    let Destination { transport, address } = to(last);
    Candidate {
        transport,
        address,
        domain: None,
        ttl: None,
        rank: 0,
    }
}

#[test]
fn a_destination_that_failed_is_left_alone_for_longer_each_time() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let mut now = origin();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let until = destinations.failed(now, to(1), u64::MAX);
        waits.push((until - now).as_secs());
        assert_eq!(
            destinations.admit(until.checked_sub(seconds(1)).unwrap(), to(1)),
            Admission::Blocked { until }
        );
        assert_eq!(destinations.admit(until, to(1)), Admission::Probe);
        now = until;
    }
    assert_eq!(waits, [59, 119, 239, 479, 599, 599]);
    // Another transport is another destination.
    let tcp = Destination {
        transport: Transport::Tcp,
        ..to(1)
    };
    assert_eq!(destinations.admit(now, tcp), Admission::Go);
}

#[test]
fn failures_under_way_count_once() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let now = origin();
    let until = destinations.failed(now, to(1), u64::MAX);
    for _ in 0..100 {
        assert_eq!(
            destinations.failed(now + seconds(1), to(1), u64::MAX),
            until
        );
    }
}

#[test]
fn one_probe_at_a_time_and_another_when_it_is_lost() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let until = destinations.failed(origin(), to(1), 0);
    assert_eq!(destinations.admit(until, to(1)), Admission::Probe);
    let lost = until + seconds(32);
    assert_eq!(
        destinations.admit(until, to(1)),
        Admission::Blocked { until: lost }
    );
    assert_eq!(destinations.admit(lost, to(1)), Admission::Probe);
    // A probe that fails blocks again, for longer.
    let until = destinations.failed(lost, to(1), u64::MAX);
    assert_eq!((until - lost).as_secs(), 119);
}

#[test]
fn what_is_well_for_long_has_its_failures_forgotten() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let until = destinations.failed(origin(), to(1), u64::MAX);
    assert_eq!(destinations.admit(until, to(1)), Admission::Probe);
    destinations.succeeded(until, to(1));
    assert_eq!(destinations.admit(until, to(1)), Admission::Go);
    assert_eq!(destinations.unwell().count(), 0);
    let soon = until + seconds(299);
    assert_eq!(
        (destinations.failed(soon, to(1), u64::MAX) - soon).as_secs(),
        119
    );
    destinations.succeeded(soon, to(1));
    let later = soon + seconds(300);
    assert_eq!(
        (destinations.failed(later, to(1), u64::MAX) - later).as_secs(),
        59
    );
}

#[test]
fn retry_after_is_followed_up_to_the_longest_block() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let now = origin();
    assert_eq!(
        destinations.refused(now, to(1), seconds(7)),
        now + seconds(7)
    );
    assert_eq!(
        destinations.admit(now + seconds(6), to(1)),
        Admission::Blocked {
            until: now + seconds(7)
        }
    );
    assert_eq!(
        destinations.admit(now + seconds(7), to(1)),
        Admission::Probe
    );
    assert_eq!(
        destinations.refused(now, to(1), Duration::MAX),
        now + seconds(600)
    );
    // It is no failure: the first one still waits the first time.
    let after = now + seconds(600);
    assert_eq!(
        (destinations.failed(after, to(1), u64::MAX) - after).as_secs(),
        59
    );
}

#[test]
fn rfc3263_4_3_blocked_candidates_come_last_and_are_not_lost() {
    let mut destinations = Destinations::new(DestinationRules::default());
    let now = origin();
    destinations.refused(now, to(1), seconds(20));
    destinations.refused(now, to(3), seconds(10));
    let mut candidates: Vec<_> = (1..=4).map(candidate).collect();
    assert_eq!(destinations.arrange(now, &mut candidates), 2);
    assert_eq!(candidates, [2, 4, 3, 1].map(candidate));
    let mut candidates: Vec<_> = (1..=4).map(candidate).collect();
    assert_eq!(destinations.arrange(now + seconds(20), &mut candidates), 4);
    assert_eq!(candidates, [1, 2, 3, 4].map(candidate));
}

#[test]
fn when_full_what_ends_first_is_forgotten() {
    let rules = DestinationRules {
        capacity: 2,
        ..DestinationRules::default()
    };
    let mut destinations = Destinations::new(rules);
    let now = origin();
    destinations.refused(now, to(1), seconds(20));
    destinations.refused(now, to(2), seconds(10));
    destinations.refused(now, to(3), seconds(30));
    assert_eq!(destinations.admit(now, to(2)), Admission::Go);
    let unwell: Vec<_> = destinations.unwell().collect();
    assert_eq!(
        unwell,
        [(to(1), now + seconds(20)), (to(3), now + seconds(30))]
    );
    destinations.set_rules(DestinationRules {
        capacity: 1,
        ..rules
    });
    assert_eq!(destinations.unwell().count(), 1);
}

proptest! {
    #[test]
    fn both_views_of_the_table_stay_one(
        steps in proptest::collection::vec((0_u8..4, 0_u8..6, 0_u64..100, any::<u64>()), 0..200),
        capacity in 0_usize..5,
    ) {
        let mut destinations =
            Destinations::new(DestinationRules { capacity, ..DestinationRules::default() });
        let mut now = origin();
        for (what, last, pause, random) in steps {
            now += seconds(pause);
            match what {
                0 => { destinations.failed(now, to(last), random); }
                1 => { destinations.refused(now, to(last), Duration::from_millis(random)); }
                2 => destinations.succeeded(now, to(last)),
                _ => { destinations.admit(now, to(last)); }
            }
            prop_assert!(destinations.known.len() <= capacity);
            let by_end: BTreeSet<_> =
                destinations.known.iter().map(|(&to, known)| (known.until, to)).collect();
            prop_assert_eq!(&by_end, &destinations.by_end);
        }
    }
}
