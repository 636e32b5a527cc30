//! What a server and a client are made of.

use std::fmt;
use std::ops::RangeInclusive;

/// The default of [`ServerOptions::mtu`], in bytes: what IPv6 carries everywhere, less room for the
/// headers of tunnels.
pub const DEFAULT_MTU: u16 = 1200;

/// What [`ServerOptions::mtu`] may be.
pub const MTU_RANGE: RangeInclusive<u16> = 256..=16_384;

/// A certificate chain with its private key, and whom it is for.
#[derive(Clone, Default)]
pub struct Identity {
    /// The chain in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The private key in DER: PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
    /// The server names that it is for, in lower case, also `*.example.org`.
    pub names: Vec<String>,
}

impl fmt::Debug for Identity {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// A key that both sides know, with the name that the client gives it (RFC 4279).
#[derive(Clone, PartialEq, Eq)]
pub struct Psk {
    pub(crate) identity: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Psk {
    /// An identity of 1 to 127 bytes, none of them zero, and a key of 1 to 64 bytes; a context
    /// refuses others.
    pub fn new(identity: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            identity: identity.into(),
            key: key.into(),
        }
    }

    /// Whether OpenSSL can carry it.
    pub(crate) fn is_sound(&self) -> bool {
        (1..=127).contains(&self.identity.len())
            && !self.identity.contains(&0)
            && (1..=64).contains(&self.key.len())
    }
}

impl fmt::Debug for Psk {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk")
            .field("identity", &String::from_utf8_lossy(&self.identity))
            .finish_non_exhaustive()
    }
}

/// Whether clients show a certificate. A client with a pre-shared key shows none: the key says who
/// it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one that they show must be valid.
    Optional,
    /// They must show a valid one.
    Required,
}

/// What a server is made of. It needs an identity or a pre-shared key.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Certificates. The first is the default one, together with those that have the same names
    /// and another kind of key; the others are chosen by server name. Of those with one name the
    /// client gets the one whose key it can check.
    pub identities: Vec<Identity>,
    /// A client whose server name matches no identity is refused (`unrecognized_name`). Default
    /// false: it gets the default one.
    pub strict_sni: bool,
    /// Application protocols, in the server's order of preference (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// A client that offers protocols, but none of `alpn`, is refused. Default true.
    pub alpn_required: bool,
    /// Client certificates. Default off.
    pub client_auth: ClientAuth,
    /// The authorities that client certificates must come from, in DER.
    pub client_authorities: Vec<Vec<u8>>,
    /// Pre-shared keys, by identity (RFC 4279).
    pub psk: Vec<Psk>,
    /// Whether session tickets are given and taken (RFC 5077). Their keys are the context's own and
    /// end with it. Default true.
    pub resumption: bool,
    /// Cipher suites in OpenSSL's words. Default: for certificates, ephemeral Diffie-Hellman on
    /// elliptic curves with AES-GCM or ChaCha20-Poly1305; for pre-shared keys, which go first, the
    /// same with ChaCha20-Poly1305, and the key alone with AES-GCM.
    pub ciphers: Option<String>,
    /// The largest datagram that is sent, in bytes, without IP and UDP headers. Default
    /// [`DEFAULT_MTU`], range [`MTU_RANGE`].
    pub mtu: u16,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            strict_sni: false,
            alpn: Vec::new(),
            alpn_required: true,
            client_auth: ClientAuth::Off,
            client_authorities: Vec::new(),
            psk: Vec::new(),
            resumption: true,
            ciphers: None,
            mtu: DEFAULT_MTU,
        }
    }
}

/// What a client is made of. It needs authorities or a pre-shared key.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The authorities that the server's certificate must come from, in DER.
    pub authorities: Vec<Vec<u8>>,
    /// The certificate to show to a server that asks for one.
    pub identity: Option<Identity>,
    /// Application protocols to offer, the most wanted first (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// A pre-shared key (RFC 4279).
    pub psk: Option<Psk>,
    /// As for [`ServerOptions::ciphers`].
    pub ciphers: Option<String>,
    /// As for [`ServerOptions::mtu`].
    pub mtu: u16,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            psk: None,
            ciphers: None,
            mtu: DEFAULT_MTU,
        }
    }
}
