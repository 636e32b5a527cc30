//! The decisions of RFC 3263 §4.1, §4.2 and §5 where DNS answers.

use super::*;

/// A domain with everything: NAPTR, SRV for three transports, and an A record beside them.
fn example() -> World {
    World::default()
        .naptr(
            "example.com",
            &[
                (90, 50, "s", "SIP+D2T", "_sip._tcp.example.com"),
                (50, 50, "S", "sips+d2t", "_sips._tcp.example.com"),
                (100, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
                (10, 10, "u", "E2U+sip", "example.com"),
                (20, 10, "s", "SIP+D2X", "_sip._xyz.example.com"),
            ],
        )
        .srv("_sips._tcp.example.com", &[(1, 1, 5071, "tls.example.com")])
        .srv("_sip._tcp.example.com", &[(1, 1, 5070, "tcp.example.com")])
        .srv(
            "_sip._udp.example.com",
            &[(2, 1, 5082, "b.example.com"), (1, 1, 5081, "a.example.com")],
        )
        .host("example.com", &["192.0.2.80"])
        .host("tls.example.com", &["192.0.2.1"])
        .host("tcp.example.com", &["192.0.2.2"])
        .host("a.example.com", &["192.0.2.3", "192.0.2.4"])
        .host("b.example.com", &["192.0.2.5"])
}

#[test]
fn rfc3263_each_target_leads_to_its_candidates() {
    let all = [
        "TLS 192.0.2.1:5071",
        "TCP 192.0.2.2:5070",
        "UDP 192.0.2.3:5081",
        "UDP 192.0.2.4:5081",
        "UDP 192.0.2.5:5082",
    ];
    let cases: [(&str, &[&str]); 16] = [
        // §4.1: an address or a port without a transport is UDP, for sips TLS.
        ("sip:192.0.2.9", &["UDP 192.0.2.9:5060"]),
        ("sip:192.0.2.9:5090", &["UDP 192.0.2.9:5090"]),
        ("sips:192.0.2.9", &["TLS 192.0.2.9:5061"]),
        ("sip:[2001:db8::9]", &["UDP [2001:db8::9]:5060"]),
        ("sip:example.com:5090", &["UDP 192.0.2.80:5090"]),
        ("sips:example.com:5090", &["TLS 192.0.2.80:5090"]),
        // §4.1: the transport that is written.
        ("sip:192.0.2.9;transport=tcp", &["TCP 192.0.2.9:5060"]),
        // §4.2: TLS has a port of its own, with `sip` as well.
        ("sip:192.0.2.9;transport=tls", &["TLS 192.0.2.9:5061"]),
        ("sips:192.0.2.9;transport=tcp", &["TLS 192.0.2.9:5061"]),
        (
            "sip:example.com:5090;transport=tcp",
            &["TCP 192.0.2.80:5090"],
        ),
        // §4.2: SRV of that transport alone; its port wins.
        ("sip:example.com;transport=tcp", &["TCP 192.0.2.2:5070"]),
        ("sips:example.com;transport=tcp", &["TLS 192.0.2.1:5071"]),
        ("sip:example.com;transport=udp", &all[2..]),
        ("sip:example.com", &all),
        // §4.1: "MUST discard any services that do not contain SIPS".
        ("sips:example.com", &all[..1]),
        // §4.2: neither NAPTR nor SRV.
        (
            "sip:a.example.com",
            &["UDP 192.0.2.3:5060", "UDP 192.0.2.4:5060"],
        ),
    ];
    for (uri, expected) in cases {
        let found = example().locate(&target(uri), &rules(&[Tls, Tcp, Udp]));
        assert_eq!(found.unwrap(), expected, "{uri}");
    }
}

#[test]
fn rfc3263_only_what_is_needed_is_asked() {
    let cases: [(&str, &[Transport], &[&str]); 7] = [
        ("sip:192.0.2.9", &[Udp], &[]),
        ("sip:example.com:5090", &[Udp], &["A example.com"]),
        (
            "sip:example.com;transport=tcp",
            &[Udp, Tcp],
            &["SRV _sip._tcp.example.com", "A tcp.example.com"],
        ),
        // Transports not in use are skipped without asking for their SRV records.
        (
            "sip:example.com",
            &[Tcp],
            &[
                "NAPTR example.com",
                "SRV _sip._tcp.example.com",
                "A tcp.example.com",
            ],
        ),
        (
            "sips:example.com",
            &[Tls, Tcp, Udp],
            &[
                "NAPTR example.com",
                "SRV _sips._tcp.example.com",
                "A tls.example.com",
            ],
        ),
        // §4.1: without NAPTR each transport in use is asked for, in the element's order.
        (
            "sip:b.example.com",
            &[Tls, Tcp, Udp],
            &[
                "NAPTR b.example.com",
                "SRV _sips._tcp.b.example.com",
                "SRV _sip._tcp.b.example.com",
                "SRV _sip._udp.b.example.com",
                "A b.example.com",
            ],
        ),
        (
            "sips:b.example.com",
            &[Udp, Tls],
            &[
                "NAPTR b.example.com",
                "SRV _sips._tcp.b.example.com",
                "A b.example.com",
            ],
        ),
    ];
    for (uri, transports, expected) in cases {
        let mut world = example();
        world.locate(&target(uri), &rules(transports)).unwrap();
        assert_eq!(world.asked, expected, "{uri}");
    }
}

#[test]
fn what_will_be_asked_is_known_ahead() {
    let rules = Arc::new(rules(&[Tls, Tcp, Udp]));
    let mut locator = Locator::new(&target("sip:b.example.com"), rules, 1).unwrap();
    assert_eq!(
        locator.next(),
        Next::Ask(Query::Naptr(domain("b.example.com")))
    );
    assert_eq!(locator.ahead().count(), 0, "it may be anything");
    locator.answer(Err(Failure::NxDomain));
    let Next::Ask(first) = locator.next() else {
        panic!("it asks for SRV");
    };
    let ahead: Vec<_> = locator.ahead().map(|query| key(&query)).collect();
    assert_eq!(key(&first), "SRV _sips._tcp.b.example.com");
    assert_eq!(
        ahead,
        [
            "SRV _sip._tcp.b.example.com",
            "SRV _sip._udp.b.example.com",
            "A b.example.com"
        ]
    );
}

#[test]
fn without_naptr_by_the_rules_srv_is_asked_at_once() {
    let mut world = example();
    let rules = LocateRules {
        naptr: false,
        ..rules(&[Udp])
    };
    world.locate(&target("sip:example.com"), &rules).unwrap();
    assert_eq!(world.asked[0], "SRV _sip._udp.example.com");
}

#[test]
fn an_address_beside_srv_hides_nothing() {
    let mut world = example();
    let found = world
        .locate(&target("sip:example.com"), &rules(&[Tls, Tcp, Udp]))
        .unwrap();
    assert!(!found.iter().any(|found| found.contains("192.0.2.80")));
    assert!(!world.asked.contains(&"A example.com".to_owned()));
}

#[test]
fn rfc3263_4_2_all_addresses_of_a_server_come_before_the_next_server() {
    let mut locator =
        Locator::new(&target("sip:example.com;transport=udp"), Arc::default(), 3).unwrap();
    let mut world = example();
    let (found, end) = world.search(&mut locator);
    assert_eq!(end, Ok(()));
    let ports: Vec<_> = found
        .iter()
        .map(|candidate| candidate.address.port())
        .collect();
    assert_eq!(ports, [5081, 5081, 5082]);
    let ranks: Vec<_> = found.iter().map(|candidate| candidate.rank).collect();
    assert_eq!(ranks, [1, 1, 2]);
}

#[test]
fn rfc3263_4_3_the_second_server_is_not_asked_for_while_the_first_one_works() {
    let mut world = example();
    let mut locator =
        Locator::new(&target("sip:example.com;transport=udp"), Arc::default(), 3).unwrap();
    let first = loop {
        match locator.next() {
            Next::Ask(query) => {
                assert_eq!(
                    locator.next(),
                    Next::Ask(query.clone()),
                    "it waits for the answer"
                );
                let answer = world.answer(&query);
                locator.answer(answer);
            }
            Next::Try(candidate) => break candidate,
            Next::End(end) => panic!("{end:?}"),
        }
    };
    assert_eq!(first.address.port(), 5081);
    assert_eq!(
        world.asked,
        ["SRV _sip._udp.example.com", "A a.example.com"]
    );
    let (rest, _) = world.search(&mut locator);
    assert_eq!(rest.len(), 2);
    assert_eq!(world.asked.last().unwrap(), "A b.example.com");
}

#[test]
fn rfc5922_the_candidate_bears_the_domain_as_it_was_asked_for() {
    let mut world = example();
    let mut locator = Locator::new(&target("sips:Example.COM"), Arc::default(), 3).unwrap();
    let (found, _) = world.search(&mut locator);
    assert_eq!(found[0].domain.as_ref().unwrap().as_str(), "example.com");
    let mut numeric = Locator::new(&target("sips:192.0.2.9"), Arc::default(), 3).unwrap();
    assert!(matches!(
        numeric.next(),
        Next::Try(Candidate {
            domain: None,
            ttl: None,
            ..
        })
    ));
    assert_eq!(numeric.next(), Next::End(Ok(())));
}

#[test]
fn the_shortest_life_on_the_way_is_the_candidates() {
    let seconds = Duration::from_secs;
    let lives = [[5, 60, 60], [60, 5, 60], [60, 60, 5]];
    for [naptr, srv, address] in lives {
        let mut locator = Locator::new(&target("sip:example.com"), Arc::default(), 3).unwrap();
        let mut world = example();
        let candidate = loop {
            match locator.next() {
                Next::Ask(query) => {
                    let mut answer = world.answer(&query);
                    match &mut answer {
                        Ok(Records::Naptr(records)) => {
                            for record in records {
                                record.ttl = seconds(naptr);
                            }
                        }
                        Ok(Records::Srv(records)) => {
                            for record in records {
                                record.ttl = seconds(srv);
                            }
                        }
                        Ok(Records::Addresses(records)) => {
                            for record in records {
                                record.ttl = seconds(address);
                            }
                        }
                        Err(_) => {}
                    }
                    locator.answer(answer);
                }
                Next::Try(candidate) => break candidate,
                Next::End(end) => panic!("{end:?}"),
            }
        };
        assert_eq!(candidate.ttl, Some(seconds(5)));
    }
}

#[test]
fn rfc3263_5_a_response_goes_where_the_via_says() {
    let sent_by = |transport, host: &'static str, port| {
        Target::sent_by(transport, Host::parse(host.as_bytes()).unwrap(), port).unwrap()
    };
    let cases = [
        (sent_by(Udp, "192.0.2.9", None), vec!["UDP 192.0.2.9:5060"]),
        (sent_by(Tls, "192.0.2.9", None), vec!["TLS 192.0.2.9:5061"]),
        (
            sent_by(Udp, "192.0.2.9", Some(7000)),
            vec!["UDP 192.0.2.9:7000"],
        ),
        (
            sent_by(Tcp, "example.com", Some(7000)),
            vec!["TCP 192.0.2.80:7000"],
        ),
        (
            sent_by(Tcp, "example.com", None),
            vec!["TCP 192.0.2.2:5070"],
        ),
        (
            sent_by(Tls, "example.com", None),
            vec!["TLS 192.0.2.1:5071"],
        ),
        (
            sent_by(Udp, "b.example.com", None),
            vec!["UDP 192.0.2.5:5060"],
        ),
    ];
    for (target, expected) in cases {
        let found = example().locate(&target, &LocateRules::default()).unwrap();
        assert_eq!(found, expected, "{target:?}");
    }
}

