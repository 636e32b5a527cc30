use super::*;
use crate::testing::origin;
use proptest::prelude::*;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A meter that has its first sample, and when it had it.
fn meter(rules: HealthRules) -> (HealthMeter, Instant) {
    let (mut meter, start) = (HealthMeter::new(rules), origin());
    assert_eq!(meter.observe(start, Sample::default()), None);
    (meter, start)
}

fn failed(arrived: u64, handler_failed: u64) -> Sample {
    Sample {
        arrived,
        accepted: arrived,
        handler_failed,
        ..Sample::default()
    }
}

fn change(from: Health, to: Health, cause: Cause) -> Transition {
    Transition { from, to, cause }
}

#[test]
fn is_small() {
    assert!(size_of::<HealthMeter>() < 1024);
}

#[test]
fn each_cause_has_its_thresholds() {
    use Health::{Degraded, Healthy, UnderAttack, Unhealthy};
    let room = |live, pending| Sample {
        live,
        live_cap: 100,
        pending,
        pending_cap: 100,
        ..Sample::default()
    };
    let refused = |refused_policy, handshake_failed| Sample {
        arrived: 1_000_000,
        refused_policy,
        handshake_failed,
        ..Sample::default()
    };
    for (sample, to, cause) in [
        (failed(100, 5), Degraded, Cause::Failures),
        (failed(100, 50), Unhealthy, Cause::Failures),
        (room(80, 0), Degraded, Cause::Connections),
        (room(98, 0), Unhealthy, Cause::Connections),
        (room(0, 70), Degraded, Cause::Pending),
        (room(0, 95), Unhealthy, Cause::Pending),
        (room(98, 70), Unhealthy, Cause::Connections),
        (refused(600, 400), UnderAttack, Cause::Attack),
    ] {
        let (mut meter, start) = meter(HealthRules::default());
        assert_eq!(
            meter.observe(start + secs(1), sample),
            Some(change(Healthy, to, cause))
        );
        assert_eq!(meter.health(), to);
        assert_eq!(meter.observe(start + secs(1), sample), None, "told once");
    }
    let unlimited = Sample {
        live: 9,
        pending: 9,
        ..Sample::default()
    };
    for sample in [
        failed(100, 4),
        failed(19, 19),
        room(79, 69),
        refused(599, 400),
        unlimited,
    ] {
        let (mut meter, start) = meter(HealthRules::default());
        assert_eq!(meter.observe(start + secs(1), sample), None, "{sample:?}");
    }
}

#[test]
fn strangers_make_no_server_unfit_nor_hide_that_it_is() {
    let (mut meter, start) = meter(HealthRules::default());
    let half_done = Sample {
        pending: 100,
        pending_cap: 100,
        ..Sample::default()
    };
    meter.observe(start + secs(1), half_done);
    assert_eq!((meter.health(), meter.is_fit()), (Health::Unhealthy, true));
    let attack = Sample {
        handshake_failed: 1_000_000,
        ..failed(1_000_000, 0)
    };
    meter.observe(start + secs(2), attack);
    assert_eq!(
        (meter.health(), meter.is_fit()),
        (Health::UnderAttack, true)
    );
    let both = Sample {
        handler_failed: 900_000,
        ..attack
    };
    meter.observe(start + secs(3), both);
    assert_eq!(
        (meter.health(), meter.is_fit()),
        (Health::UnderAttack, false)
    );
    // Ten seconds in the window, then thirty without.
    for second in 4..=40 {
        meter.observe(start + secs(second), both);
        assert!(!meter.is_fit(), "{second}");
    }
    meter.observe(start + secs(44), both);
    assert!(meter.is_fit());
}

#[test]
fn a_threshold_of_zero_is_off() {
    let off = Thresholds {
        failed: 0.0,
        pending: 0.0,
        connections: 0.0,
    };
    let (mut meter, start) = meter(HealthRules {
        degraded: off,
        unhealthy: off,
        attack_per_second: 0,
        ..HealthRules::default()
    });
    let worst = Sample {
        refused_policy: u64::MAX,
        handshake_failed: u64::MAX,
        live: 9,
        live_cap: 9,
        pending: 9,
        pending_cap: 9,
        ..failed(u64::MAX, u64::MAX)
    };
    assert_eq!(meter.observe(start + secs(1), worst), None);
}

#[test]
fn recovery_takes_its_time_and_settles_on_the_worst_seen() {
    use Health::{Degraded, Healthy, Unhealthy};
    let (mut meter, start) = meter(HealthRules::default());
    let live = |live| Sample {
        live,
        live_cap: 100,
        ..Sample::default()
    };
    let mut at = |n, sample| meter.observe(start + secs(n), sample);
    assert_eq!(
        at(1, live(99)),
        Some(change(Healthy, Unhealthy, Cause::Connections))
    );
    assert_eq!(at(2, live(10)), None);
    assert_eq!(at(31, live(99)), None, "a break: the time begins anew");
    assert_eq!(at(32, live(10)), None);
    assert_eq!(at(40, live(85)), None);
    assert_eq!(at(61, live(10)), None);
    assert_eq!(
        at(62, live(10)),
        Some(change(Unhealthy, Degraded, Cause::Recovered))
    );
    assert_eq!(at(63, live(10)), None);
    assert_eq!(at(92, live(10)), None);
    assert_eq!(
        at(93, live(10)),
        Some(change(Degraded, Healthy, Cause::Recovered))
    );
}

