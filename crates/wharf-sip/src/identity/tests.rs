use super::*;

const NONE: CertificateNames<'_> = CertificateNames {
    has_alternatives: true,
    uris: &[],
    dns: &[],
    common_name: None,
};

fn proves(names: CertificateNames<'_>, domain: &str, wildcards: Wildcards) -> bool {
    Identities::of(&names).prove(&domain.parse().unwrap(), wildcards)
}

#[test]
fn rfc5922_7_1_the_names_that_count() {
    let sip = CertificateNames {
        uris: &["sip:example.com"],
        ..NONE
    };
    let both = CertificateNames {
        dns: &["example.net"],
        ..sip
    };
    let user = CertificateNames {
        uris: &["sip:alice@example.com"],
        dns: &["example.net"],
        ..NONE
    };
    let sips = CertificateNames {
        uris: &["sips:example.com"],
        ..NONE
    };
    let web = CertificateNames {
        uris: &["https://example.com", "im:example.com"],
        ..NONE
    };
    let ip = CertificateNames {
        uris: &["sip:192.0.2.1"],
        dns: &["192.0.2.1", "example.net"],
        ..NONE
    };
    let common = CertificateNames {
        has_alternatives: false,
        common_name: Some("example.com"),
        ..NONE
    };
    let hidden = CertificateNames {
        has_alternatives: true,
        ..common
    };
    let several = CertificateNames {
        uris: &["im:a", "sip:one.example", "SIP:Two.Example"],
        ..NONE
    };
    let cases = [
        (sip, "example.com", true),
        (sip, "EXAMPLE.COM", true),
        (sip, "example.net", false),
        (both, "example.com", true),
        (both, "example.net", false),
        // A user is no domain, and then DNS names count.
        (user, "example.com", false),
        (user, "example.net", true),
        (sips, "example.com", false),
        (web, "example.com", false),
        (ip, "example.net", true),
        (common, "example.com", true),
        (hidden, "example.com", false),
        (several, "one.example", true),
        (several, "two.example", true),
        (NONE, "example.com", false),
    ];
    for (names, domain, expected) in cases {
        assert_eq!(
            proves(names, domain, Wildcards::Refuse),
            expected,
            "{names:?} {domain}"
        );
        assert_eq!(
            proves(names, domain, Wildcards::OneLabel),
            expected,
            "{names:?} {domain}"
        );
    }
    assert!(Identities::of(&NONE).is_empty());
    assert_eq!(Identities::of(&several).domains().len(), 2);
}

#[test]
fn rfc5922_7_2_a_domain_proves_nothing_about_its_neighbours() {
    let names = CertificateNames {
        dns: &["example.com"],
        ..NONE
    };
    for domain in [
        "sip.example.com",
        "com",
        "notexample.com",
        "example.com.evil.example",
    ] {
        assert!(!proves(names, domain, Wildcards::OneLabel), "{domain}");
    }
}

#[test]
fn rfc5922_7_2_no_wildcards_unless_asked_for() {
    let star = CertificateNames {
        dns: &["*.example.com"],
        ..NONE
    };
    assert!(!proves(star, "sip.example.com", Wildcards::default()));
    let cases = [
        ("sip.example.com", true),
        ("example.com", false),
        ("a.b.example.com", false),
        ("sip.example.net", false),
    ];
    for (domain, expected) in cases {
        assert_eq!(
            proves(star, domain, Wildcards::OneLabel),
            expected,
            "{domain}"
        );
    }
    // Nowhere else than in front of a DNS name, and not beside a SIP domain.
    for names in [
        CertificateNames {
            dns: &["s*.example.com", "sip.*.com", "*"],
            ..NONE
        },
        CertificateNames {
            uris: &["sip:*.example.com"],
            ..NONE
        },
        CertificateNames {
            uris: &["sip:example.net"],
            ..star
        },
        CertificateNames {
            has_alternatives: false,
            common_name: Some("*.example.com"),
            ..NONE
        },
    ] {
        assert!(
            !proves(names, "sip.example.com", Wildcards::OneLabel),
            "{names:?}"
        );
    }
    assert!(!Identities::of(&star).is_empty());
    assert!(Identities::of(&star).domains().is_empty());
}

#[test]
fn names_of_one_certificate_are_bounded() {
    let names: Vec<_> = (0..1000)
        .map(|number| format!("n{number}.example"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let identities = Identities::of(&CertificateNames {
        dns: &names,
        ..NONE
    });
    assert_eq!(identities.domains().len(), MAX_NAMES);
}

#[test]
fn rfc5924_the_sip_purpose_is_accepted_and_not_required() {
    use purpose::{ANY, CLIENT_AUTH, SERVER_AUTH, SIP_DOMAIN};
    const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
    type Purposes = Option<&'static [&'static [u8]]>;
    let cases: [(Purposes, bool, bool); 8] = [
        (None, true, true),
        (Some(&[SIP_DOMAIN]), true, true),
        (Some(&[ANY]), true, true),
        (Some(&[SERVER_AUTH]), true, false),
        (Some(&[CLIENT_AUTH]), false, true),
        (Some(&[CODE_SIGNING, SERVER_AUTH, CLIENT_AUTH]), true, true),
        (Some(&[CODE_SIGNING]), false, false),
        (Some(&[]), false, false),
    ];
    for (purposes, server, client) in cases {
        assert_eq!(suits(purposes, Side::Server), server, "{purposes:?}");
        assert_eq!(suits(purposes, Side::Client), client, "{purposes:?}");
    }
}
