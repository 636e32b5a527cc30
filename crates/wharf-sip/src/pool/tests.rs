use proptest::prelude::*;

use super::*;
use crate::flow::{Flow, FlowTable};

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

fn key(last: u8) -> PoolKey {
    let address = ([192, 0, 2, last], 5060).into();
    PoolKey {
        transport: Transport::Tcp,
        address,
        domain: None,
        local: None,
    }
}

/// Ids of connections, as many as are wanted.
fn flows(count: usize) -> Vec<FlowId> {
    let mut table = FlowTable::new(count);
    let address = "192.0.2.1:40000".parse().unwrap();
    let flow = Flow {
        transport: Transport::Tcp,
        local: address,
        remote: address,
    };
    (0..count).map(|_| table.insert(flow).unwrap()).collect()
}

/// Opens a connection for `key` and says that it is `flow`.
fn open(pool: &mut Pool, now: Instant, key: &PoolKey, flow: FlowId) {
    let wanted = pool.want(now, key).unwrap();
    assert!(pool.opened(now, wanted.dial.unwrap(), flow));
}

#[test]
fn c5_concurrent_requests_open_one_connection() {
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(1));
    let dial = pool.want(now, &key(1)).unwrap().dial.unwrap();
    for _ in 0..100 {
        let wanted = pool.want(now, &key(1)).unwrap();
        assert_eq!(
            wanted,
            Wanted {
                way: Way::Wait(dial),
                dial: None,
                close: None
            }
        );
    }
    assert!(pool.opened(now, dial, ids[0]));
    let wanted = pool.want(now, &key(1)).unwrap();
    assert_eq!(
        wanted,
        Wanted {
            way: Way::Use(ids[0]),
            dial: None,
            close: None
        }
    );
    assert_eq!((pool.live(), pool.dialling()), (1, 0));
    // One slow connection holds up nobody else.
    assert!(pool.want(now, &key(2)).unwrap().dial.is_some());
}

#[test]
fn c5_what_differs_in_domain_or_in_local_identity_is_not_shared() {
    let candidate = |transport| Candidate {
        transport,
        address: "192.0.2.1:5061".parse().unwrap(),
        domain: Some("example.com".parse().unwrap()),
        ttl: None,
        rank: 0,
    };
    let tls = PoolKey::new(&candidate(Transport::Tls), None);
    assert_eq!(tls.domain.as_ref().unwrap().as_str(), "example.com");
    assert_eq!(PoolKey::new(&candidate(Transport::Tcp), None).domain, None);
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(1));
    open(&mut pool, now, &tls, ids[0]);
    let other = PoolKey {
        domain: Some("example.net".parse().unwrap()),
        ..tls.clone()
    };
    let local = PoolKey {
        local: Some("edge.example".parse().unwrap()),
        ..tls
    };
    for key in [other, local] {
        assert!(pool.want(now, &key).unwrap().dial.is_some(), "{key:?}");
    }
}

#[test]
fn a_failed_attempt_is_over_for_all_who_wait_and_the_next_one_begins() {
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(1));
    let first = pool.want(now, &key(1)).unwrap().dial.unwrap();
    pool.dial_failed(first);
    assert!(pool.places.is_empty());
    assert!(!pool.opened(now, first, ids[0]), "it is over");
    let second = pool.want(now, &key(1)).unwrap().dial.unwrap();
    assert_ne!(first, second);
}

#[test]
fn e3_a_connection_found_dead_is_replaced_once() {
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(1));
    open(&mut pool, now, &key(1), ids[0]);
    pool.closed(ids[0]);
    pool.closed(ids[0]);
    assert!(pool.want(now, &key(1)).unwrap().dial.is_some());
    assert_eq!(
        (pool.live(), pool.dialling(), pool.next_expiry()),
        (0, 1, None)
    );
}

