//! DTLS.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quic::Retry;
use super::units::duration;

/// A key that clients share with the server (RFC 4279).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Psk {
    /// What the client names it by, 1 to 127 bytes, none of them zero.
    pub identity: String,
    /// The key in hexadecimal, 1 to 64 bytes.
    pub key: String,
}

impl Psk {
    /// The bytes of the key; `None` if it is not hexadecimal.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let digits = self.key.as_bytes();
        if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let pairs = (0..digits.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&self.key[at..at + 2], 16).ok())
            .collect()
    }
}

impl fmt::Debug for Psk {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// DTLS 1.2 of a listener (RFC 6347), or of a client. Certificates, protocols, client certificates
/// and resumption are those of `tls`. A change is for new sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DtlsOptions {
    /// The largest datagram that is sent, in bytes without IP and UDP headers, 256 to 16,384.
    /// Default 1,200. Handshakes are cut to it; a message that does not fit is an error.
    pub mtu: u16,
    /// Cipher suites in OpenSSL's words. Default: ECDHE with AES-GCM or ChaCha20-Poly1305, and before
    /// them, where there are pre-shared keys, ECDHE-PSK with ChaCha20-Poly1305 and PSK with AES-GCM.
    pub ciphers: Option<String>,
    /// Pre-shared keys, by identity. With them a server needs no certificate.
    pub psk: Vec<Psk>,
    /// When a client must come back with a cookie. Default `"always"`. Without one whoever forges an
    /// address makes this server begin a handshake, and send its certificates to somebody else.
    pub cookie: Retry,
    /// How long a client has to come back with its cookie, at least; at most twice as long. 1 s to
    /// 1 h. Default 30 s.
    #[serde(with = "duration")]
    #[schemars(with = "super::units::DurationText")]
    pub cookie_lifetime: Duration,
}

impl Default for DtlsOptions {
    fn default() -> Self {
        Self {
            mtu: 1200,
            ciphers: None,
            psk: Vec::new(),
            cookie: Retry::Always,
            cookie_lifetime: Duration::from_secs(30),
        }
    }
}
