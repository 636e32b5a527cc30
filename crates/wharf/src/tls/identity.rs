//! Who a certificate is for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rustls::pki_types::DnsName;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// SHA-256 of a certificate in DER. Shown as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A certificate that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid certificate: {0}")]
pub struct InvalidCertificate(String);

/// The identity in a certificate (RFC 5280 §4.1 and §4.2.1.6). It is to be trusted as far as the
/// certificate was verified.
///
/// ```
/// # fn show(peer: &wharf::tls::PeerIdentity) {
/// let who = peer.common_name.as_deref().unwrap_or("unnamed");
/// println!("{who}, sha256 {}", peer.fingerprint);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The subject as text: `C=DE, O=Example, CN=alice`.
    pub subject: String,
    /// The first common name of the subject.
    pub common_name: Option<String>,
    /// Whether it has alternative names at all, of whatever kind.
    pub has_alternative_names: bool,
    /// DNS names among the alternative names, in lower case.
    pub dns_names: Vec<String>,
    /// IP addresses among them.
    pub ip_addresses: Vec<IpAddr>,
    /// URIs among them.
    pub uris: Vec<String>,
    /// E-mail addresses among them.
    pub emails: Vec<String>,
    /// The serial number in lowercase hexadecimal, bytes parted by colons.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// The certificate is valid from here.
    pub not_before: SystemTime,
    /// It is valid up to here.
    pub not_after: SystemTime,
}

impl PeerIdentity {
    /// Reads a certificate in DER. Nothing is verified.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let invalid = |error: &dyn fmt::Display| InvalidCertificate(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| invalid(&error))?;
        let mut identity = Self {
            subject: certificate.subject().to_string(),
            common_name: certificate
                .subject()
                .iter_common_name()
                .find_map(|name| name.as_str().ok())
                .map(str::to_owned),
            has_alternative_names: false,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            serial: certificate.raw_serial_as_string(),
            fingerprint: Fingerprint::of(der),
            not_before: system_time(certificate.validity().not_before),
            not_after: system_time(certificate.validity().not_after),
        };
        if let Some(alternative) = certificate
            .subject_alternative_name()
            .map_err(|error| invalid(&error))?
        {
            identity.has_alternative_names = true;
            for name in &alternative.value.general_names {
                identity.add(name);
            }
        }
        Ok(identity)
    }

    /// The DNS names, and the domains of SIP URIs without a user (RFC 5922 §7.1), in lower case: what a server
    /// with this certificate may be asked for.
    pub(super) fn server_names(&self) -> Vec<String> {
        let mut names = self.dns_names.clone();
        for uri in &self.uris {
            let uri = uri.to_ascii_lowercase();
            let domain = uri.strip_prefix("sip:").unwrap_or_default();
            let is_name = DnsName::try_from(domain).is_ok();
            if is_name && !names.iter().any(|name| name == domain) {
                names.push(domain.to_owned());
            }
        }
        names
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push(name.to_ascii_lowercase()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::RFC822Name(address) => self.emails.push((*address).to_owned()),
            GeneralName::IPAddress(bytes) => self.ip_addresses.extend(ip_address(bytes)),
            _ => {}
        }
    }
}

/// RFC 5280 §4.2.1.6: four octets for IPv4, sixteen for IPv6.
fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        Some(Ipv4Addr::from(v4).into())
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        Some(Ipv6Addr::from(v6).into())
    } else {
        None
    }
}

/// A time before 1970 becomes 1970.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Authority, Leaf};

    #[test]
    fn every_kind_of_name_is_read() {
        let leaf = Authority::new("ca").issue(
            &Leaf::named("Alice", &["A.example", "192.0.2.1", "2001:db8::1"])
                .uri("spiffe://example/alice")
                .email("alice@example.org"),
        );
        let identity = PeerIdentity::from_der(&leaf.der).unwrap();
        assert_eq!(identity.common_name.as_deref(), Some("Alice"));
        assert_eq!(identity.subject, "CN=Alice");
        assert!(identity.has_alternative_names);
        assert_eq!(identity.dns_names, ["a.example"]);
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(identity.ip_addresses, [v4, v6]);
        assert_eq!(identity.uris, ["spiffe://example/alice"]);
        assert_eq!(identity.emails, ["alice@example.org"]);
        assert_eq!(identity.fingerprint, Fingerprint::of(&leaf.der));
        assert!(identity.not_before < identity.not_after);
        assert!(!identity.serial.is_empty());
    }

    #[test]
    fn a_fingerprint_is_written_as_openssl_writes_it_without_colons() {
        let empty = Fingerprint::of(b"");
        assert_eq!(
            empty.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(PeerIdentity::from_der(b"\x30\x03abc").is_err());
        assert!(PeerIdentity::from_der(b"").is_err());
    }

    #[test]
    fn an_address_of_a_wrong_length_is_left_out() {
        assert_eq!(ip_address(&[1, 2, 3]), None);
        assert_eq!(ip_address(&[0; 17]), None);
    }
}
