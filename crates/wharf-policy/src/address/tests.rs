use super::*;
use AddressClass as C;
use ipnet::IpNet;
use proptest::prelude::*;

/// The registry as ranges, the most specific first: what `classify` is measured against.
const REGISTRY: &[(&str, AddressClass)] = &[
    ("100.100.100.200/32", C::CloudMetadata),
    ("168.63.129.16/32", C::CloudMetadata),
    ("192.0.0.192/32", C::CloudMetadata),
    ("255.255.255.255/32", C::Broadcast),
    ("0.0.0.0/8", C::Unspecified),
    ("10.0.0.0/8", C::Private),
    ("100.64.0.0/10", C::SharedCgnat),
    ("127.0.0.0/8", C::Loopback),
    ("169.254.0.0/16", C::LinkLocal),
    ("172.16.0.0/12", C::Private),
    ("192.0.0.0/24", C::Reserved),
    ("192.0.2.0/24", C::Documentation),
    ("192.88.99.0/24", C::Transition),
    ("192.168.0.0/16", C::Private),
    ("198.18.0.0/15", C::Benchmarking),
    ("198.51.100.0/24", C::Documentation),
    ("203.0.113.0/24", C::Documentation),
    ("224.0.0.0/4", C::Multicast),
    ("240.0.0.0/4", C::Reserved),
    ("0.0.0.0/0", C::Global),
    ("::/128", C::Unspecified),
    ("::1/128", C::Loopback),
    ("::/96", C::Transition),
    ("::ffff:0:0:0/96", C::Transition),
    ("64:ff9b::/96", C::Transition),
    ("64:ff9b:1::/48", C::Transition),
    ("2001::/32", C::Transition),
    ("2001:2::/48", C::Benchmarking),
    ("2001::/23", C::Reserved),
    ("2001:db8::/32", C::Documentation),
    ("2002::/16", C::Transition),
    ("3fff::/20", C::Documentation),
    ("2000::/3", C::Global),
    ("fd00:ec2::254/128", C::CloudMetadata),
    ("fd20:ce::254/128", C::CloudMetadata),
    ("fd00:42::42/128", C::CloudMetadata),
    ("fc00::/7", C::UniqueLocal),
    ("fe80::/10", C::LinkLocal),
    ("fec0::/10", C::UniqueLocal),
    ("ff00::/8", C::Multicast),
    ("::/0", C::Reserved),
];

fn registry() -> Vec<(IpNet, AddressClass)> {
    REGISTRY
        .iter()
        .map(|(net, class)| (net.parse().unwrap(), *class))
        .collect()
}

fn scan(registry: &[(IpNet, AddressClass)], ip: IpAddr) -> AddressClass {
    registry
        .iter()
        .find(|(net, _)| net.contains(&ip))
        .unwrap()
        .1
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The address itself and its neighbours, within the family.
fn around(ip: IpAddr) -> [IpAddr; 3] {
    match ip {
        IpAddr::V4(ip) => [
            ip.to_bits().wrapping_sub(1),
            ip.to_bits(),
            ip.to_bits().wrapping_add(1),
        ]
        .map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(ip) => [
            ip.to_bits().wrapping_sub(1),
            ip.to_bits(),
            ip.to_bits().wrapping_add(1),
        ]
        .map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn is_mapped(ip: IpAddr) -> bool {
    canonical(ip) != ip
}

#[test]
fn every_edge_of_the_registry() {
    let registry = registry();
    for (net, _) in &registry {
        for ip in around(net.network())
            .into_iter()
            .chain(around(net.broadcast()))
        {
            if !is_mapped(ip) {
                assert_eq!(classify(ip), scan(&registry, ip), "{ip}");
            }
        }
    }
}

#[test]
fn tiers_of_the_recommended_list() {
    let never = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "100.100.100.200",
        "168.63.129.16",
    ];
    let default_deny = [
        "10.0.0.1",
        "100.64.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "::8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
        "4000::1",
    ];
    let open = [
        "1.1.1.1",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2a00::1",
        "::ffff:8.8.8.8",
    ];
    for (tier, list) in [
        (Tier::Never, &never[..]),
        (Tier::DefaultDeny, &default_deny),
        (Tier::Open, &open),
    ] {
        for text in list {
            assert_eq!(classify(ip(text)).tier(), tier, "{text}");
        }
    }
}

#[test]
fn canonical_form_is_ipv4_for_mapped_only() {
    assert_eq!(canonical(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    assert_eq!(canonical(ip("::192.0.2.1")), ip("::192.0.2.1"));
    assert_eq!(
        canonical(ip("2a00::ffff:192.0.2.1")),
        ip("2a00::ffff:192.0.2.1")
    );
}

#[test]
fn embedded_addresses() {
    let cases = [
        ("::10.1.2.3", Some("10.1.2.3")),
        ("::ffff:10.1.2.3", Some("10.1.2.3")),
        ("::ffff:0:10.1.2.3", Some("10.1.2.3")),
        ("64:ff9b::10.1.2.3", Some("10.1.2.3")),
        ("2002:a01:203::", Some("10.1.2.3")),
        ("2002:a01:203:ffff:1::9", Some("10.1.2.3")),
        ("::2", Some("0.0.0.2")),
        ("::", None),
        ("::1", None),
        ("2001::f5fe:fdfc", None),
        ("64:ff9b:1::10.1.2.3", None),
        ("2a00::10.1.2.3", None),
    ];
    for (text, embedded) in cases {
        let found = embedded_v4(text.parse().unwrap());
        assert_eq!(found.map(IpAddr::V4), embedded.map(ip), "{text}");
    }
}

#[test]
fn labels_are_distinct() {
    let classes: std::collections::HashSet<_> = REGISTRY.iter().map(|(_, class)| *class).collect();
    let labels: std::collections::HashSet<_> = classes.iter().map(|class| class.label()).collect();
    assert_eq!((classes.len(), labels.len()), (14, 14));
}

proptest! {
    #[test]
    fn ipv4_agrees_with_a_scan(bits in any::<u32>()) {
        let ip = IpAddr::from(Ipv4Addr::from_bits(bits));
        prop_assert_eq!(classify(ip), scan(&registry(), ip));
    }

    /// Bits below the prefix of some range, so that every range is met.
    #[test]
    fn ipv6_agrees_with_a_scan(row in 0..REGISTRY.len(), bits in any::<u128>()) {
        let registry = registry();
        let ip = match registry[row].0 {
            IpNet::V4(_) => Ipv6Addr::from_bits(bits),
            IpNet::V6(net) => {
                let host = net.hostmask().to_bits();
                Ipv6Addr::from_bits(net.network().to_bits() | bits & host)
            }
        };
        let ip = IpAddr::from(ip);
        prop_assume!(!is_mapped(ip));
        prop_assert_eq!(classify(ip), scan(&registry, ip));
    }

    #[test]
    fn mapped_is_classified_as_ipv4(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(classify(v4.to_ipv6_mapped().into()), classify(v4.into()));
    }
}
