//! Who the peer of a connection is (RFC 5922).

use wharf::Connection;
use wharf::tls::PeerIdentity;
use wharf_sip::Domain;
use wharf_sip::identity::{CertificateNames, Identities, Side};

/// The key purposes that a certificate may be for in place of those of TLS, by their OIDs: id-kp-sipDomain
/// (RFC 5924 §4.1) and anyExtendedKeyUsage. A [`Dialer`](crate::Dialer) accepts them; a listener that asks for
/// certificates has them in its `tls.client-purposes`.
pub const PURPOSES: [&str; 2] = ["1.3.6.1.5.5.7.3.20", "2.5.29.37.0"];

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

/// A peer that has shown a certificate, read once for its connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) identities: Identities,
    /// Which side of the connection it is on.
    pub(crate) side: Side,
    /// The domain of ours that it has asked for by SNI.
    pub(crate) asked: Option<Domain>,
}

impl Peer {
    /// The peer on this side of a connection; `None` where it has shown no certificate.
    pub(crate) fn of(connection: &Connection, side: Side) -> Option<Box<Self>> {
        let tls = connection.tls()?;
        let asked = tls.server_name.as_deref().filter(|_| side == Side::Client);
        Some(Box::new(Self {
            identities: identities(tls.peer.as_deref()?),
            side,
            asked: asked.and_then(|name| name.parse().ok()),
        }))
    }
}
