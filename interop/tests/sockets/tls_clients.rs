//! Certificates of `openssl s_client`: asked for, required, of a foreign authority.

use wharf::config::{ClientAuth, Pem};
use wharf::{Closed, Refusal};

use crate::pki::{Authority, Leaf};
use crate::served::Served;
use crate::tls::{assert_writes, listen, s_client};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

fn asking(ca: &Authority, auth: ClientAuth) -> Served {
    Served::shouting(listen(ca).with(|config| {
        config.tls.client_auth = auth;
        config.tls.client_ca = vec![Pem::File(ca.file())];
    }))
}

fn showing(version: &str, leaf: &Leaf) -> String {
    format!(
        "{version} -cert {} -key {}",
        leaf.cert.display(),
        leaf.key.display()
    )
}

#[test]
fn who_the_client_is_can_be_seen() {
    let ca = Authority::new();
    let alice = ca.issue("alice.example");
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let served = asking(&ca, auth);
        for version in VERSIONS {
            let client = s_client(&served, &ca.file(), &showing(version, &alice));
            assert_writes(
                &client,
                &["Acceptable client certificate CA names", "AHOY\n"],
            );
            let seen = served.seen();
            let peer = seen.tls().peer.as_ref().expect("a certificate");
            assert_eq!(peer.common_name.as_deref(), Some("alice.example"));
            assert_eq!(peer.dns_names, ["alice.example"]);
            served.seen();
        }
        assert_eq!(served.finish().closed(Closed::Finished), 2);
    }
}

#[test]
fn without_a_certificate_it_depends() {
    let ca = Authority::new();
    for version in VERSIONS {
        let served = asking(&ca, ClientAuth::Optional);
        assert_writes(&s_client(&served, &ca.file(), version), &["AHOY\n"]);
        assert_eq!(served.seen().tls().peer, None);
        served.seen();
        assert_eq!(served.finish().closed(Closed::Finished), 1);

        let served = asking(&ca, ClientAuth::Required);
        let client = s_client(&served, &ca.file(), version);
        assert!(!client.status.success(), "{}", client.output);
        // certificate_required (RFC 8446 section 6.2); TLS 1.2 has no such alert, but the number
        // is the same.
        assert_writes(&client, &["SSL alert number 116"]);
        assert_eq!(served.finish().refused(Refusal::Tls), 1);
    }
}

#[test]
fn a_certificate_of_a_foreign_authority_is_refused() {
    let (ca, foreign) = (Authority::new(), Authority::new());
    let mallory = foreign.issue("alice.example");
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let served = asking(&ca, auth);
        for version in VERSIONS {
            let client = s_client(&served, &ca.file(), &showing(version, &mallory));
            assert!(!client.status.success(), "{}", client.output);
            assert_writes(&client, &["alert"]);
        }
        let stats = served.finish();
        assert_eq!((stats.accepted, stats.refused(Refusal::Tls)), (0, 2));
    }
}
