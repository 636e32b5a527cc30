//! TLS and the PROXY protocol.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::off_duration;

/// Whether connections begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyMode {
    /// No header is looked for.
    #[default]
    Off,
    /// A trusted source may send one; what others send is never read as a header.
    Optional,
    /// A connection without a header, or from a source that is not trusted, is refused.
    Required,
}

/// The PROXY protocol, versions 1 and 2.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProxyOptions {
    /// Whether connections begin with a header.
    pub mode: ProxyMode,
    /// Source ranges whose header is believed. Needed unless `mode` is `off`, but for Unix
    /// addresses, whose peers are trusted by `unix.mode` and `unix.peers`.
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<IpNet>,
}

/// PEM, as text or by file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    rename_all = "kebab-case",
    untagged,
    expecting = "a file name, or { pem = \"-----BEGIN …\" }"
)]
pub enum Pem {
    /// A file, which is watched.
    File(PathBuf),
    /// The PEM text itself: `{ pem = "-----BEGIN …" }`.
    Inline {
        /// The PEM text.
        pem: String,
    },
}

impl From<std::path::PathBuf> for Pem {
    fn from(file: std::path::PathBuf) -> Self {
        Self::File(file)
    }
}

impl From<&std::path::Path> for Pem {
    fn from(file: &std::path::Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl From<&str> for Pem {
    /// PEM text, or else the name of a file.
    fn from(text: &str) -> Self {
        if super::problem::is_pem(text) {
            Self::Inline {
                pem: text.to_owned(),
            }
        } else {
            Self::File(text.into())
        }
    }
}

impl std::fmt::Debug for Pem {
    /// Never the text: it may be a private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline { .. } => f.write_str("Inline"),
        }
    }
}

/// One certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// The chain, leaf first.
    pub cert: Pem,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: Pem,
    /// Server names that it is for, also `*.example.org`. Empty: the DNS names in the certificate, and
    /// the domains of its SIP URIs (RFC 5922).
    #[serde(default)]
    pub names: Vec<String>,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one that they show must be valid.
    Optional,
    /// They must show a valid one.
    Required,
}

/// The oldest TLS version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}

/// How sessions are resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resumption {
    /// Stateless tickets, with keys that change every six hours: no memory for each session.
    #[default]
    Tickets,
    /// Not at all.
    Off,
}

/// TLS of a listener. Certificates, client authorities and everything else here change live, for
/// new connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsOptions {
    /// Certificates: the first is the default one, the others are chosen by server name.
    pub certificates: Vec<Certificate>,
    /// A client whose server name matches no certificate is refused (`unrecognized_name`) instead
    /// of getting the default one. Default false.
    pub strict_sni: bool,
    /// Application protocols, in the server's order of preference (RFC 7301).
    pub alpn: Vec<String>,
    /// A client that offers protocols, but none of `alpn`, is refused
    /// (`no_application_protocol`). Default true.
    pub alpn_required: bool,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// Client certificates.
    pub client_auth: ClientAuth,
    /// The authorities that client certificates must come from.
    pub client_ca: Vec<Pem>,
    /// Key purposes of client certificates that do in place of that of TLS clients, as OIDs
    /// (RFC 5280 §4.2.1.12): `1.3.6.1.5.5.7.3.20` is SIP's (RFC 5924). A certificate that names no
    /// purpose is for all. Not for DTLS.
    pub client_purposes: Vec<String>,
    /// Session resumption.
    pub resumption: Resumption,
    /// How often certificate files are looked at for a change, 1 ms to 1 d. Default 10 s.
    #[serde(with = "off_duration")]
    #[schemars(with = "super::units::OffDurationText")]
    pub watch: Option<Duration>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            strict_sni: false,
            alpn: Vec::new(),
            alpn_required: true,
            min_version: TlsVersion::V1_2,
            client_auth: ClientAuth::Off,
            client_ca: Vec::new(),
            client_purposes: Vec::new(),
            resumption: Resumption::Tickets,
            watch: Some(Duration::from_secs(10)),
        }
    }
}
