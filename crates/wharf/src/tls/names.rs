//! Which certificate belongs to which server name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::pki_types::DnsName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by server name, with one default.
///
/// An exact name goes before a wildcard, and a wildcard stands for exactly one label (RFC 6125
/// §6.4.3). Several certificates may have one name, such as an ECDSA and an RSA one: a client
/// gets the first whose key can sign in a way that it knows.
#[derive(Debug)]
pub(super) struct CertificateMap {
    /// None where clients are known by pre-shared keys alone.
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Whether the default one is kept from clients whose name matches nothing.
    strict: bool,
}

impl CertificateMap {
    pub(super) fn new(default: Option<Arc<CertifiedKey>>, strict: bool) -> Self {
        Self {
            default,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            strict,
        }
    }

    /// Adds a certificate under a name for which [`is_pattern`] holds, after those that are there.
    pub(super) fn add(&mut self, pattern: &str, key: &Arc<CertifiedKey>) {
        let pattern = pattern.to_ascii_lowercase();
        let keys = match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcard.entry(suffix.to_owned()).or_default(),
            None => self.exact.entry(pattern).or_default(),
        };
        keys.push(Arc::clone(key));
    }

    fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.to_ascii_lowercase();
        let keys = self.exact.get(&name).or_else(|| {
            let (_, suffix) = name.split_once('.')?;
            self.wildcard.get(suffix)
        })?;
        Some(keys)
    }

    /// Whether a client that asks for this name (or for none) is served.
    pub(super) fn serves(&self, name: Option<&str>) -> bool {
        !self.strict || name.is_some_and(|name| self.named(name).is_some())
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let Some(keys) = name.and_then(|name| self.named(name)) else {
            return self.default.clone().filter(|_| !self.strict);
        };
        keys.iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or(keys.first())
            .cloned()
    }
}

impl ResolvesServerCert for CertificateMap {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// Whether this is a host name, or `*.` and a host name.
pub(super) fn is_pattern(name: &str) -> bool {
    DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

/// Whether a certificate with these DNS names is good for `pattern`.
pub(super) fn covers(dns_names: &[String], pattern: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let wildcard = pattern
        .split_once('.')
        .map(|(_, suffix)| format!("*.{suffix}"));
    dns_names
        .iter()
        .any(|name| *name == pattern || Some(name) == wildcard.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Authority, Leaf};

    fn key(name: &str) -> Arc<CertifiedKey> {
        Authority::new("ca")
            .issue(&Leaf::named(name, &[name]))
            .certified()
    }

    fn chosen(map: &CertificateMap, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        map.choose(name, &[SignatureScheme::ECDSA_NISTP256_SHA256])
    }

    #[test]
    fn exact_goes_before_wildcard_and_both_before_the_default() {
        let (default, exact, wild) = (key("d.example"), key("a.b.example"), key("*.b.example"));
        let mut map = CertificateMap::new(Some(Arc::clone(&default)), false);
        map.add("*.B.example", &wild);
        map.add("A.b.example", &exact);
        let is = |name, key: &Arc<CertifiedKey>| {
            assert!(Arc::ptr_eq(&chosen(&map, name).unwrap(), key), "{name:?}");
        };
        is(Some("a.b.example"), &exact);
        is(Some("a.B.EXAMPLE"), &exact);
        is(Some("x.b.example"), &wild);
        // A wildcard stands for exactly one label.
        is(Some("b.example"), &default);
        is(Some("x.y.b.example"), &default);
        is(Some("other"), &default);
        is(None, &default);
    }

    #[test]
    fn strict_keeps_the_default_back() {
        let only = key("a.example");
        let mut map = CertificateMap::new(Some(Arc::clone(&only)), true);
        map.add("a.example", &only);
        assert!(map.serves(Some("a.example")) && chosen(&map, Some("a.example")).is_some());
        for name in [Some("b.example"), None] {
            assert!(!map.serves(name) && chosen(&map, name).is_none());
        }
    }

    #[test]
    fn of_two_keys_the_client_gets_one_that_it_knows() {
        let (ecdsa, ed25519) = (
            key("a.example"),
            Authority::new("ca")
                .issue(&Leaf::named("a", &["a.example"]).ed25519())
                .certified(),
        );
        let mut map = CertificateMap::new(Some(Arc::clone(&ecdsa)), false);
        map.add("a.example", &ecdsa);
        map.add("a.example", &ed25519);
        let choice = |schemes| map.choose(Some("a.example"), schemes).unwrap();
        let (first, second) = (
            choice(&[SignatureScheme::ECDSA_NISTP256_SHA256]),
            choice(&[SignatureScheme::ED25519]),
        );
        assert!(Arc::ptr_eq(&first, &ecdsa) && Arc::ptr_eq(&second, &ed25519));
    }

    #[test]
    fn coverage_follows_the_wildcard_rule() {
        let names = ["a.example".to_owned(), "*.b.example".to_owned()];
        for covered in ["a.example", "A.example", "x.b.example", "*.b.example"] {
            assert!(covers(&names, covered), "{covered}");
        }
        for other in ["b.example", "x.y.b.example", "*.a.example", "c.example"] {
            assert!(!covers(&names, other), "{other}");
        }
    }

    #[test]
    fn patterns_are_host_names() {
        assert!(is_pattern("a.example") && is_pattern("*.a.example"));
        for bad in ["", "*", "*.", "a.*.example", "*a.example", "a b", "-"] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }
}
