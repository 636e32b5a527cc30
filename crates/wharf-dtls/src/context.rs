//! What the contexts of servers and clients have in common.

use openssl::pkey::PKey;
use openssl::ssl::{SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;

use crate::error::{ConfigError, text};
use crate::options::{Identity, MTU_RANGE};

/// ECDHE with AEAD: forward secrecy, and no padding oracles.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";
/// Those of pre-shared keys.
const PSK_CIPHERS: &str = "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384";

/// How the sides know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Knows {
    pub(crate) certificates: bool,
    pub(crate) psk: bool,
}

/// A context for DTLS 1.2 alone.
pub(crate) fn builder(
    method: SslMethod,
    ciphers: Option<&str>,
    knows: Knows,
    mtu: u16,
) -> Result<SslContextBuilder, ConfigError> {
    if !MTU_RANGE.contains(&mtu) {
        return Err(ConfigError::Mtu(mtu));
    }
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_options(
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    // Tickets need no memory of ours; nothing else is kept of a session that is over.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    let suites = match (ciphers, knows.psk, knows.certificates) {
        (Some(ciphers), ..) => ciphers.to_owned(),
        (None, false, _) => CIPHERS.to_owned(),
        (None, true, false) => PSK_CIPHERS.to_owned(),
        // Who offers a key has one.
        (None, true, true) => format!("{PSK_CIPHERS}:{CIPHERS}"),
    };
    builder
        .set_cipher_list(&suites)
        .map_err(|error| ConfigError::Ciphers(text(&error)))?;
    Ok(builder)
}

/// An identity that was decoded.
pub(crate) struct Parsed {
    leaf: X509,
    chain: Vec<X509>,
    key: PKey<openssl::pkey::Private>,
}

impl Parsed {
    /// Decodes the identity in place `index`.
    pub(crate) fn new(index: usize, identity: &Identity) -> Result<Self, ConfigError> {
        let mut chain = identity
            .chain
            .iter()
            .map(|der| X509::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::Chain(index, text(&error)))?;
        if chain.is_empty() {
            return Err(ConfigError::Chain(index, "it is empty".to_owned()));
        }
        let leaf = chain.remove(0);
        let key = PKey::private_key_from_der(&identity.key)
            .map_err(|error| ConfigError::Key(index, text(&error)))?;
        let public = leaf
            .public_key()
            .map_err(|error| ConfigError::Chain(index, text(&error)))?;
        if !public.public_eq(&key) {
            return Err(ConfigError::KeyMismatch(index));
        }
        Ok(Self { leaf, chain, key })
    }
}

/// Puts identities into a context: one of each kind of key, from which OpenSSL chooses by what the
/// peer can check.
pub(crate) fn install(
    builder: &mut SslContextBuilder,
    identities: &[&Parsed],
) -> Result<(), ConfigError> {
    for identity in identities {
        builder.set_certificate(&identity.leaf)?;
        builder.set_private_key(&identity.key)?;
    }
    match identities {
        [only] => {
            for certificate in &only.chain {
                builder.add_extra_chain_cert(certificate.clone())?;
            }
        }
        // Extra certificates would go with each of the leaves: OpenSSL finds those that belong to
        // one in this store, by which nothing is verified.
        several => {
            let mut store = X509StoreBuilder::new()?;
            for certificate in several.iter().flat_map(|identity| &identity.chain) {
                store.add_cert(certificate.clone())?;
            }
            builder.set_cert_store(store.build());
        }
    }
    Ok(())
}

/// The authorities in DER. Each is trusted for itself, whoever has signed it.
pub(crate) fn authorities(ders: &[Vec<u8>]) -> Result<(X509Store, Vec<X509>), ConfigError> {
    let mut store = X509StoreBuilder::new()?;
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    let mut certificates = Vec::new();
    for (index, der) in ders.iter().enumerate() {
        let wrong = |error| ConfigError::Authority(index, text(&error));
        let certificate = X509::from_der(der).map_err(wrong)?;
        store.add_cert(certificate.clone()).map_err(wrong)?;
        certificates.push(certificate);
    }
    Ok((store.build(), certificates))
}

/// Protocol names as they go on the wire (RFC 7301 §3.1).
pub(crate) fn protocols(names: &[Vec<u8>]) -> Result<Vec<u8>, ConfigError> {
    let mut wire = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match u8::try_from(name.len()) {
            Ok(length @ 1..) => wire.push(length),
            _ => return Err(ConfigError::Protocol(index)),
        }
        wire.extend_from_slice(name);
    }
    Ok(wire)
}
