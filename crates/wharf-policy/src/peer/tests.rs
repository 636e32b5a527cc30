mod any_rules;
mod own;

use super::*;
use PeerRefusal::{
    DefaultDeny, Denied, LowPort, Never, NotAllowed, OwnAddress, OwnSocket, PortZero,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|net| net.parse().unwrap()).collect()
}

/// The verdict on the IP alone, which must be the verdict at an ordinary port as well.
#[track_caller]
fn verdict(rules: &PeerRules, text: &str) -> Result<(), PeerRefusal> {
    let policy = PeerPolicy::new(rules.clone());
    let verdict = policy.check_ip(ip(text));
    assert_eq!(
        policy.check(SocketAddr::new(ip(text), 40_000)),
        verdict,
        "{text}"
    );
    verdict
}

fn allow(list: &[&str]) -> PeerRules {
    PeerRules {
        allow: nets(list),
        ..PeerRules::default()
    }
}

fn everything() -> PeerRules {
    allow(&["0.0.0.0/0", "::/0"])
}

/// CVE-2018-4058: loopback could be relayed to.
#[test]
fn cve_2018_4058_loopback_is_never_a_peer() {
    for rules in [PeerRules::default(), everything()] {
        for text in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert_eq!(
                verdict(&rules, text),
                Err(Never(AddressClass::Loopback)),
                "{text}"
            );
        }
    }
}

/// CVE-2020-26262: `0.0.0.0`, `::` and `::1` reached the host itself.
#[test]
fn cve_2020_26262_unspecified_is_never_a_peer() {
    for rules in [PeerRules::default(), everything()] {
        for text in [
            "0.0.0.0",
            "0.0.0.1",
            "0.255.255.255",
            "::",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(
                verdict(&rules, text),
                Err(Never(AddressClass::Unspecified)),
                "{text}"
            );
        }
    }
    assert_eq!(
        verdict(&everything(), "::0.0.0.2"),
        Err(Never(AddressClass::Unspecified))
    );
}

/// CVE-2026-27624: an IPv4-mapped address passed a list of IPv4 ranges.
#[test]
fn cve_2026_27624_mapped_is_matched_as_ipv4() {
    let rules = PeerRules {
        deny: nets(&["93.184.0.0/16"]),
        ..PeerRules::default()
    };
    assert_eq!(verdict(&rules, "93.184.216.34"), Err(Denied));
    assert_eq!(verdict(&rules, "::ffff:93.184.216.34"), Err(Denied));
    assert_eq!(
        verdict(&rules, "::ffff:10.0.0.1"),
        Err(DefaultDeny(AddressClass::Private))
    );
    assert_eq!(verdict(&rules, "::ffff:93.185.0.1"), Ok(()));
    assert_eq!(verdict(&allow(&["10.0.0.0/8"]), "::ffff:10.0.0.1"), Ok(()));
}

/// coturn 4.13: the loopback test ran before the address was brought into canonical form.
#[test]
fn coturn_4_13_mapped_loopback_is_loopback() {
    for text in ["::ffff:127.0.0.1", "::ffff:7f00:1"] {
        assert_eq!(
            verdict(&everything(), text),
            Err(Never(AddressClass::Loopback))
        );
    }
}

/// coturn 4.13.1: 6to4 and NAT64 carried a refused IPv4 address past the rules.
#[test]
fn coturn_4_13_1_embedded_addresses_are_matched() {
    let cases = ["::", "::ffff:0:", "64:ff9b::"].map(|prefix| format!("{prefix}127.0.0.1"));
    for text in cases
        .iter()
        .map(String::as_str)
        .chain(["2002:7f00:1::", "2002:7f00:1:a::b"])
    {
        assert_eq!(
            verdict(&everything(), text),
            Err(Never(AddressClass::Loopback)),
            "{text}"
        );
    }
    let nat64 = allow(&["64:ff9b::/96"]);
    assert_eq!(verdict(&nat64, "64:ff9b::8.8.8.8"), Ok(()));
    let private = Err(DefaultDeny(AddressClass::Private));
    assert_eq!(verdict(&nat64, "64:ff9b::10.0.0.1"), private);
    assert_eq!(
        verdict(&allow(&["10.0.0.0/8", "64:ff9b::/96"]), "64:ff9b::10.0.0.1"),
        Ok(())
    );
    let transition = Err(DefaultDeny(AddressClass::Transition));
    assert_eq!(
        verdict(&allow(&["10.0.0.0/8"]), "64:ff9b::10.0.0.1"),
        transition
    );
    let denied = PeerRules {
        deny: nets(&["8.8.8.0/24"]),
        ..nat64
    };
    assert_eq!(verdict(&denied, "64:ff9b::8.8.8.8"), Err(Denied));
}

/// coturn 4.16: IPv6 ranges were compared component by component.
#[test]
fn coturn_4_16_ipv6_ranges_are_compared_whole() {
    let rules = PeerRules {
        deny: nets(&["2a00:1:ff00::/40"]),
        ..PeerRules::default()
    };
    assert_eq!(verdict(&rules, "2a00:1:ff00::"), Err(Denied));
    assert_eq!(verdict(&rules, "2a00:1:ff05:1::2"), Err(Denied));
    assert_eq!(verdict(&rules, "2a00:1:feff:ffff::"), Ok(()));
    assert_eq!(verdict(&rules, "2a00:2::"), Ok(()));
}

