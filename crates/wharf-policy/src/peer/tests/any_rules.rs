//! What holds under any rules.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn any_ip() -> impl Strategy<Value = IpAddr> {
    let near = (0usize..8, any::<u8>()).prop_map(|(which, low)| {
        let v4 = [[10, 0, 0], [127, 0, 0], [8, 8, 8], [93, 184, 0]][which % 4];
        Ipv4Addr::new(v4[0], v4[1], v4[2], low)
    });
    (near, 0usize..5).prop_map(|(v4, form)| match form {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        2 => Ipv6Addr::from_bits(0x64_ff9b << 96 | u128::from(v4.to_bits())).into(),
        3 => Ipv6Addr::from_bits(0x2002 << 112 | u128::from(v4.to_bits()) << 80).into(),
        _ => Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(v4.octets()[3])).into(),
    })
}

proptest! {
    /// Whatever the rules, a peer that is permitted leads to nothing that is refused: the forms of
    /// one IPv4 address are never more open than the address itself, and no rule lifts `Never`.
    #[test]
    fn no_form_of_an_address_is_more_open_than_the_address(
        peer in any_ip(),
        allow_bits in 0u8..64,
        deny_bits in 0u8..16,
        allow_only in any::<bool>(),
    ) {
        let pick = |bits: u8, list: &[&str]| {
            let chosen = list.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
            nets(&chosen.map(|(_, net)| *net).collect::<Vec<_>>())
        };
        let ranges =
            ["10.0.0.0/25", "127.0.0.0/8", "8.8.8.0/24", "64:ff9b::/96", "2002::/16", "::/0"];
        let rules = PeerRules {
            allow: pick(allow_bits, &ranges),
            deny: pick(deny_bits, &["10.0.0.0/26", "8.8.8.8/29", "2a00::80/121", "2002:800::/24"]),
            allow_only,
            own: own::addresses(),
            ..PeerRules::default()
        };
        let policy = PeerPolicy::new(rules.clone());
        if policy.check_ip(peer).is_ok() {
            prop_assert!(classify(peer).tier() != Tier::Never);
            prop_assert!(!rules.deny.iter().any(|net| net.contains(&canonical(peer))));
            if let IpAddr::V6(v6) = peer && let Some(v4) = embedded_v4(v6) {
                prop_assert_eq!(policy.check_ip(v4.into()), Ok(()));
            }
            if allow_only {
                prop_assert!(rules.allow.iter().any(|net| net.contains(&canonical(peer))));
            }
        }
        if policy.check(SocketAddr::new(peer, 40_000)).is_ok() {
            prop_assert_eq!(policy.check_ip(peer), Ok(()), "a port never opens an address");
        }
    }
}
