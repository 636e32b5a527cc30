//! Who the peer of a connection is (RFC 5922).

use wharf::tls::PeerIdentity;
use wharf_sip::identity::{CertificateNames, Identities};

/// The SIP domains that a certificate proves its holder to speak for (RFC 5922 §7.1). Its chain is to be
/// verified before.
pub fn identities(peer: &PeerIdentity) -> Identities {
    let uris: Vec<&str> = peer.uris.iter().map(String::as_str).collect();
    let dns: Vec<&str> = peer.dns_names.iter().map(String::as_str).collect();
    Identities::of(&CertificateNames {
        has_alternatives: peer.has_alternative_names,
        uris: &uris,
        dns: &dns,
        common_name: peer.common_name.as_deref(),
    })
}
