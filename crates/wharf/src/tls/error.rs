//! What can be wrong with the TLS part of a configuration.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a set of TLS options, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError(pub Vec<TlsProblem>);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsError {}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The option, relative to the TLS options: `certificates[0].key`.
    pub key: String,
    /// The file that the option names; none if the PEM stands in the configuration itself.
    pub file: Option<PathBuf>,
    /// What is wrong with it.
    pub fault: TlsFault,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(file) = &self.file {
            write!(f, " ({})", file.display())?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// What is wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A server has no certificate.
    #[error("a server needs at least one certificate")]
    NoCertificate,
    /// The file cannot be read; the text is the system's.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is larger than [`MAX_PEM`](super::MAX_PEM).
    #[error("is larger than {} bytes", super::MAX_PEM)]
    TooLarge,
    /// No PEM section of the kind that is wanted.
    #[error("holds no {0} in PEM")]
    NoPem(&'static str),
    /// The private key is encrypted.
    #[error("the private key is encrypted; store it decrypted, readable by this process only")]
    EncryptedKey,
    /// PEM that cannot be decoded.
    #[error("is not valid PEM: {0}")]
    BadPem(String),
    /// A certificate that cannot be decoded.
    #[error("is not a valid certificate: {0}")]
    BadCertificate(String),
    /// A private key that cannot be decoded, or of a kind that is not supported.
    #[error("is not a private key that can be used: {0}")]
    BadKey(String),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// Text that is no host name.
    #[error("`{0}` is not a host name, nor `*.` and a host name")]
    BadName(String),
    /// A server name that the certificate does not cover.
    #[error("the certificate does not cover `{0}`")]
    NameNotCovered(String),
    /// A certificate that can never be chosen: it has no DNS name and is not the default one.
    #[error("has no DNS name and is not the first, so that no client would get it; set `names`")]
    NoName,
    /// Client certificates are asked for, but there is no authority to check them with.
    #[error("client certificates need at least one authority")]
    NoAuthority,
    /// The system has no authorities in a known place.
    #[error("the system has no authorities in a known place; set `ca`")]
    NoSystemAuthorities,
    /// A protocol name that is empty or longer than 255 bytes (RFC 7301 §3.1).
    #[error("`{0}` is not 1 to 255 bytes long")]
    BadProtocol(String),
    /// A key purpose that is no OID.
    #[error("`{0}` is not an OID such as 1.3.6.1.5.5.7.3.20")]
    BadPurpose(String),
    /// The TLS library refuses the options as a whole.
    #[error("{0}")]
    Refused(String),
}

/// Something about a certificate that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsWarning {
    /// The option: `certificates[0].cert`.
    pub key: String,
    /// What to look at.
    pub matter: TlsMatter,
}

impl fmt::Display for TlsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.matter)
    }
}

/// What a [`TlsWarning`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsMatter {
    /// It is no longer valid: clients refuse it.
    #[error("the certificate has expired")]
    Expired,
    /// It is not valid yet: clients refuse it.
    #[error("the certificate is not valid yet")]
    NotYetValid,
}
