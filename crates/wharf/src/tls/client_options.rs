//! TLS of a connection that we make.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Certificate, Pem, Resumption, TlsVersion};

/// Who looks at the names in the certificate of a server. Its chain, dates and purpose are always
/// verified in the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServerNames {
    /// The handshake, by the rules of the Web (RFC 6125): the name that is connected to has to be among
    /// them.
    #[default]
    Handshake,
    /// The caller, by the rules of its protocol, before it sends anything: any server with a
    /// certificate from `ca` completes the handshake, and
    /// [`TlsInfo::peer`](super::TlsInfo::peer) says who it is. DTLS keeps to `Handshake`.
    Caller,
}

/// TLS of the client side. The server's certificate is always verified.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientTlsOptions {
    /// The authorities that the server's certificate must come from. Empty: those of the system,
    /// from the first of [`SYSTEM_CA`](super::SYSTEM_CA) that is there.
    pub ca: Vec<Pem>,
    /// What we show if the server asks for a certificate. Its `names` have no meaning here.
    pub certificate: Option<Certificate>,
    /// Application protocols, in our order of preference (RFC 7301).
    pub alpn: Vec<String>,
    /// The name to ask for and to verify in place of the one that is connected to.
    pub server_name: Option<String>,
    /// Who looks at the names in the server's certificate. Default: the handshake.
    pub names: ServerNames,
    /// Key purposes that do in place of that of TLS servers, as OIDs (RFC 5280 §4.2.1.12); a certificate that
    /// names no purpose is for all. Default none. DTLS keeps to that of TLS servers.
    pub purposes: Vec<String>,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// Session resumption. With tickets those of the last 256 servers are kept in memory.
    pub resumption: Resumption,
}
