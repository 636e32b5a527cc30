//! Reading certificates, keys and authorities, and noting every problem on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::{TlsError, TlsFault, TlsProblem};
use crate::config::{Certificate, Pem};

/// The largest PEM text that is read, in bytes: a bundle of all public authorities is a quarter of
/// it.
pub const MAX_PEM: u64 = 1 << 20;

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file that `path` leads to; `None` if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// The files that were read. A stamp is taken before its file is read, so that a write during the
/// reading shows up as a later change.
pub(super) type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// Reads PEM and gathers problems instead of stopping at the first.
#[derive(Debug, Default)]
pub(super) struct Loader {
    problems: Vec<TlsProblem>,
    stamps: Stamps,
}

impl Loader {
    /// Notes a problem with an option.
    pub(super) fn problem(&mut self, key: &str, pem: Option<&Pem>, fault: TlsFault) {
        self.problems.push(TlsProblem {
            key: key.to_owned(),
            file: match pem {
                Some(Pem::File(path)) => Some(path.clone()),
                Some(Pem::Inline { .. }) | None => None,
            },
            fault,
        });
    }

    /// Whether a problem was noted.
    #[cfg(feature = "dtls")]
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The stamps of what was read, or every problem.
    pub(super) fn finish(self) -> Result<Stamps, TlsError> {
        if self.problems.is_empty() {
            Ok(self.stamps)
        } else {
            Err(TlsError(self.problems))
        }
    }

    fn text(&mut self, pem: &Pem) -> Result<Vec<u8>, TlsFault> {
        let path = match pem {
            Pem::File(path) => path,
            Pem::Inline { pem } => return Ok(pem.clone().into_bytes()),
        };
        self.stamps.insert(path.clone(), Stamp::of(path));
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_PEM + 1).read_to_end(&mut text))
            .map_err(|error| TlsFault::Unreadable(error.to_string()))?;
        if text.len() as u64 > MAX_PEM {
            return Err(TlsFault::TooLarge);
        }
        Ok(text)
    }

    fn read_certificates(&mut self, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        let chain = CertificateDer::pem_slice_iter(&self.text(pem)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsFault::BadPem(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsFault::NoPem("certificate"));
        }
        Ok(chain)
    }

    fn read_key(&mut self, pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsFault> {
        const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
        let text = self.text(pem)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound if text.windows(ENCRYPTED.len()).any(|w| w == ENCRYPTED) => {
                TlsFault::EncryptedKey
            }
            pem::Error::NoItemsFound => TlsFault::NoPem("private key"),
            other => TlsFault::BadPem(other.to_string()),
        })
    }

    /// A chain with its key, which comes in DER too; `None` after a problem was noted. `key` is the option's name.
    pub(super) fn certified(
        &mut self,
        key: &str,
        certificate: &Certificate,
        provider: &CryptoProvider,
    ) -> Option<(Arc<CertifiedKey>, PrivateKeyDer<'static>)> {
        let (cert_key, key_key) = (format!("{key}.cert"), format!("{key}.key"));
        let chain = self.read_certificates(&certificate.cert);
        let private = self.read_key(&certificate.key);
        match (chain, private) {
            (Ok(chain), Ok(private)) => {
                match CertifiedKey::from_der(chain, private.clone_key(), provider) {
                    Ok(certified) => return Some((Arc::new(certified), private)),
                    Err(rustls::Error::InconsistentKeys(_)) => {
                        self.problem(&key_key, Some(&certificate.key), TlsFault::KeyMismatch);
                    }
                    Err(error @ rustls::Error::InvalidCertificate(_)) => self.problem(
                        &cert_key,
                        Some(&certificate.cert),
                        TlsFault::BadCertificate(error.to_string()),
                    ),
                    Err(error) => self.problem(
                        &key_key,
                        Some(&certificate.key),
                        TlsFault::BadKey(error.to_string()),
                    ),
                }
            }
            (chain, private) => {
                if let Err(fault) = chain {
                    self.problem(&cert_key, Some(&certificate.cert), fault);
                }
                if let Err(fault) = private {
                    self.problem(&key_key, Some(&certificate.key), fault);
                }
            }
        }
        None
    }

    /// A store of the authorities in all of `pems`.
    pub(super) fn authorities(&mut self, key: &str, pems: &[Pem]) -> RootCertStore {
        let mut store = RootCertStore::empty();
        for (index, certificate) in self.each_authority(key, pems) {
            if let Err(error) = store.add(certificate) {
                let fault = TlsFault::BadCertificate(error.to_string());
                self.problem(&format!("{key}[{index}]"), Some(&pems[index]), fault);
            }
        }
        store
    }

    /// The certificates in all of `pems`, each with the place of the PEM that it comes from.
    pub(super) fn each_authority(
        &mut self,
        key: &str,
        pems: &[Pem],
    ) -> Vec<(usize, CertificateDer<'static>)> {
        let mut all = Vec::new();
        for (index, pem) in pems.iter().enumerate() {
            match self.read_certificates(pem) {
                Ok(certificates) => all.extend(certificates.into_iter().map(|one| (index, one))),
                Err(fault) => self.problem(&format!("{key}[{index}]"), Some(pem), fault),
            }
        }
        all
    }

    /// Protocol names as they go on the wire.
    pub(super) fn protocols(&mut self, alpn: &[String]) -> Vec<Vec<u8>> {
        for (index, protocol) in alpn.iter().enumerate() {
            // RFC 7301 §3.1: opaque ProtocolName<1..2^8-1>.
            if protocol.is_empty() || protocol.len() > 255 {
                let fault = TlsFault::BadProtocol(protocol.clone());
                self.problem(&format!("alpn[{index}]"), None, fault);
            }
        }
        alpn.iter().map(|name| name.clone().into_bytes()).collect()
    }
}
