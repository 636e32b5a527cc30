//! Certificates for the daemon under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use toml::{Table, Value};

use crate::target_directory;

/// An authority of the tests' own, whose certificate is in a file.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// The one that every test daemon has its certificate from.
    #[must_use]
    pub fn of_tests() -> &'static Self {
        static TESTS: OnceLock<Authority> = OnceLock::new();
        TESTS.get_or_init(Self::new)
    }

    /// Another one.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = target_directory().join("interop");
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let name = format!("authority-{}-{count}.pem", std::process::id());
        let file = directory.join(name);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // A name of its own: the leaf has the library's.
        let subject = format!("authority {count}");
        params.distinguished_name.push(DnType::CommonName, subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).expect("a certificate");
        fs::write(&file, own.pem()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for 127.0.0.1, ::1 and localhost and its key, as `tls.certificates` takes them.
    #[must_use]
    pub fn certificate(&self) -> Value {
        let key = KeyPair::generate().expect("a key");
        let names = ["127.0.0.1", "::1", "localhost"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("parameters");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pem = |text: String| Value::from(Table::from_iter([("pem".to_owned(), text.into())]));
        let parts = [
            ("cert".to_owned(), pem(leaf.pem())),
            ("key".to_owned(), pem(key.serialize_pem())),
        ];
        Table::from_iter(parts).into()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