#[test]
fn failures_leave_the_window() {
    let (mut meter, start) = meter(HealthRules {
        recover_after: Duration::ZERO,
        ..HealthRules::default()
    });
    assert!(meter.observe(start + secs(1), failed(100, 100)).is_some());
    assert_eq!(meter.observe(start + secs(9), failed(100, 100)), None);
    let healthy = meter.observe(start + secs(12), failed(100, 100)).unwrap();
    assert_eq!(healthy.to, Health::Healthy);
}

#[test]
fn a_long_gap_counts_by_its_share() {
    let refused = |refused_policy| Sample {
        arrived: 1 << 40,
        refused_policy,
        ..Sample::default()
    };
    let (mut late, start) = meter(HealthRules::default());
    assert_eq!(
        late.observe(start + secs(100), refused(9_999)),
        None,
        "below 100 a second"
    );
    let (mut late, start) = meter(HealthRules::default());
    let attack = late.observe(start + secs(100), refused(10_000)).unwrap();
    assert_eq!(attack.cause, Cause::Attack);
}

#[test]
fn counters_that_go_down_and_extreme_windows() {
    for window in [Duration::ZERO, Duration::MAX] {
        let (mut meter, start) = meter(HealthRules {
            window,
            ..HealthRules::default()
        });
        meter.observe(start + secs(3_200_000_000), failed(u64::MAX, u64::MAX));
        meter.observe(start, failed(0, 0));
        meter.observe(start + secs(1), failed(u64::MAX, 0));
    }
    let (mut meter, start) = meter(HealthRules::default());
    assert_eq!(meter.observe(start + secs(1), failed(1000, 0)), None);
    assert_eq!(meter.observe(start + secs(2), failed(0, 0)), None);
    assert!(meter.observe(start + secs(3), failed(1000, 1000)).is_some());
}

#[test]
fn new_rules_hold_with_the_next_sample() {
    let (mut meter, start) = meter(HealthRules::default());
    assert_eq!(meter.observe(start + secs(1), failed(10, 10)), None);
    meter.set_rules(HealthRules {
        min_samples: 10,
        ..HealthRules::default()
    });
    assert!(meter.observe(start + secs(1), failed(10, 10)).is_some());
}

proptest! {
    /// No flapping: a betterment comes at least `recover_after` after the change before it.
    #[test]
    fn betterments_are_apart(
        recover_after in 0u64..30,
        steps in proptest::collection::vec((1u64..5000, 0u64..40, 0u64..40, 0u64..101), 1..300),
    ) {
        let recover_after = secs(recover_after);
        let (mut meter, mut now) = meter(HealthRules {
            recover_after,
            attack_per_second: 10,
            ..HealthRules::default()
        });
        let (mut health, mut changed, mut sample) = (Health::Healthy, None::<Instant>, Sample::default());
        for (step, arrived, refused, live) in steps {
            now += Duration::from_millis(step);
            sample.arrived += arrived;
            sample.refused_policy += refused.min(arrived);
            (sample.live, sample.live_cap) = (live, 100);
            let (expected, _) = { let mut next = meter.clone(); next.window.record(now, &sample); next.judge(&sample) };
            if let Some(change) = meter.observe(now, sample) {
                prop_assert_eq!(change.from, health);
                prop_assert_ne!(change.to, health);
                if change.to < health {
                    prop_assert_eq!(change.cause, Cause::Recovered);
                    prop_assert!(changed.is_some_and(|at| now - at >= recover_after));
                }
                (health, changed) = (change.to, Some(now));
            }
            prop_assert!(meter.health() >= expected, "never told better than it is");
            prop_assert_eq!(meter.health(), health);
        }
    }

    /// The window holds between 15 and 16 parts of the traffic.
    #[test]
    fn the_window_agrees_with_a_list(
        steps in proptest::collection::vec((0u64..625, 0u64..50), 1..200),
    ) {
        let start = origin();
        let mut window = Window::new(secs(10));
        let mut sample = Sample::default();
        window.record(start, &sample);
        let (mut at, mut events) = (0, Vec::new());
        for (step, arrived) in steps {
            at += step;
            sample.arrived += arrived;
            window.record(start + Duration::from_millis(at), &sample);
            events.push((at, arrived));
            let within = |span: u64| -> u64 {
                events.iter().filter(|(t, _)| t + span > at).map(|(_, n)| n).sum()
            };
            let counted = window.counts().arrived;
            prop_assert!((within(9375)..=within(10_000)).contains(&counted));
        }
    }
}
