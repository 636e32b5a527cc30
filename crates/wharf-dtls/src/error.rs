//! What is wrong with options, and how sessions fail.

use openssl::error::ErrorStack;
use thiserror::Error;

/// What is wrong with [`ServerOptions`](crate::ServerOptions) or
/// [`ClientOptions`](crate::ClientOptions). The texts in it are OpenSSL's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing by which the other side could be known, or could know us.
    #[error("needs a certificate or a pre-shared key")]
    NothingToTrust,
    /// An identity's chain, by its place.
    #[error("identity {0}: not a certificate chain: {1}")]
    Chain(usize, String),
    /// An identity's key, by its place.
    #[error("identity {0}: not a private key that can be used: {1}")]
    Key(usize, String),
    /// An identity whose key belongs to another certificate.
    #[error("identity {0}: the private key does not belong to the certificate")]
    KeyMismatch(usize),
    /// An authority, by its place.
    #[error("authority {0}: not a certificate: {1}")]
    Authority(usize, String),
    /// Client certificates are asked for, and there is no authority to check them with.
    #[error("client certificates need at least one authority")]
    NoAuthority,
    /// An application protocol that is not 1 to 255 bytes long (RFC 7301 §3.1).
    #[error("application protocol {0}: not 1 to 255 bytes long")]
    Protocol(usize),
    /// A pre-shared key that [`Psk::new`](crate::Psk::new) does not allow, by its place.
    #[error(
        "pre-shared key {0}: the identity has 1 to 127 bytes, none of them zero, and the key 1 to 64"
    )]
    Psk(usize),
    /// Two pre-shared keys have one identity.
    #[error("pre-shared key {0}: its identity occurs twice")]
    DuplicatePsk(usize),
    /// Cipher suites that OpenSSL does not know.
    #[error("cipher suites: {0}")]
    Ciphers(String),
    /// Outside [`MTU_RANGE`](crate::MTU_RANGE).
    #[error("an MTU of {0} is not in 256 to 16384")]
    Mtu(u16),
    /// OpenSSL could not do it, for want of memory as a rule.
    #[error("OpenSSL: {0}")]
    OpenSsl(String),
}

impl From<ErrorStack> for ConfigError {
    fn from(error: ErrorStack) -> Self {
        Self::OpenSsl(text(&error))
    }
}

/// The end of a session that did not end with close_notify. Its last datagrams, which tell the peer
/// where DTLS has words for it, are still to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The peer's certificate is not accepted; the text is OpenSSL's.
    #[error("certificate: {0}")]
    Certificate(String),
    /// A certificate was demanded and none was shown.
    #[error("the peer shows no certificate")]
    NoCertificate,
    /// No cipher suite in common, or none that the certificate is good for.
    #[error("no cipher suite in common")]
    NoSharedCipher,
    /// The peer speaks another version of DTLS.
    #[error("no DTLS version in common")]
    NoSharedVersion,
    /// No application protocol in common (RFC 7301 §3.2).
    #[error("no application protocol in common")]
    NoProtocol,
    /// No certificate for the server name, and names are strict.
    #[error("no certificate for the server name")]
    UnknownName,
    /// A pre-shared key's identity that is not known.
    #[error("an unknown identity of a pre-shared key")]
    UnknownPsk,
    /// Twelve retransmissions, and no answer.
    #[error("the peer does not answer")]
    Unanswered,
    /// The peer sent a fatal alert; its number (RFC 5246 §7.2).
    #[error("the peer sent alert {0}")]
    PeerAlert(u8),
    /// The peer breaks the protocol in some other way; the text is OpenSSL's.
    #[error("{0}")]
    Other(String),
}

/// Numbers of OpenSSL's reasons (`SSL_R_…` in `sslerr.h`), which are part of its interface.
mod reason {
    pub(super) const NO_SHARED_CIPHER: i32 = 193;
    pub(super) const NO_CERTIFICATE: i32 = 199;
    pub(super) const PSK_IDENTITY_NOT_FOUND: i32 = 223;
    pub(super) const CALLBACK_FAILED: i32 = 234;
    pub(super) const NO_PROTOCOL: i32 = 235;
    pub(super) const UNSUPPORTED_PROTOCOL: i32 = 258;
    pub(super) const WRONG_VERSION: i32 = 267;
    pub(super) const UNEXPECTED_VERSION: i32 = 266;
    pub(super) const BAD_CERTIFICATE: i32 = 134;
    pub(super) const READ_TIMEOUT: i32 = 312;
    /// An alert from the peer is this and its number.
    pub(super) const ALERT: std::ops::RangeInclusive<i32> = 1000..=1255;
}

impl Failure {
    /// What OpenSSL's queue of errors says, with the result of the verification if that failed.
    pub(crate) fn of(stack: Option<&ErrorStack>, verification: Option<String>) -> Self {
        let Some(first) = stack.and_then(|stack| stack.errors().first()) else {
            return Self::Other("the session has failed".to_owned());
        };
        match first.reason_code() {
            reason::BAD_CERTIFICATE => {
                Self::Certificate(verification.unwrap_or_else(|| "not accepted".to_owned()))
            }
            reason::NO_CERTIFICATE => Self::NoCertificate,
            reason::NO_SHARED_CIPHER => Self::NoSharedCipher,
            reason::UNSUPPORTED_PROTOCOL | reason::WRONG_VERSION | reason::UNEXPECTED_VERSION => {
                Self::NoSharedVersion
            }
            reason::NO_PROTOCOL => Self::NoProtocol,
            reason::CALLBACK_FAILED => Self::UnknownName,
            reason::PSK_IDENTITY_NOT_FOUND => Self::UnknownPsk,
            reason::READ_TIMEOUT => Self::Unanswered,
            code if reason::ALERT.contains(&code) => {
                Self::PeerAlert(u8::try_from(code - 1000).unwrap_or(u8::MAX))
            }
            _ => Self::Other(text(stack.unwrap_or(&ErrorStack::get()))),
        }
    }

    /// A short name that does not change, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Certificate(_) | Self::NoCertificate => "certificate",
            Self::NoSharedCipher => "no-shared-cipher",
            Self::NoSharedVersion => "no-shared-version",
            Self::NoProtocol => "no-protocol",
            Self::UnknownName => "unknown-name",
            Self::UnknownPsk => "unknown-psk",
            Self::Unanswered => "unanswered",
            Self::PeerAlert(_) => "peer-alert",
            Self::Other(_) => "other",
        }
    }
}

/// The reasons in OpenSSL's queue, without the places in its source.
pub(crate) fn text(stack: &ErrorStack) -> String {
    let reasons: Vec<_> = stack
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .collect();
    if reasons.is_empty() {
        "no reason given".to_owned()
    } else {
        reasons.join("; ")
    }
}
