//! The work that a hostile zone can cause, and the sameness of choices.

use super::*;
use proptest::prelude::*;

/// A zone that answers every question with as much as a name server could say.
struct Hostile;

impl Hostile {
    fn answer(query: &Query) -> Records {
        let name = query.name();
        match query {
            Query::Naptr(_) => Records::Naptr(
                (0..500)
                    .map(|number| Naptr {
                        order: number,
                        preference: 0,
                        flags: "s".into(),
                        service: "SIP+D2U".into(),
                        replacement: format!("_sip._udp.n{number}.example").parse().ok(),
                        ttl: TTL,
                    })
                    .collect(),
            ),
            Query::Srv(_) => Records::Srv(
                (0..500)
                    .map(|number| Srv {
                        priority: number % 7,
                        weight: number,
                        target: format!("n{number}.{name}").parse().ok(),
                        port: 5060,
                        ttl: TTL,
                    })
                    .collect(),
            ),
            // No address leads to a candidate: the search goes on and on.
            Query::Addresses { .. } => Records::Addresses(vec![]),
        }
    }
}

#[test]
fn questions_for_one_target_are_bounded() {
    let mut locator = Locator::new(&target("sip:example.com"), Arc::default(), 1).unwrap();
    let mut questions = 0;
    let end = loop {
        match locator.next() {
            Next::Ask(query) => {
                questions += 1;
                locator.answer(Ok(Hostile::answer(&query)));
            }
            Next::Try(candidate) => panic!("{candidate}"),
            Next::End(end) => break end,
        }
    };
    assert_eq!((questions, end), (32, Err(LocateError::TooManyQueries)));
}

#[test]
fn candidates_of_one_target_are_bounded_and_different() {
    let many: Vec<_> = (0..=255).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let mut world = World::default()
        .srv(
            "_sip._udp.example.com",
            &[(1, 1, 5060, "a.example.com"), (2, 1, 5060, "b.example.com")],
        )
        .host("a.example.com", &["192.0.2.7", "192.0.2.7", "192.0.2.8"])
        .host("b.example.com", &many);
    let rules = LocateRules {
        max_candidates: 10,
        ..rules(&[Udp])
    };
    let found = world
        .locate(&target("sip:example.com;transport=udp"), &rules)
        .unwrap();
    assert_eq!(found.len(), 10);
    let different: BTreeSet<_> = found.iter().collect();
    assert_eq!(different.len(), 10, "{found:?}");
    let rules = LocateRules {
        max_records: 3,
        ..LocateRules::default()
    };
    let found = world
        .locate(&target("sip:b.example.com:5060"), &rules)
        .unwrap();
    assert_eq!(found.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A stateless proxy sends a retransmission where it sent the request.
    #[test]
    fn rfc3263_4_4_one_branch_always_leads_one_way(branch in "[a-z0-9]{1,20}", turn in 0_usize..4) {
        let seed = seed_of(&[9; 16], branch.as_bytes());
        let mut addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];
        let mut servers = [
            (1, 5, 5060, "a.example.com"),
            (1, 3, 5061, "a.example.com"),
            (1, 0, 5062, "a.example.com"),
            (2, 0, 5063, "a.example.com"),
        ];
        let rules = Arc::new(LocateRules { addresses: AddressOrder::Ipv6First, ..rules(&[Udp]) });
        let mut ways = Vec::new();
        for _ in 0..2 {
            let mut world = World::default()
                .srv("_sip._udp.example.com", &servers)
                .host("a.example.com", &addresses);
            let mut locator = Locator::new(&target("sip:example.com"), rules.clone(), seed).unwrap();
            ways.push(world.search(&mut locator));
            servers.rotate_left(turn);
            addresses.rotate_left(turn);
        }
        prop_assert_eq!(&ways[0], &ways[1]);
        prop_assert_eq!(ways[0].0.len(), 16);
    }

    /// Whatever DNS says, the search ends, and says why when it found nothing.
    #[test]
    fn every_search_ends(answers in proptest::collection::vec(0_u8..9, 0..64), secure: bool) {
        let target = Target { secure, ..target("sip:example.com") };
        let mut locator = Locator::new(&target, Arc::default(), 1).unwrap();
        let mut answers = answers.into_iter();
        let mut found = 0_u8;
        for _ in 0..200 {
            match locator.next() {
                Next::Ask(query) => {
                    let ip = [192, 0, 2, found].into();
                    locator.answer(match answers.next().unwrap_or(0) {
                        0 => Err(Failure::NxDomain),
                        1 => Err(Failure::ServFail),
                        2 => Ok(Records::Srv(vec![])),
                        3 => Ok(Records::Addresses(vec![Address { ip, ttl: TTL }])),
                        _ => Ok(Hostile::answer(&query)),
                    });
                }
                Next::Try(candidate) => {
                    prop_assert!(candidate.transport.is_secure() || !secure);
                    found += 1;
                }
                Next::End(end) => {
                    prop_assert_eq!(end.is_ok(), found > 0);
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it did not end");
    }
}
