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

#[test]
fn k4_the_intervals() {
    let stream = KeepAliveRules::connection();
    let datagrams = KeepAliveRules::datagrams();
    let cases = [
        (stream, 95_000, 119_999),
        (datagrams, 24_000, 28_999),
        // 80 to 100 % of the Flow-Timer, or of `keep`.
        (stream.every(300), 240_000, 299_999),
        (datagrams.every(60), 48_000, 59_999),
        (stream.every(0), 95_000, 119_999),
        // Nobody has this element ping once a second, nor never.
        (stream.every(1), 5000, 5000),
        (stream.every(u32::MAX), 86_400_000, 86_400_000),
    ];
    for (rules, least, most) in cases {
        assert_eq!(rules.interval(0).as_millis(), least, "{rules:?}");
        assert_eq!(rules.interval(u64::MAX).as_millis(), most, "{rules:?}");
    }
}

#[test]
fn k4_a_pong_is_due_in_ten_seconds() {
    let now = origin();
    let mut alive = KeepAlive::new(now, KeepAliveRules::connection(), 0);
    let pinged = now + seconds(95);
    assert_eq!(alive.poll(pinged, 0), KeepAliveStep::Ping);
    let due = pinged + seconds(10);
    assert_eq!(alive.poll(pinged, 0), KeepAliveStep::Wait(due));
    let failed = KeepAliveStep::Failed(FlowFailure::Unanswered);
    assert_eq!(alive.poll(due, 0), failed);
    // What has failed stays failed.
    alive.pong();
    assert_eq!(alive.poll(due, 0), failed);
}

#[test]
fn k4_a_pong_in_time_keeps_the_flow_and_the_rhythm() {
    let now = origin();
    let mut alive = KeepAlive::new(now, KeepAliveRules::connection(), 0);
    // One that nobody waits for delays nothing.
    alive.pong();
    for round in 1..5 {
        let at = now + seconds(95) * round;
        assert_eq!(
            alive.poll(at.checked_sub(seconds(1)).unwrap(), 0),
            KeepAliveStep::Wait(at)
        );
        assert_eq!(alive.poll(at, 0), KeepAliveStep::Ping);
        alive.pong();
    }
}

#[test]
fn a_pong_later_than_the_next_ping_has_it_sent_at_once() {
    let now = origin();
    let mut alive = KeepAlive::new(now, KeepAliveRules::datagrams(), 0);
    let pinged = now + seconds(24);
    assert_eq!(alive.poll(pinged, 0), KeepAliveStep::Ping);
    let late = pinged + seconds(30);
    alive.pong();
    assert_eq!(alive.poll(late, 0), KeepAliveStep::Ping);
}

#[test]
fn k5_stun_that_tells_another_address_is_a_failed_flow() {
    let now = origin();
    let (from, to) = (
        "192.0.2.1:1".parse().unwrap(),
        "192.0.2.1:2".parse().unwrap(),
    );
    let mut alive = KeepAlive::new(now, KeepAliveRules::datagrams(), 0);
    let pinged = now + seconds(24);
    for at in [pinged, pinged + seconds(24)] {
        assert_eq!(alive.poll(at, 0), KeepAliveStep::Ping);
        alive.mapped(from);
        assert_eq!(alive.poll(at, 0), KeepAliveStep::Wait(at + seconds(24)));
    }
    let at = pinged + seconds(48);
    assert_eq!(alive.poll(at, 0), KeepAliveStep::Ping);
    alive.mapped(to);
    assert_eq!(
        alive.poll(at, 0),
        KeepAliveStep::Failed(FlowFailure::Moved { from, to })
    );
}

#[test]
fn k5_a_stun_request_that_is_refused_is_a_failed_flow() {
    let now = origin();
    let mut alive = KeepAlive::new(now, KeepAliveRules::datagrams(), 0);
    let pinged = now + seconds(24);
    assert_eq!(alive.poll(pinged, 0), KeepAliveStep::Ping);
    assert_eq!(alive.failure(), None);
    alive.refused(420);
    alive.refused(500);
    assert_eq!(alive.failure(), Some(FlowFailure::Refused(420)));
    let failed = KeepAliveStep::Failed(FlowFailure::Refused(420));
    assert_eq!(alive.poll(pinged, 0), failed);
}

#[test]
fn k8_an_interval_that_is_asked_for_counts_at_once() {
    let now = origin();
    let mut alive = KeepAlive::new(now, KeepAliveRules::connection(), 0);
    alive.set_rules(now, KeepAliveRules::connection().every(30), 0);
    let at = now + seconds(24);
    assert_eq!(alive.poll(now, 0), KeepAliveStep::Wait(at));
    assert_eq!(alive.poll(at, 0), KeepAliveStep::Ping);
    // One that is under way is still to be answered.
    alive.set_rules(at, KeepAliveRules::connection().every(100), 0);
    assert_eq!(alive.poll(at, 0), KeepAliveStep::Wait(at + seconds(10)));
    alive.pong();
    assert_eq!(alive.poll(at, 0), KeepAliveStep::Wait(at + seconds(80)));
}

#[test]
fn k7_the_wait_before_another_flow() {
    let rules = RecoveryRules::default();
    let waits = |any_left: bool, random| {
        let mut recovery = Recovery::default();
        let first = recovery.wait(&rules, any_left, random).as_secs();
        let then = (0..7).map(|_| recovery.failed(&rules, any_left, random).as_secs());
        std::iter::once(first).chain(then).collect::<Vec<_>>()
    };
    assert_eq!(waits(false, 0), [15, 30, 60, 120, 240, 480, 900, 900]);
    // RFC 5626 §4.5: with 30 s and three failures the upper bound is 240 s.
    assert_eq!(
        waits(false, u64::MAX),
        [29, 59, 119, 239, 479, 959, 1799, 1799]
    );
    assert_eq!(waits(true, 0), [45, 90, 180, 360, 720, 900, 900, 900]);
    let mut recovery = Recovery::default();
    recovery.failed(&rules, false, 0);
    assert_eq!(recovery.failures(), 1);
    recovery.succeeded();
    assert_eq!(recovery.wait(&rules, false, 0), seconds(15));
}

proptest! {
    #[test]
    fn no_rules_and_no_time_are_too_extreme(
        least: Duration,
        most: Duration,
        answer: Duration,
        random: u64,
        failures in 0_u32..100,
    ) {
        let now = origin();
        let rules = KeepAliveRules { least, most, answer };
        let mut alive = KeepAlive::new(now, rules, random);
        let KeepAliveStep::Wait(at) = alive.poll(now, random) else { panic!("not yet due") };
        prop_assert!(at >= now + INTERVALS.0 && at <= now + INTERVALS.1);
        prop_assert_eq!(alive.poll(at, random), KeepAliveStep::Ping);
        alive.poll(at, random);
        let rules = RecoveryRules { longest: most, all_failed: least, some_left: answer };
        let mut recovery = Recovery::default();
        for _ in 0..failures {
            prop_assert!(recovery.failed(&rules, false, random) <= most);
        }
    }
}
