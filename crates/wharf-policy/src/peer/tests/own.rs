//! The server's own addresses as peers.

use super::*;

/// A server with a public relay address, one in the LAN, and an interface that relays nothing.
pub(super) fn addresses() -> OwnAddresses {
    OwnAddresses {
        interfaces: ["93.184.0.5", "93.184.0.6", "10.0.0.5", "::ffff:93.184.0.7"]
            .map(ip)
            .into(),
        sockets: [
            "0.0.0.0:3478",
            "93.184.0.5:50000",
            "[::1]:9478",
            "203.0.113.9:443",
        ]
        .map(|socket| socket.parse().unwrap())
        .into(),
        relays: vec![
            (ip("93.184.0.5"), 49_152..=65_535),
            (ip("93.184.0.5"), 20_000..=20_999),
            (ip("10.0.0.5"), 49_152..=65_535),
            (ip("2a00::5"), 49_152..=65_535),
        ],
    }
}

#[track_caller]
fn at(rules: &PeerRules, peer: &str) -> Result<(), PeerRefusal> {
    PeerPolicy::new(rules.clone()).check(peer.parse().unwrap())
}

/// X9: two clients of this server meet at its relay addresses; its listeners stay out of reach.
#[test]
fn x9_hairpin_reaches_relay_ports_only() {
    let rules = PeerRules {
        own: addresses(),
        ..PeerRules::default()
    };
    for peer in [
        "93.184.0.5:49152",
        "93.184.0.5:20500",
        "10.0.0.5:65535",
        "[2a00::5]:60000",
    ] {
        assert_eq!(at(&rules, peer), Ok(()), "{peer}");
    }
    for peer in [
        "93.184.0.5:49151",
        "10.0.0.5:20500",
        "[2a00::5]:80",
        "[::ffff:10.0.0.5]:22",
    ] {
        assert_eq!(at(&rules, peer), Err(OwnAddress), "{peer}");
    }
    for peer in [
        "93.184.0.5:3478",
        "93.184.0.5:50000",
        "93.184.0.6:3478",
        "[2a00::5]:3478",
    ] {
        assert_eq!(at(&rules, peer), Err(OwnSocket), "{peer}");
    }
    let policy = PeerPolicy::new(rules);
    for text in ["93.184.0.5", "10.0.0.5", "2a00::5", "::ffff:93.184.0.5"] {
        assert_eq!(policy.check_ip(ip(text)), Ok(()), "{text}");
    }
    assert_eq!(
        policy.check_ip(ip("10.0.0.6")),
        Err(DefaultDeny(AddressClass::Private))
    );
}

#[test]
fn own_interfaces_are_refused_whatever_is_allowed() {
    for rules in [PeerRules::default(), everything()] {
        let rules = PeerRules {
            own: addresses(),
            ..rules
        };
        for text in ["93.184.0.6", "93.184.0.7", "::ffff:93.184.0.6"] {
            assert_eq!(verdict(&rules, text), Err(OwnAddress), "{text}");
        }
    }
    let rules = PeerRules {
        own: addresses(),
        ..everything()
    };
    assert_eq!(verdict(&rules, "64:ff9b::93.184.0.6"), Err(OwnAddress));
    assert_eq!(
        at(&rules, "93.184.1.1:3478"),
        Ok(()),
        "a wildcard listener is not everywhere"
    );
    assert_eq!(at(&rules, "203.0.113.9:443"), Err(OwnSocket));
    assert_eq!(at(&rules, "203.0.113.9:444"), Err(OwnAddress));
}

#[test]
fn rules_hold_for_own_relay_addresses() {
    let rules = PeerRules {
        own: addresses(),
        deny: nets(&["93.184.0.0/24"]),
        ..PeerRules::default()
    };
    assert_eq!(at(&rules, "93.184.0.5:49152"), Err(Denied));
    let mut own = addresses();
    own.relays.push((ip("fe80::5"), 49_152..=65_535));
    let rules = PeerRules {
        own,
        ..everything()
    };
    assert_eq!(
        at(&rules, "[fe80::5]:50000"),
        Err(Never(AddressClass::LinkLocal))
    );
}

#[test]
fn own_loopback_in_development() {
    let own = OwnAddresses {
        interfaces: ["127.0.0.1", "::1"].map(ip).into(),
        sockets: vec![
            "127.0.0.1:3478".parse().unwrap(),
            "[::]:9478".parse().unwrap(),
        ],
        relays: vec![(ip("127.0.0.1"), 49_152..=65_535)],
    };
    let rules = PeerRules {
        allow_loopback: true,
        own,
        ..PeerRules::default()
    };
    for peer in [
        "127.0.0.1:50000",
        "127.0.0.1:5000",
        "[::1]:5000",
        "127.0.0.2:5000",
    ] {
        assert_eq!(at(&rules, peer), Ok(()), "{peer}");
    }
    for peer in [
        "127.0.0.1:3478",
        "127.0.0.1:9478",
        "127.8.8.8:9478",
        "[::1]:9478",
    ] {
        assert_eq!(at(&rules, peer), Err(OwnSocket), "{peer}");
    }
    let hardened = PeerRules {
        allow_loopback: false,
        ..rules
    };
    assert_eq!(
        at(&hardened, "127.0.0.1:50000"),
        Err(Never(AddressClass::Loopback))
    );
}
