//! What a client's sessions are made from.

use std::net::IpAddr;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};

use crate::context::{Knows, Parsed, authorities, builder, install, protocols};
use crate::error::ConfigError;
use crate::options::{ClientOptions, Psk};

/// Authorities, keys and rules of a client: built as a whole, never changed. Cheap to clone.
#[derive(Clone)]
pub struct ClientContext {
    context: SslContext,
    mtu: u16,
}

impl std::fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientContext").finish_non_exhaustive()
    }
}

/// Whom a server's certificate must be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A host name, which the server is told too (RFC 6066 §3).
    Host(String),
    /// An address.
    Ip(IpAddr),
}

impl From<&str> for ServerName {
    /// An address if it is one, or else a host name.
    fn from(name: &str) -> Self {
        match name.parse() {
            Ok(ip) => Self::Ip(ip),
            Err(_) => Self::Host(name.to_owned()),
        }
    }
}

impl ClientContext {
    /// Checks and builds everything.
    pub fn new(options: &ClientOptions) -> Result<Self, ConfigError> {
        if options.authorities.is_empty() && options.psk.is_none() {
            return Err(ConfigError::NothingToTrust);
        }
        let ciphers = options.ciphers.as_deref();
        let knows = Knows {
            certificates: !options.authorities.is_empty(),
            psk: options.psk.is_some(),
        };
        let mut context = builder(SslMethod::dtls_client(), ciphers, knows, options.mtu)?;
        let (store, _) = authorities(&options.authorities)?;
        context.set_verify_cert_store(store)?;
        context.set_verify(SslVerifyMode::PEER);
        if let Some(identity) = &options.identity {
            install(&mut context, &[&Parsed::new(0, identity)?])?;
        }
        if !options.alpn.is_empty() {
            context.set_alpn_protos(&protocols(&options.alpn)?)?;
        }
        if let Some(psk) = options.psk.clone() {
            if !psk.is_sound() {
                return Err(ConfigError::Psk(0));
            }
            context
                .set_psk_client_callback(move |_, _, identity, key| Ok(show(&psk, identity, key)));
        }
        Ok(Self {
            context: context.build(),
            mtu: options.mtu,
        })
    }

    /// A client's side of a session, and the largest datagram that it sends.
    pub(crate) fn begin(&self, server: &ServerName) -> Result<(Ssl, u16), ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_mtu(self.mtu.into())?;
        match server {
            ServerName::Host(name) => {
                ssl.set_hostname(name)?;
                ssl.param_mut().set_host(name)?;
            }
            ServerName::Ip(ip) => ssl.param_mut().set_ip(*ip)?,
        }
        ssl.set_connect_state();
        Ok((ssl, self.mtu))
    }
}

/// Writes the identity, which a zero ends, and the key; the key's length, or 0 if they do not fit.
fn show(psk: &Psk, identity: &mut [u8], key: &mut [u8]) -> usize {
    if psk.identity.len() >= identity.len() || psk.key.len() > key.len() {
        return 0;
    }
    identity[..psk.identity.len()].copy_from_slice(&psk.identity);
    identity[psk.identity.len()] = 0;
    key[..psk.key.len()].copy_from_slice(&psk.key);
    psk.key.len()
}
