//! What a handshake has settled.

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, CommonState, HandshakeKind, ProtocolVersion, ServerConnection};

use super::identity::{InvalidCertificate, PeerIdentity};
use crate::config::TlsVersion;

/// The properties of a TLS connection.
///
/// ```
/// # use wharf::tls::{InvalidCertificate, TlsInfo};
/// # fn show(connection: &rustls::ServerConnection) -> Result<(), InvalidCertificate> {
/// let info = TlsInfo::of_server(connection)?;
/// if info.alpn.as_deref() == Some(b"h2") {
///     // HTTP/2
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version; DTLS 1.2 is TLS 1.2.
    pub version: TlsVersion,
    /// The cipher suite by its IANA name: `TLS13_AES_128_GCM_SHA256`. `unknown` on QUIC.
    pub cipher_suite: &'static str,
    /// The server name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// The application protocol, if one was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// Whether an earlier session was resumed. Not known on QUIC: false.
    pub resumed: bool,
    /// Who the peer is: its certificate was verified. For a server, none if the client showed none.
    pub peer: Option<Box<PeerIdentity>>,
    /// The identity of the pre-shared key that both sides know, on DTLS.
    pub psk_identity: Option<Box<[u8]>>,
}

impl TlsInfo {
    /// Of a server's connection, after the handshake. Fails if the client's certificate is of a
    /// form that cannot be read; such a connection should be closed.
    pub fn of_server(connection: &ServerConnection) -> Result<Self, InvalidCertificate> {
        Self::of(connection, connection.server_name())
    }

    /// Of a client's connection, after the handshake, with the name that it has asked for.
    pub fn of_client(
        connection: &ClientConnection,
        server_name: Option<&str>,
    ) -> Result<Self, InvalidCertificate> {
        Self::of(connection, server_name)
    }

    /// Of a QUIC connection: quinn tells neither the cipher suite (`unknown`) nor whether a session
    /// was resumed (false).
    #[cfg(feature = "quic")]
    pub(crate) fn of_quic(
        server_name: Option<&str>,
        alpn: Option<&[u8]>,
        leaf: Option<&CertificateDer<'_>>,
    ) -> Result<Self, InvalidCertificate> {
        let identity = |der: &CertificateDer<'_>| PeerIdentity::from_der(der).map(Box::new);
        Ok(Self {
            // RFC 9001 §4.2: no older one.
            version: TlsVersion::V1_3,
            cipher_suite: "unknown",
            server_name: server_name.map(Box::from),
            alpn: alpn.map(Box::from),
            resumed: false,
            peer: leaf.map(identity).transpose()?,
            psk_identity: None,
        })
    }

    /// Of a DTLS session.
    #[cfg(feature = "dtls")]
    pub(crate) fn of_dtls(info: &wharf_dtls::Info) -> Result<Self, InvalidCertificate> {
        let identity = |der: &Vec<u8>| PeerIdentity::from_der(der).map(Box::new);
        Ok(Self {
            version: TlsVersion::V1_2,
            cipher_suite: info.cipher,
            server_name: info.server_name.as_deref().map(Box::from),
            alpn: info.alpn.as_deref().map(Box::from),
            resumed: info.resumed,
            peer: info.certificate.as_ref().map(identity).transpose()?,
            psk_identity: info.psk_identity.as_deref().map(Box::from),
        })
    }

    fn of(common: &CommonState, server_name: Option<&str>) -> Result<Self, InvalidCertificate> {
        let leaf = common.peer_certificates().and_then(<[_]>::first);
        let identity = |der: &CertificateDer<'_>| PeerIdentity::from_der(der).map(Box::new);
        Ok(Self {
            version: match common.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
                _ => TlsVersion::V1_2,
            },
            cipher_suite: common
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            server_name: server_name.map(Box::from),
            alpn: common.alpn_protocol().map(Box::from),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            peer: leaf.map(identity).transpose()?,
            psk_identity: None,
        })
    }
}