/// The relay that reached a cloud's internal services (Slack, 2017).
#[test]
fn slack_internal_services_are_refused() {
    for text in ["169.254.169.254", "fe80::1"] {
        assert_eq!(
            verdict(&everything(), text),
            Err(Never(AddressClass::LinkLocal)),
            "{text}"
        );
    }
    for text in [
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
    ] {
        assert_eq!(
            verdict(&everything(), text),
            Err(Never(AddressClass::CloudMetadata)),
            "{text}"
        );
    }
    let rules = PeerRules::default();
    assert_eq!(
        verdict(&rules, "10.0.0.1"),
        Err(DefaultDeny(AddressClass::Private))
    );
    assert_eq!(
        verdict(&rules, "100.64.0.1"),
        Err(DefaultDeny(AddressClass::SharedCgnat))
    );
    assert_eq!(
        verdict(&rules, "fd12::1"),
        Err(DefaultDeny(AddressClass::UniqueLocal))
    );
}

#[test]
fn multicast_and_broadcast_are_never_peers() {
    let multicast = Err(Never(AddressClass::Multicast));
    assert_eq!(verdict(&everything(), "239.1.1.1"), multicast);
    assert_eq!(verdict(&everything(), "ff02::1"), multicast);
    let broadcast = Err(Never(AddressClass::Broadcast));
    assert_eq!(verdict(&everything(), "255.255.255.255"), broadcast);
}

#[test]
fn allow_lifts_the_default_and_deny_beats_allow() {
    let mut rules = allow(&["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(verdict(&rules, "10.9.8.7"), Ok(()));
    assert_eq!(verdict(&rules, "fd00::1"), Ok(()));
    assert_eq!(
        verdict(&rules, "192.168.0.1"),
        Err(DefaultDeny(AddressClass::Private))
    );
    rules.deny = nets(&["10.9.0.0/16", "8.8.8.8/32"]);
    assert_eq!(verdict(&rules, "10.9.8.7"), Err(Denied));
    assert_eq!(verdict(&rules, "10.8.8.7"), Ok(()));
    assert_eq!(verdict(&rules, "8.8.8.8"), Err(Denied));
}

#[test]
fn allow_only_permits_the_list_and_nothing_else() {
    let rules = PeerRules {
        allow_only: true,
        ..allow(&["10.1.0.0/16", "8.8.8.8/32"])
    };
    assert_eq!(verdict(&rules, "10.1.2.3"), Ok(()));
    assert_eq!(verdict(&rules, "8.8.8.8"), Ok(()));
    assert_eq!(verdict(&rules, "8.8.4.4"), Err(NotAllowed));
    assert_eq!(verdict(&rules, "10.2.0.1"), Err(NotAllowed));
    assert_eq!(
        verdict(&rules, "127.0.0.1"),
        Err(Never(AddressClass::Loopback))
    );
    let own = PeerRules {
        own: own::addresses(),
        ..rules
    };
    assert_eq!(
        PeerPolicy::new(own).check_ip(ip("93.184.0.5")),
        Err(NotAllowed)
    );
}

#[test]
fn allow_loopback_lifts_loopback_alone() {
    let rules = PeerRules {
        allow_loopback: true,
        ..PeerRules::default()
    };
    for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(verdict(&rules, text), Ok(()), "{text}");
    }
    assert_eq!(
        verdict(&rules, "0.0.0.0"),
        Err(Never(AddressClass::Unspecified))
    );
    assert_eq!(
        verdict(&rules, "169.254.169.254"),
        Err(Never(AddressClass::LinkLocal))
    );
    assert_eq!(
        verdict(&rules, "64:ff9b::127.0.0.1"),
        Err(DefaultDeny(AddressClass::Transition)),
        "a translator's loopback is not ours"
    );
    let rules = PeerRules {
        deny: nets(&["127.0.0.2/32"]),
        ..rules
    };
    assert_eq!(verdict(&rules, "127.0.0.2"), Err(Denied));
    let rules = PeerRules {
        allow_only: true,
        ..rules
    };
    assert_eq!(verdict(&rules, "127.0.0.1"), Err(NotAllowed));
}

#[test]
fn ports() {
    let peer = |port| SocketAddr::new(ip("8.8.8.8"), port);
    let policy = PeerPolicy::new(PeerRules::default());
    assert_eq!(policy.check(peer(0)), Err(PortZero));
    assert_eq!(policy.check(peer(1)), Ok(()));
    let strict = PeerPolicy::new(PeerRules {
        deny_ports_below_1024: true,
        ..PeerRules::default()
    });
    assert_eq!(strict.check(peer(0)), Err(PortZero));
    assert_eq!(strict.check(peer(1023)), Err(LowPort));
    assert_eq!(strict.check(peer(1024)), Ok(()));
    assert_eq!(strict.check_ip(ip("8.8.8.8")), Ok(()));
}

#[test]
fn refusals_explain_themselves() {
    let hint = DefaultDeny(AddressClass::Private).to_string();
    assert!(
        hint.contains("private") && hint.contains("`peers.allow`"),
        "{hint}"
    );
    assert!(
        !Never(AddressClass::Loopback)
            .to_string()
            .contains("peers.allow")
    );
    let all = [
        Never(AddressClass::Loopback),
        DefaultDeny(AddressClass::Private),
        Denied,
        NotAllowed,
        OwnAddress,
        OwnSocket,
        PortZero,
        LowPort,
    ];
    let labels: std::collections::HashSet<_> = all.iter().map(|refusal| refusal.label()).collect();
    assert_eq!(labels.len(), all.len());
}
