//! What DNS does not have, and what it fails to say.

use super::*;

#[test]
fn a_target_that_cannot_be_located_says_why() {
    let new = |uri: &str, transports: &[Transport]| {
        Locator::new(&target(uri), Arc::new(rules(transports)), 1).map(|_| ())
    };
    assert_eq!(
        new("sips:example.com;transport=udp", &[Udp, Tls]),
        Err(LocateError::NotSecurable)
    );
    assert_eq!(
        new("sip:example.com;transport=tcp", &[Udp]),
        Err(LocateError::Unsupported(Tcp))
    );
    assert_eq!(
        new("sips:example.com", &[Udp, Tcp]),
        Err(LocateError::NoTransport)
    );
    assert_eq!(new("sip:192.0.2.1", &[Ws]), Err(LocateError::NoTransport));
    assert_eq!(new("sip:example.com", &[]), Err(LocateError::NoTransport));
    let invalid = LocateError::Invalid(domain("df7jal23ls0d.invalid"));
    for uri in [
        "sip:df7jal23ls0d.invalid",
        "sip:df7jal23ls0d.invalid:5060;transport=ws",
    ] {
        assert_eq!(new(uri, &[Ws, Udp]), Err(invalid.clone()), "{uri}");
    }
    let name = "a".repeat(64);
    let host = crate::OwnedHost::new(Host::Name(&name));
    assert_eq!(host, Err(DomainError::Label(64)));
    assert!(host.unwrap_err().to_string().contains("63"));
}

#[test]
fn an_element_without_udp_takes_what_it_has() {
    let mut world = World::default().host("example.com", &["192.0.2.80"]);
    let found = world
        .locate(&target("sip:example.com"), &rules(&[Tls, Tcp]))
        .unwrap();
    assert_eq!(found, ["TCP 192.0.2.80:5060"]);
}

#[test]
fn servfail_is_not_no_records() {
    let world = || World::default().host("example.com", &["192.0.2.80"]);
    let transports = rules(&[Tls, Tcp, Udp]);
    for failure in [Failure::ServFail, Failure::Timeout] {
        let questions = [
            ("sip:example.com", "NAPTR example.com"),
            ("sip:example.com", "SRV _sips._tcp.example.com"),
            ("sip:example.com", "SRV _sip._udp.example.com"),
            ("sip:example.com;transport=tcp", "SRV _sip._tcp.example.com"),
            ("sip:example.com:5060", "A example.com"),
        ];
        for (uri, question) in questions {
            let found = world()
                .fails(question, failure)
                .locate(&target(uri), &transports);
            let name = domain(question.split_once(' ').unwrap().1);
            assert_eq!(
                found,
                Err(LocateError::Dns { name, failure }),
                "{uri} {question}"
            );
        }
    }
    for failure in [Failure::NxDomain, Failure::NoData] {
        for question in ["NAPTR example.com", "SRV _sip._udp.example.com"] {
            let found = world()
                .fails(question, failure)
                .locate(&target("sip:example.com"), &transports);
            assert_eq!(found.unwrap(), ["UDP 192.0.2.80:5060"], "{question}");
        }
    }
}

#[test]
fn servfail_of_one_transport_leaves_the_others() {
    let mut world = World::default()
        .fails("SRV _sips._tcp.example.com", Failure::ServFail)
        .srv("_sip._udp.example.com", &[(1, 1, 5070, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"]);
    let found = world
        .locate(&target("sip:example.com"), &rules(&[Tls, Udp]))
        .unwrap();
    assert_eq!(found, ["UDP 192.0.2.1:5070"]);
}

#[test]
fn servfail_of_one_server_leaves_the_next() {
    let mut world = World::default()
        .srv(
            "_sip._udp.example.com",
            &[(1, 1, 5060, "a.example.com"), (2, 1, 5060, "b.example.com")],
        )
        .fails("A a.example.com", Failure::ServFail)
        .host("b.example.com", &["192.0.2.2"]);
    let found = world
        .locate(&target("sip:example.com;transport=udp"), &rules(&[Udp]))
        .unwrap();
    assert_eq!(found, ["UDP 192.0.2.2:5060"]);
}

#[test]
fn rfc2782_a_root_target_means_no_such_service() {
    let world = || World::default().host("example.com", &["192.0.2.80"]);
    let mut none = world().srv("_sip._tcp.example.com", &[(0, 0, 0, ".")]);
    let found = none.locate(&target("sip:example.com;transport=tcp"), &rules(&[Tcp]));
    assert_eq!(found, Err(LocateError::NoService));
    assert_eq!(none.asked, ["SRV _sip._tcp.example.com"]);
    // Nor is the domain itself asked on behalf of another transport.
    let found = none.locate(&target("sip:example.com"), &rules(&[Tcp, Udp]));
    assert_eq!(found, Err(LocateError::NoService));
}

#[test]
fn naptr_without_a_usable_service_is_no_naptr() {
    let mut world = World::default()
        .naptr(
            "example.com",
            &[
                (1, 1, "u", "E2U+sip", "example.com"),
                (2, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
                (3, 1, "a", "SIP+D2U", "example.com"),
                (4, 1, "s", "SIP+D2U", "."),
            ],
        )
        .srv("_sip._udp.example.com", &[(1, 1, 5070, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"]);
    let found = world
        .locate(&target("sip:example.com"), &rules(&[Udp]))
        .unwrap();
    assert_eq!(found, ["UDP 192.0.2.1:5070"]);
    assert!(!world.asked.iter().any(|asked| asked.contains("_sctp")));
}

#[test]
fn naptr_without_srv_behind_it_leads_to_the_domain_itself() {
    let mut world = World::default()
        .naptr(
            "example.com",
            &[(1, 1, "s", "SIP+D2T", "_sip._tcp.elsewhere.example")],
        )
        .host("example.com", &["192.0.2.80"]);
    let found = world
        .locate(&target("sip:example.com"), &rules(&[Udp, Tcp]))
        .unwrap();
    assert_eq!(found, ["TCP 192.0.2.80:5060"]);
    assert_eq!(
        world.asked,
        [
            "NAPTR example.com",
            "SRV _sip._tcp.elsewhere.example",
            "A example.com"
        ]
    );
}

#[test]
fn a_domain_without_anything_has_no_address() {
    let found = World::default().locate(&target("sip:example.com"), &LocateRules::default());
    assert_eq!(found, Err(LocateError::NoAddress));
    let rules = LocateRules {
        addresses: AddressOrder::Ipv6Only,
        ..LocateRules::default()
    };
    let mut world = World::default().host("example.com", &["192.0.2.80"]);
    assert_eq!(
        world.locate(&target("sip:example.com"), &rules),
        Err(LocateError::NoAddress)
    );
}

#[test]
fn an_answer_of_another_kind_is_a_failure_and_one_unasked_is_nothing() {
    let mut locator = Locator::new(&target("sip:example.com"), Arc::default(), 1).unwrap();
    locator.answer(Ok(Records::Srv(vec![])));
    assert_eq!(
        locator.next(),
        Next::Ask(Query::Naptr(domain("example.com")))
    );
    locator.answer(Ok(Records::Srv(vec![])));
    let dns = LocateError::Dns {
        name: domain("example.com"),
        failure: Failure::ServFail,
    };
    assert_eq!(locator.next(), Next::End(Err(dns.clone())));
    assert_eq!(
        dns.to_string(),
        "looking up example.com: the name server failed"
    );
    locator.answer(Err(Failure::NxDomain));
    assert_eq!(locator.next(), Next::End(Err(dns)));
}
