//! Certificates for both ends, as files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority whose certificates lie in a directory that goes with it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A leaf certificate and its key.
pub(crate) struct Leaf {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as haproxy has it.
    pub(crate) both: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, directory }
    }

    /// Its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// The directory, for what else a test keeps.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A certificate for the DNS name or address `name`, which is its common name too.
    pub(crate) fn issue(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().expect("a key");
        self.issue_for(name, &key, name)
    }

    /// The same with an RSA key.
    pub(crate) fn issue_rsa(&self, name: &str) -> Leaf {
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        self.issue_for(name, &key, &format!("{name}.rsa"))
    }

    fn issue_for(&self, name: &str, key: &KeyPair, stem: &str) -> Leaf {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let cert = params.signed_by(key, &self.issuer).expect("a leaf").pem();
        let file = |ending: &str, content: String| {
            let path = self.path().join(format!("{stem}.{ending}"));
            fs::write(&path, content).expect("a file");
            path
        };
        Leaf {
            both: file("both.pem", format!("{cert}{}", key.serialize_pem())),
            key: file("key.pem", key.serialize_pem()),
            cert: file("cert.pem", cert),
        }
    }
}
