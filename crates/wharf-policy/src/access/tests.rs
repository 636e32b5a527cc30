use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

fn rules(texts: &[&str]) -> AccessRules {
    AccessRules::new(texts.iter().map(|text| rule(text)).collect()).unwrap()
}

fn rule<P: Pattern>(text: &str) -> Rule<P> {
    text.parse().unwrap()
}

fn allows(rules: &AccessRules, ip: &str) -> bool {
    rules.check(ip.parse().unwrap()) == Verdict::Allow
}

#[test]
fn the_first_match_decides_and_no_match_allows() {
    let rules = rules(&["allow 10.1.0.0/16", "deny 10.0.0.0/8", "deny 2001:db8::/32"]);
    assert!(allows(&rules, "10.1.2.3"));
    assert!(!allows(&rules, "10.2.0.1"));
    assert!(!allows(&rules, "2001:db8::5"));
    assert!(allows(&rules, "192.0.2.1"));
    assert!(allows(&AccessRules::default(), "10.0.0.1"));
}

#[test]
fn a_mapped_address_is_the_ipv4_address_on_both_sides() {
    let plain = rules(&["deny 10.0.0.0/8"]);
    assert!(!allows(&plain, "::ffff:10.9.9.9"));
    let mapped = rules(&["deny ::ffff:10.0.0.0/104"]);
    assert!(!allows(&mapped, "10.9.9.9"));
    let all_ipv6 = rules(&["deny ::/0"]);
    assert!(allows(&all_ipv6, "::ffff:10.9.9.9"), "that peer is IPv4");
    assert!(!allows(&rules(&["deny all"]), "10.9.9.9"));
}

#[test]
fn live_edits() {
    let mut rules = rules(&["allow 10.0.0.0/8", "deny all"]);
    assert!(!allows(&rules, "192.0.2.1"));
    rules.prepend(rule("allow 192.0.2.1")).unwrap();
    assert!(allows(&rules, "192.0.2.1"));
    rules.prepend(rule("deny 10.0.0.0/8")).unwrap();
    assert!(
        !allows(&rules, "10.0.0.1"),
        "the opposite rule in front wins"
    );

    let before = rules.clone();
    let error = rules.prepend(rule("allow 10.77.0.1/8")).unwrap_err();
    assert_eq!(error.rule, "allow 10.0.0.0/8");
    let error = rules.remove(&rule("deny 192.0.2.1")).unwrap_err();
    assert_eq!(error.rule, "deny 192.0.2.1");
    let twice = vec![rule("deny all"), rule("allow 10.0.0.0/8"), rule("deny all")];
    assert!(rules.replace(twice).is_err());
    assert_eq!(rules, before, "an edit that fails changes nothing");

    let unnormalised = Rule {
        verdict: Verdict::Deny,
        source: Source::Cidr("::ffff:10.5.0.0/104".parse().unwrap()),
    };
    rules.remove(&unnormalised).unwrap();
    assert!(allows(&rules, "10.0.0.1"));
    rules.replace(vec![rule("deny 10.0.0.1")]).unwrap();
    assert_eq!(rules.rules(), [rule("deny 10.0.0.1")]);
}

#[test]
fn text_that_is_no_rule_is_an_error() {
    for text in [
        "",
        "allow",
        "allow ",
        "permit all",
        "Allow all",
        "deny 10.0.0.0/33",
        "deny 10.0.0",
        "deny all of them",
        "deny uid 7",
        "denyall",
        "deny ::1/129",
        "deny 10.0.0.0/8 all",
    ] {
        let error = text.parse::<Rule<Source>>().unwrap_err();
        assert_eq!(error.text, text);
        assert!(error.to_string().contains("10.0.0.0/8 or fd00::/8"));
    }
    for text in [
        "deny uid",
        "deny uid -1",
        "deny uid 4294967296",
        "deny 10.0.0.1",
        "deny all 1",
    ] {
        assert!(text.parse::<Rule<Principal>>().is_err(), "{text}");
    }
}

#[test]
fn space_around_the_words_does_not_count() {
    assert_eq!(rule::<Source>("  deny \t all "), rule("deny all"));
    assert_eq!(rule::<Principal>("allow  gid\t33"), rule("allow gid 33"));
}

#[test]
fn identity_rules() {
    let mut rules = IdentityRules::new(vec![
        rule("deny uid 0"),
        rule("allow gid 33"),
        rule("allow uid 1000"),
        rule("deny all"),
    ])
    .unwrap();
    let check = |rules: &IdentityRules, uid, gid| rules.check(Identity { uid, gid });
    assert_eq!(check(&rules, 0, 33), Verdict::Deny);
    assert_eq!(check(&rules, 7, 33), Verdict::Allow);
    assert_eq!(check(&rules, 1000, 1), Verdict::Allow);
    assert_eq!(check(&rules, 33, 1000), Verdict::Deny, "uid and gid differ");
    assert!(rules.prepend(rule("allow gid 33")).is_err());
    rules.remove(&rule("deny all")).unwrap();
    assert_eq!(check(&rules, 33, 1000), Verdict::Allow);
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::All),
        (any::<u32>(), 0u8..=32).prop_map(|(bits, length)| {
            let ip = IpAddr::from(Ipv4Addr::from_bits(bits));
            Source::Cidr(ipnet::IpNet::new(ip, length).unwrap())
        }),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| {
            let ip = IpAddr::from(std::net::Ipv6Addr::from_bits(bits));
            Source::Cidr(ipnet::IpNet::new(ip, length).unwrap())
        }),
    ]
}

proptest! {
    #[test]
    fn text_goes_round(source in any_source(), allow: bool, uid: u32) {
        let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
        let written = Rule { verdict, source: source.canonical() };
        prop_assert_eq!(written.to_string().parse::<Rule<Source>>(), Ok(written));
        let written = Rule { verdict, source: Principal::Uid(uid) };
        prop_assert_eq!(written.to_string().parse::<Rule<Principal>>(), Ok(written));
    }

    #[test]
    fn no_text_panics(text in "(allow|deny)? ?[0-9a-f:./ ]{0,24}") {
        if let Ok(rule) = text.parse::<Rule<Source>>() {
            prop_assert_eq!(rule.to_string().parse::<Rule<Source>>(), Ok(rule));
        }
    }

    /// The verdict is that of a plain walk in which each address is written out in IPv6.
    #[test]
    fn agrees_with_a_walk(
        list in proptest::collection::vec((0u32..4, 28u8..=32, any::<bool>()), 0..8),
        low in 0u32..64,
    ) {
        let mut rules = AccessRules::default();
        let mut expected = Verdict::Allow;
        for (block, length, allow) in list {
            let ip = Ipv4Addr::from_bits(block << 3);
            let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
            let rule: Rule<Source> = format!("{verdict} ::ffff:{ip}/{}", length + 96).parse().unwrap();
            if rules.prepend(rule).is_ok() && low >> (32 - length) == (block << 3) >> (32 - length) {
                expected = verdict;
            }
        }
        prop_assert_eq!(rules.check(Ipv4Addr::from_bits(low).into()), expected);
    }
}
