//! Key purposes of certificates beside the two of TLS (RFC 5280 §4.2.1.12).

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use super::error::TlsFault;
use super::load::Loader;

/// The purposes that are accepted where the one of TLS is missing, as the numbers of their OIDs.
#[derive(Debug, Clone, Default)]
pub(super) struct Purposes(Vec<Vec<usize>>);

/// A certificate with those that came with it.
pub(super) struct Chain<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
    pub(super) now: UnixTime,
}

impl Purposes {
    /// Reads OIDs with dots; what is none is a problem of the option `key`.
    pub(super) fn read(loader: &mut Loader, key: &str, texts: &[String]) -> Self {
        let mut all = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let Some(oid) = oid(text) else {
                let fault = TlsFault::BadPurpose(text.clone());
                loader.problem(&format!("{key}[{index}]"), None, fault);
                continue;
            };
            all.push(oid);
        }
        Self(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies the chain again for these purposes, if it was refused for its purpose alone.
    pub(super) fn instead(
        &self,
        refused: Error,
        chain: &Chain<'_>,
        roots: &RootCertStore,
        algorithms: &[&dyn rustls::pki_types::SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let for_purpose = matches!(
            refused,
            Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. }
            )
        );
        let Ok(leaf) = EndEntityCert::try_from(chain.leaf) else {
            return Err(refused);
        };
        let verify = || {
            let Chain {
                intermediates, now, ..
            } = *chain;
            leaf.verify_for_usage(
                algorithms,
                &roots.roots,
                intermediates,
                now,
                self,
                None,
                None,
            )
        };
        if for_purpose && verify().is_ok() {
            return Ok(());
        }
        Err(refused)
    }
}

impl ExtendedKeyUsageValidator for Purposes {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut none = true;
        for purpose in purposes {
            none = false;
            if self.0.contains(&purpose?.to_decoded_oid()) {
                return Ok(());
            }
        }
        // A certificate that names no purpose is for all; so are authorities.
        if none {
            Ok(())
        } else {
            Err(webpki::Error::UnknownIssuer)
        }
    }
}

/// The numbers of an OID: at least two, the first 0, 1 or 2 (X.660 §6).
pub(crate) fn oid(text: &str) -> Option<Vec<usize>> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten()
    };
    let numbers: Option<Vec<_>> = text
        .split('.')
        .map(|part| Some(number(part)? as usize))
        .collect();
    numbers.filter(|numbers| numbers.len() > 1 && numbers[0] < 3)
}

#[cfg(test)]
mod tests {
    use super::oid;

    #[test]
    fn an_oid_is_numbers_with_dots() {
        assert_eq!(
            oid("1.3.6.1.5.5.7.3.20"),
            Some(vec![1, 3, 6, 1, 5, 5, 7, 3, 20])
        );
        assert_eq!(oid("2.5.29.37.0"), Some(vec![2, 5, 29, 37, 0]));
        for text in [
            "",
            "1",
            "1.",
            ".1",
            "3.1",
            "1.+3",
            "1.x",
            "1.99999999999",
            "sipDomain",
        ] {
            assert_eq!(oid(text), None, "{text}");
        }
    }
}