#[test]
fn rfc7118_websockets_over_tls_are_found_under_either_label() {
    let wss = target("sip:example.com;transport=wss");
    for label in ["_sips._ws.example.com", "_sips._wss.example.com"] {
        let mut world = World::default()
            .srv(label, &[(1, 1, 8443, "e.example.com")])
            .host("e.example.com", &["192.0.2.7"]);
        let found = world.locate(&wss, &rules(&[Wss])).unwrap();
        assert_eq!(found, ["WSS 192.0.2.7:8443"], "{label}");
    }
    let mut world = World::default().host("example.com", &["192.0.2.7"]);
    assert_eq!(
        world.locate(&wss, &rules(&[Wss])).unwrap(),
        ["WSS 192.0.2.7:443"]
    );
    let ws = target("sip:example.com;transport=ws");
    assert_eq!(
        world.locate(&ws, &rules(&[Ws])).unwrap(),
        ["WS 192.0.2.7:80"]
    );
}

#[test]
fn rfc7984_both_families_are_asked_for_and_ordered() {
    use AddressOrder::{AsGiven, Ipv4First, Ipv4Only, Ipv6First, Ipv6Only};
    let given = ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"];
    let cases = [
        (AsGiven, "4646"),
        (Ipv6First, "6644"),
        (Ipv4First, "4466"),
        (Ipv6Only, "66"),
        (Ipv4Only, "44"),
    ];
    for (addresses, expected) in cases {
        let rules = Arc::new(LocateRules {
            addresses,
            ..LocateRules::default()
        });
        let mut locator = Locator::new(&target("sip:example.com:5060"), rules, 1).unwrap();
        let (ipv4, ipv6) = (addresses != Ipv6Only, addresses != Ipv4Only);
        let query = Query::Addresses {
            name: domain("example.com"),
            ipv4,
            ipv6,
        };
        assert_eq!(locator.next(), Next::Ask(query));
        let (found, _) = World::default()
            .host("example.com", &given)
            .search(&mut locator);
        let family = |found: &Candidate| if found.address.is_ipv6() { '6' } else { '4' };
        assert_eq!(
            found.iter().map(family).collect::<String>(),
            expected,
            "{addresses:?}"
        );
    }
}

#[test]
fn rfc3263_4_a_maddr_is_the_target() {
    let maddr = target("sip:example.com;maddr=192.0.2.9;transport=tcp");
    let found = example().locate(&maddr, &LocateRules::default());
    assert_eq!(found.unwrap(), ["TCP 192.0.2.9:5060"]);
    let refused = |uri: &str| Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap_err();
    let unknown = refused("sip:example.com;transport=carrier-pigeon");
    assert_eq!(unknown, LocateError::Uri(UriError::Transport));
    assert_eq!(
        refused("sip:example.com;maddr=[::"),
        LocateError::Uri(UriError::Maddr)
    );
}
