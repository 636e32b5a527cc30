//! Why a handshake failed.

use std::io;

use rustls::{CertificateError, Error, PeerIncompatible};

/// The end of a handshake that did not succeed. The peer was told, where TLS has words for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first bytes are no TLS record.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The first bytes are a plain HTTP request.
    #[error("the peer sent a plain HTTP request")]
    PlainHttp,
    /// The ClientHello is larger than [`MAX_HELLO`](super::MAX_HELLO).
    #[error("the ClientHello is larger than {} bytes", super::MAX_HELLO)]
    HelloTooLarge,
    /// No common TLS version.
    #[error("no TLS version in common")]
    NoSharedVersion,
    /// No common cipher suite, key exchange group or signature scheme.
    #[error("no cipher suite, group or signature scheme in common: {0}")]
    NoSharedCipher(String),
    /// No certificate for the server name, and names are strict.
    #[error("no certificate for the server name {}", .0.as_deref().unwrap_or("(none given)"))]
    UnknownName(Option<String>),
    /// The client offers protocols, but none that the server has (RFC 7301 §3.2).
    #[error("no application protocol in common")]
    NoProtocol,
    /// The client's certificate is missing or not accepted.
    #[error("client certificate: {0}")]
    ClientCertificate(CertificateFault),
    /// The server's certificate is not accepted.
    #[error("server certificate: {0}")]
    ServerCertificate(CertificateFault),
    /// The peer sent a fatal alert; its number (RFC 8446 §6).
    #[error("the peer sent alert {0}")]
    PeerAlert(u8),
    /// The name to connect to is neither a host name nor an address.
    #[error("`{0}` is neither a host name nor an IP address")]
    InvalidName(String),
    /// The peer closed the connection during the handshake.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(io::Error),
    /// The peer breaks the protocol in some other way.
    #[error("{0}")]
    Other(Error),
}

impl HandshakeError {
    /// A short name that does not change, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotTls => "not-tls",
            Self::PlainHttp => "plain-http",
            Self::HelloTooLarge => "hello-too-large",
            Self::NoSharedVersion => "no-shared-version",
            Self::NoSharedCipher(_) => "no-shared-cipher",
            Self::UnknownName(_) => "unknown-name",
            Self::NoProtocol => "no-protocol",
            Self::ClientCertificate(_) => "client-certificate",
            Self::ServerCertificate(_) => "server-certificate",
            Self::PeerAlert(_) => "peer-alert",
            Self::InvalidName(_) => "invalid-name",
            Self::Closed => "closed",
            Self::Io(_) => "io",
            Self::Other(_) => "other",
        }
    }

    /// What the peer of `side` made fail, as rustls tells it.
    pub(super) fn from_rustls(error: Error, side: Side) -> Self {
        match error {
            Error::InvalidCertificate(error) => {
                Self::certificate(side, CertificateFault::from(&error))
            }
            Error::NoCertificatesPresented => Self::certificate(side, CertificateFault::Missing),
            Error::NoApplicationProtocol => Self::NoProtocol,
            Error::AlertReceived(alert) => Self::PeerAlert(alert.into()),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::NoSharedVersion,
            Error::PeerIncompatible(what) => Self::NoSharedCipher(format!("{what:?}")),
            other => Self::Other(other),
        }
    }

    /// The same for an error that tokio-rustls has put into an I/O error.
    pub(super) fn from_io(error: io::Error, side: Side) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        match error.downcast::<Error>() {
            Ok(error) => Self::from_rustls(error, side),
            Err(error) => Self::Io(error),
        }
    }

    fn certificate(side: Side, fault: CertificateFault) -> Self {
        match side {
            Side::Server => Self::ClientCertificate(fault),
            Side::Client => Self::ServerCertificate(fault),
        }
    }
}

/// Which side of the handshake we are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Client,
    Server,
}

/// What is wrong with a peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It was asked for and not shown.
    #[error("missing")]
    Missing,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is not valid yet.
    #[error("not valid yet")]
    NotYetValid,
    /// It comes from none of the authorities.
    #[error("from an unknown authority")]
    UnknownAuthority,
    /// It is for other names.
    #[error("for another name")]
    WrongName,
    /// It is for another purpose (RFC 5280 §4.2.1.12).
    #[error("for another purpose")]
    WrongPurpose,
    /// It is revoked.
    #[error("revoked")]
    Revoked,
    /// A signature is wrong, or of a kind that is not accepted.
    #[error("badly signed")]
    BadSignature,
    /// It cannot be decoded, or demands what we do not know.
    #[error("malformed")]
    Malformed,
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::UnknownIssuer => Self::UnknownAuthority,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongPurpose,
            E::Revoked => Self::Revoked,
            E::BadSignature
            | E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::BadSignature,
            _ => Self::Malformed,
        }
    }
}