#[test]
fn several_connections_to_one_peer_are_used_in_turn() {
    let rules = PoolRules {
        per_key: 3,
        ..PoolRules::default()
    };
    let (mut pool, now, ids) = (Pool::new(rules), origin(), flows(3));
    open(&mut pool, now, &key(1), ids[0]);
    // The others are opened behind the requests, which do not wait for them.
    for &id in &ids[1..] {
        let wanted = pool.want(now, &key(1)).unwrap();
        assert!(matches!(wanted.way, Way::Use(_)));
        assert!(pool.opened(now, wanted.dial.unwrap(), id));
    }
    let mut used: Vec<_> = (0..6)
        .map(|_| match pool.want(now, &key(1)).unwrap() {
            Wanted {
                way: Way::Use(flow),
                dial: None,
                close: None,
            } => flow,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(used[..3], used[3..]);
    used.truncate(3);
    used.sort_unstable();
    assert_eq!(used, ids);
}

#[test]
fn e4_an_idle_connection_is_closed_and_not_before() {
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(2));
    open(&mut pool, now, &key(1), ids[0]);
    open(&mut pool, now, &key(2), ids[1]);
    assert_eq!(pool.next_expiry(), Some(now + seconds(300)));
    pool.used(now + seconds(200), ids[0]);
    assert_eq!(pool.expire(now + seconds(299)), None);
    assert_eq!(
        pool.expire(now + seconds(300)),
        Some((ids[1], PoolClose::Idle))
    );
    assert_eq!(pool.expire(now + seconds(300)), None);
    assert_eq!(pool.next_expiry(), Some(now + seconds(500)));
    assert_eq!(
        pool.expire(now + seconds(500)),
        Some((ids[0], PoolClose::Idle))
    );
    assert!(pool.next_expiry().is_none() && pool.places.is_empty());
}

#[test]
fn e4_the_idle_time_is_at_least_that_of_a_transaction() {
    let rules = PoolRules {
        idle: seconds(1),
        ..PoolRules::default()
    };
    let (mut pool, now, ids) = (Pool::new(rules), origin(), flows(1));
    open(&mut pool, now, &key(1), ids[0]);
    assert_eq!(pool.expire(now + seconds(31)), None);
    assert_eq!(
        pool.expire(now + seconds(32)),
        Some((ids[0], PoolClose::Idle))
    );
}

#[test]
fn an_old_connection_takes_no_more_requests_and_ends_its_transactions() {
    let rules = PoolRules {
        lifetime: Some(seconds(100)),
        ..PoolRules::default()
    };
    let (mut pool, now, ids) = (Pool::new(rules), origin(), flows(1));
    open(&mut pool, now, &key(1), ids[0]);
    pool.used(now + seconds(90), ids[0]);
    let old = now + seconds(100);
    assert_eq!(pool.next_expiry(), Some(old));
    assert_eq!(pool.expire(old), None);
    assert!(
        pool.want(old, &key(1)).unwrap().dial.is_some(),
        "the next request gets another"
    );
    // A response on the way keeps it a little longer.
    pool.used(now + seconds(110), ids[0]);
    assert_eq!(pool.expire(now + seconds(141)), None);
    assert_eq!(
        pool.expire(now + seconds(142)),
        Some((ids[0], PoolClose::Lifetime))
    );
}

#[test]
fn when_full_the_connection_used_longest_ago_makes_room() {
    let rules = PoolRules {
        total: 2,
        ..PoolRules::default()
    };
    let (mut pool, now, ids) = (Pool::new(rules), origin(), flows(3));
    open(&mut pool, now, &key(1), ids[0]);
    open(&mut pool, now, &key(2), ids[1]);
    assert_eq!(pool.want(now, &key(3)), Err(PoolError::Full));
    assert_eq!(
        pool.want(now, &key(1)).unwrap().way,
        Way::Use(ids[0]),
        "what is open is used"
    );
    pool.used(now + seconds(10), ids[0]);
    assert_eq!(pool.want(now + seconds(31), &key(3)), Err(PoolError::Full));
    let wanted = pool.want(now + seconds(32), &key(3)).unwrap();
    assert_eq!(wanted.close, Some(ids[1]));
    assert!(wanted.dial.is_some());
    // What is being opened counts too, and is not given up.
    assert_eq!(pool.want(now + seconds(33), &key(4)), Err(PoolError::Full));
    pool.dial_failed(wanted.dial.unwrap());
    assert_eq!(pool.want(now + seconds(33), &key(4)).unwrap().close, None);
}

#[test]
fn when_full_a_second_connection_is_not_opened() {
    let rules = PoolRules {
        total: 2,
        per_key: 2,
        ..PoolRules::default()
    };
    let (mut pool, now, ids) = (Pool::new(rules), origin(), flows(2));
    open(&mut pool, now, &key(1), ids[0]);
    let (wanted, late) = (pool.want(now, &key(2)).unwrap(), now + seconds(100));
    assert!(pool.opened(now, wanted.dial.unwrap(), ids[1]));
    let wanted = pool.want(late, &key(1)).unwrap();
    assert_eq!(
        wanted,
        Wanted {
            way: Way::Use(ids[0]),
            dial: None,
            close: None
        }
    );
}

#[test]
fn requests_that_wait_are_bounded() {
    let rules = PoolRules {
        waiting: 2,
        ..PoolRules::default()
    };
    let (mut pool, now) = (Pool::new(rules), origin());
    assert!(pool.want(now, &key(1)).is_ok() && pool.want(now, &key(1)).is_ok());
    assert_eq!(pool.want(now, &key(1)), Err(PoolError::TooManyWaiting));
    assert!(pool.want(now, &key(2)).is_ok());
}

#[test]
fn rules_that_change_count_for_what_is_open() {
    let (mut pool, now, ids) = (Pool::new(PoolRules::default()), origin(), flows(1));
    open(&mut pool, now, &key(1), ids[0]);
    pool.set_rules(PoolRules {
        idle: seconds(60),
        ..PoolRules::default()
    });
    assert_eq!(pool.next_expiry(), Some(now + seconds(60)));
    let extreme = Some(Duration::MAX);
    pool.set_rules(PoolRules {
        idle: Duration::MAX,
        lifetime: extreme,
        ..PoolRules::default()
    });
    assert_eq!(pool.expire(now + seconds(86_400)), None);
}

proptest! {
    #[test]
    fn the_pool_stays_whole(
        steps in proptest::collection::vec((0_u8..7, 0_u8..4, 0_u64..60), 0..300),
        per_key in 0_usize..3,
        total in 0_usize..5,
        lifetime in proptest::option::of(0_u64..200),
    ) {
        let lifetime = lifetime.map(seconds);
        let rules = PoolRules { per_key, total, lifetime, idle: seconds(50), waiting: 3 };
        let (mut pool, mut now) = (Pool::new(rules), origin());
        let mut ids = flows(300).into_iter();
        let mut open: BTreeSet<FlowId> = BTreeSet::new();
        let mut dials: Vec<DialId> = Vec::new();
        for (what, which, pause) in steps {
            now += seconds(pause);
            match what {
                0..=2 => {
                    if let Ok(Wanted { way, dial, close }) = pool.want(now, &key(which)) {
                        dials.extend(dial);
                        if let Some(close) = close {
                            prop_assert!(open.remove(&close), "it closes what is open");
                        }
                        match way {
                            Way::Use(flow) => prop_assert!(open.contains(&flow)),
                            Way::Wait(dial) => prop_assert!(dials.contains(&dial)),
                        }
                    }
                }
                3 => if let (Some(dial), Some(id)) = (dials.pop(), ids.next()) {
                    prop_assert!(pool.opened(now, dial, id));
                    open.insert(id);
                },
                4 => dials.pop().into_iter().for_each(|dial| pool.dial_failed(dial)),
                5 => if let Some(flow) = open.pop_first() { pool.closed(flow) },
                _ => while let Some((flow, _)) = pool.expire(now) {
                    prop_assert!(open.remove(&flow), "it closes what is open");
                },
            }
            prop_assert_eq!((pool.live(), pool.dialling()), (open.len(), dials.len()));
            prop_assert!(open.len() + dials.len() <= total.max(1));
            prop_assert_eq!(pool.by_end.len(), open.len());
            for place in pool.places.values() {
                let count = place.live.len() + place.dials.len();
                prop_assert!((1..=per_key.max(1)).contains(&count));
            }
        }
        // Time alone closes everything.
        now += seconds(1000);
        while let Some((flow, _)) = pool.expire(now) {
            prop_assert!(open.remove(&flow));
        }
        now += seconds(1000);
        while let Some((flow, _)) = pool.expire(now) {
            prop_assert!(open.remove(&flow));
        }
        prop_assert!(open.is_empty() && pool.by_end.is_empty());
    }
}
