//! A certificate authority in memory.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::config::{Certificate, Pem};

/// An authority that signs leaf certificates, for the TLS of tests. Its methods panic where a name is
/// not ASCII.
///
/// ```
/// use wharf::Tls;
/// use wharf::testkit::{Authority, Leaf};
/// use wharf::tls::{ClientTls, ClientTlsOptions};
///
/// let ca = Authority::new("test ca");
/// let leaf = ca.issue(&Leaf::named("server", &["a.example", "127.0.0.1"]));
/// let listen = Tls::bind("127.0.0.1:0").with(|config| config.tls.certificates.push(leaf.certificate()));
/// let client = ClientTls::new(&ClientTlsOptions { ca: vec![ca.pem()], ..Default::default() })?;
/// # let _ = (listen, client);
/// # Ok::<(), wharf::tls::TlsError>(())
/// ```
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority with a key of its own.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its certificate, as an option.
    pub fn pem(&self) -> Pem {
        Pem::Inline { pem: self.0.pem() }
    }

    /// A certificate with a new key.
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let key = if leaf.ed25519 {
            KeyPair::generate_for(&PKCS_ED25519)
        } else {
            KeyPair::generate()
        }
        .expect("a key");
        let certificate = leaf.params.signed_by(&key, &self.0).expect("a leaf");
        Issued {
            cert: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }
}

/// What a leaf certificate says. Good for servers and clients, valid for long.
#[derive(Debug, Clone)]
pub struct Leaf {
    params: CertificateParams,
    ed25519: bool,
}

impl Leaf {
    /// A certificate for a common name, with DNS names and IP addresses.
    pub fn named(common_name: &str, names: &[&str]) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().expect("ASCII")),
            })
            .collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Self {
            params,
            ed25519: false,
        }
    }

    /// Adds a URI.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        let uri = SanType::URI(uri.try_into().expect("ASCII"));
        self.params.subject_alt_names.push(uri);
        self
    }

    /// Adds an e-mail address.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        let email = SanType::Rfc822Name(email.try_into().expect("ASCII"));
        self.params.subject_alt_names.push(email);
        self
    }

    /// For this purpose alone, by its OID, in place of TLS servers and clients.
    #[must_use]
    pub fn purpose(mut self, oid: &[u64]) -> Self {
        let purpose = ExtendedKeyUsagePurpose::Other(oid.to_vec());
        self.params.extended_key_usages = vec![purpose];
        self
    }

    /// Valid up to the end of a year only.
    #[must_use]
    pub fn until_year(mut self, year: i32) -> Self {
        self.params.not_after = date_time_ymd(year, 12, 31);
        self
    }

    /// With an Ed25519 key in place of ECDSA on P-256.
    #[must_use]
    pub fn ed25519(mut self) -> Self {
        self.ed25519 = true;
        self
    }
}

/// A leaf certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate in PEM.
    pub cert: String,
    /// The key in PEM.
    pub key: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
    key_der: Vec<u8>,
}

impl Issued {
    /// As an option, for the names in the certificate.
    pub fn certificate(&self) -> Certificate {
        let inline = |pem: &String| Pem::Inline { pem: pem.clone() };
        Certificate {
            cert: inline(&self.cert),
            key: inline(&self.key),
            names: Vec::new(),
        }
    }

    /// As rustls has it.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        let chain = vec![CertificateDer::from(self.der.clone())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(chain, key, &provider).expect("a pair"))
    }
}
