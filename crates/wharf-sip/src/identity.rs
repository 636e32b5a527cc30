//! Who a peer is by its certificate: the domain rules of RFC 5922, and the key usage of RFC 5924.
//!
//! The chain has been verified before; here its names are read. They are stricter than those of the
//! Web: a name with `*` proves nothing, and DNS names count only where the certificate names no SIP
//! domain.
//!
//! ```
//! use wharf_sip::identity::{CertificateNames, Identities, Wildcards};
//!
//! let names = CertificateNames {
//!     has_alternatives: true,
//!     uris: &["sip:example.com"],
//!     dns: &["sip1.example.com"],
//!     common_name: None,
//! };
//! let identities = Identities::of(&names);
//! let proves = |domain: &str| identities.prove(&domain.parse().unwrap(), Wildcards::Refuse);
//! assert!(proves("example.com"));
//! assert!(!proves("sip1.example.com"), "there is a SIP domain beside it");
//! ```

use std::sync::Arc;

use crate::{Domain, Host, Scheme, Uri};

/// Names of one certificate that are used at most; further ones prove nothing.
const MAX_NAMES: usize = 256;

/// The names in a certificate, as its parser gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateNames<'a> {
    /// Whether the extension subjectAltName is there, with whatever in it.
    pub has_alternatives: bool,
    /// Its values of the kind uniformResourceIdentifier.
    pub uris: &'a [&'a str],
    /// Its values of the kind dNSName.
    pub dns: &'a [&'a str],
    /// The common name of the subject. Used only without subjectAltName.
    pub common_name: Option<&'a str>,
}

/// Whether a DNS name `*.example.com` in a certificate proves `a.example.com`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wildcards {
    /// It does not: "MUST NOT" (RFC 5922 §7.2).
    #[default]
    Refuse,
    /// It does, for one label in place of the `*`: against RFC 5922, for peers that have certificates
    /// made for the Web.
    OneLabel,
}

/// The domains that a certificate proves its holder to speak for. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    domains: Arc<[Domain]>,
    /// What stands behind `*.` in DNS names.
    wildcards: Arc<[Domain]>,
}

impl Identities {
    /// Reads the names by RFC 5922 §7.1: the hosts of SIP URIs without a user part; without any, the
    /// DNS names; without subjectAltName at all, the common name.
    pub fn of(names: &CertificateNames<'_>) -> Self {
        let sip: Arc<[Domain]> = names
            .uris
            .iter()
            .filter_map(|uri| domain_of(uri))
            .take(MAX_NAMES)
            .collect();
        if !sip.is_empty() {
            return Self {
                domains: sip,
                wildcards: Arc::default(),
            };
        }
        let common_name = names.common_name.filter(|_| !names.has_alternatives);
        let plain = names.dns.iter().copied().chain(common_name).take(MAX_NAMES);
        let stars = names
            .dns
            .iter()
            .filter_map(|name| name.strip_prefix("*."))
            .take(MAX_NAMES);
        Self {
            domains: plain.filter_map(|name| name.parse().ok()).collect(),
            wildcards: stars.filter_map(|name| name.parse().ok()).collect(),
        }
    }

    /// Whether they prove this domain: the one a request was for *before* NAPTR and SRV (RFC 5922
    /// §7.3). Compared as a whole: a domain proves nothing about the names below it (§7.2).
    pub fn prove(&self, domain: &Domain, wildcards: Wildcards) -> bool {
        let parent = domain.as_str().split_once('.').map(|(_, parent)| parent);
        let below = |star: &Domain| parent == Some(star.as_str());
        self.domains.contains(domain)
            || wildcards == Wildcards::OneLabel && self.wildcards.iter().any(below)
    }

    /// The domains, without those a wildcard would stand for.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Whether the holder has shown no domain at all: it is not authenticated.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.wildcards.is_empty()
    }
}

/// The domain that a URI in a certificate names: that of a `sip` URI without a user part. One with a
/// user part is a user, and one of another scheme something else (RFC 5922 §7.1).
fn domain_of(uri: &str) -> Option<Domain> {
    match Uri::parse(uri.as_bytes()).ok()? {
        Uri {
            scheme: Scheme::Sip,
            user: None,
            host: Host::Name(name),
            ..
        } => name.parse().ok(),
        _ => None,
    }
}

/// The key purposes of RFC 5280 §4.2.1.12 and RFC 5924, as the content of their DER.
pub mod purpose {
    /// id-kp-sipDomain, 1.3.6.1.5.5.7.3.20 (RFC 5924 §3).
    pub const SIP_DOMAIN: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 20];
    /// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1.
    pub const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    /// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
    pub const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    /// anyExtendedKeyUsage, 2.5.29.37.0.
    pub const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];
}

/// The side that a peer is on in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It was connected to.
    Server,
    /// It has connected.
    Client,
}

/// Whether a certificate may be used for SIP on this side, by the purposes in its extended key usage;
/// `None` for a certificate without that extension. id-kp-sipDomain is accepted, and not required
/// (RFC 5924 §4.1): certificates made for TLS in general do.
pub fn suits(purposes: Option<&[&[u8]]>, side: Side) -> bool {
    let of_side = match side {
        Side::Server => purpose::SERVER_AUTH,
        Side::Client => purpose::CLIENT_AUTH,
    };
    let fits = |one: &&[u8]| [purpose::SIP_DOMAIN, purpose::ANY, of_side].contains(one);
    purposes.is_none_or(|purposes| purposes.iter().any(fits))
}

#[cfg(test)]
mod tests;
