//! What a server's sessions are made from.

use std::collections::HashMap;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, NameType, SniError, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod,
    SslOptions, SslRef, SslVerifyMode,
};
use openssl::stack::Stack;

use crate::context::{Knows, Parsed, authorities, builder, install, protocols};
use crate::error::ConfigError;
use crate::names::Names;
use crate::options::{ClientAuth, ServerOptions};

/// Certificates, keys and rules of a server: built as a whole, never changed. A reload makes a new
/// one; the sessions that are there go on with the one that they began with, and tickets of an old
/// one are not taken, so that none carries a client past authorities that have changed.
///
/// Cheap to clone. Each clone shares OpenSSL's context and the reference counts in it; one that a busy
/// thread has for itself is made by [`separate`](Self::separate).
#[derive(Clone)]
pub struct ServerContext {
    /// Sessions begin with a cookie exchange, which OpenSSL counts messages from.
    context: SslContext,
    /// They begin without one. Its tickets are its own.
    trusting: SslContext,
    options: Arc<ServerOptions>,
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerContext").finish_non_exhaustive()
    }
}

/// The pre-shared keys by identity.
type Keys = Arc<HashMap<Vec<u8>, Vec<u8>>>;

impl ServerContext {
    /// Checks and builds everything.
    pub fn new(options: &ServerOptions) -> Result<Self, ConfigError> {
        Self::build(&Arc::new(options.clone()))
    }

    /// Another one of the same options, which shares no lock and no reference count with this one. The
    /// tickets of the one are not taken by the other. An error is OpenSSL's want of memory.
    pub fn separate(&self) -> Result<Self, ConfigError> {
        Self::build(&self.options)
    }

    fn build(shared: &Arc<ServerOptions>) -> Result<Self, ConfigError> {
        let options = &**shared;
        let keys = keys(options)?;
        let parsed = options
            .identities
            .iter()
            .enumerate()
            .map(|(index, identity)| Parsed::new(index, identity))
            .collect::<Result<Vec<_>, _>>()?;
        if parsed.is_empty() && keys.is_empty() {
            return Err(ConfigError::NothingToTrust);
        }
        let of = |members: &[usize], cookies| -> Result<SslContextBuilder, ConfigError> {
            let mut context = base(options, &keys, cookies)?;
            let identities: Vec<_> = members.iter().map(|index| &parsed[*index]).collect();
            install(&mut context, &identities)?;
            Ok(context)
        };
        let mut names = Names::new();
        for (name, members) in by_name(options) {
            names.insert(name, of(&members, true)?.build());
        }
        let first = options.identities.first().map(|first| &first.names);
        let default: Vec<_> = (0..parsed.len())
            .filter(|index| Some(&options.identities[*index].names) == first)
            .collect();
        let (names, strict) = (Arc::new(names), options.strict_sni);
        let whole = |cookies| -> Result<SslContext, ConfigError> {
            let (mut context, names) = (of(&default, cookies)?, names.clone());
            context.set_servername_callback(move |ssl, alert| select(&names, strict, ssl, alert));
            Ok(context.build())
        };
        Ok(Self {
            context: whole(true)?,
            trusting: whole(false)?,
            options: shared.clone(),
        })
    }

    /// A server's side of a session, and the largest datagram that it sends. `proven`: the client has
    /// come back with a cookie.
    pub(crate) fn begin(&self, proven: bool) -> Result<(Ssl, u16), ErrorStack> {
        let mut ssl = Ssl::new(if proven {
            &self.context
        } else {
            &self.trusting
        })?;
        let mtu = self.options.mtu;
        ssl.set_mtu(mtu.into())?;
        ssl.set_accept_state();
        Ok((ssl, mtu))
    }
}

/// What all of a server's contexts have in common.
fn base(
    options: &ServerOptions,
    keys: &Keys,
    cookies: bool,
) -> Result<SslContextBuilder, ConfigError> {
    let ciphers = options.ciphers.as_deref();
    let knows = Knows {
        certificates: !options.identities.is_empty(),
        psk: !keys.is_empty(),
    };
    let mut context = builder(SslMethod::dtls_server(), ciphers, knows, options.mtu)?;
    if cookies {
        // The front has checked the cookie; OpenSSL counts its messages from the exchange on.
        context.set_options(SslOptions::COOKIE_EXCHANGE);
        context.set_cookie_generate_cb(|_, cookie| {
            cookie[0] = 0;
            Ok(1)
        });
        context.set_cookie_verify_cb(|_, _| true);
    }
    if !options.resumption {
        context.set_options(SslOptions::NO_TICKET);
    }
    // Tickets of clients with certificates are taken only in the same context (RFC 5077 §5.6).
    context.set_session_id_context(b"wharf")?;
    set_client_auth(&mut context, options)?;
    protocols(&options.alpn)?;
    if !options.alpn.is_empty() {
        let (ours, required) = (options.alpn.clone(), options.alpn_required);
        context.set_alpn_select_callback(move |_, offered| choose(&ours, required, offered));
    }
    if !keys.is_empty() {
        let keys = Arc::clone(keys);
        context.set_psk_server_callback(move |_, identity, place| {
            let Some(key) = identity.and_then(|identity| keys.get(identity)) else {
                return Ok(0);
            };
            place[..key.len()].copy_from_slice(key);
            Ok(key.len())
        });
    }
    Ok(context)
}

fn set_client_auth(
    context: &mut SslContextBuilder,
    options: &ServerOptions,
) -> Result<(), ConfigError> {
    let mode = match options.client_auth {
        ClientAuth::Off => return Ok(()),
        ClientAuth::Optional => SslVerifyMode::PEER,
        ClientAuth::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
    };
    if options.client_authorities.is_empty() {
        return Err(ConfigError::NoAuthority);
    }
    let (store, certificates) = authorities(&options.client_authorities)?;
    let mut subjects = Stack::new()?;
    for certificate in &certificates {
        subjects.push(certificate.subject_name().to_owned()?)?;
    }
    context.set_verify_cert_store(store)?;
    context.set_client_ca_list(subjects);
    context.set_verify(mode);
    Ok(())
}

fn keys(options: &ServerOptions) -> Result<Keys, ConfigError> {
    let mut keys = HashMap::new();
    for (index, psk) in options.psk.iter().enumerate() {
        if !psk.is_sound() {
            return Err(ConfigError::Psk(index));
        }
        if keys.insert(psk.identity.clone(), psk.key.clone()).is_some() {
            return Err(ConfigError::DuplicatePsk(index));
        }
    }
    Ok(Arc::new(keys))
}

/// The places of the identities that have each name.
fn by_name(options: &ServerOptions) -> HashMap<&str, Vec<usize>> {
    let mut names = HashMap::<_, Vec<_>>::new();
    for (index, identity) in options.identities.iter().enumerate() {
        for name in &identity.names {
            names.entry(name.as_str()).or_default().push(index);
        }
    }
    names
}

/// Changes to the context of the server name that the client asks for (RFC 6066 §3).
fn select(
    names: &Names<SslContext>,
    strict: bool,
    ssl: &mut SslRef,
    alert: &mut SslAlert,
) -> Result<(), SniError> {
    let context = ssl
        .servername(NameType::HOST_NAME)
        .and_then(|name| names.find(name));
    let changed = match context {
        Some(context) => ssl.set_ssl_context(context).is_ok(),
        None => !strict,
    };
    if changed {
        Ok(())
    } else {
        *alert = SslAlert::UNRECOGNIZED_NAME;
        Err(SniError::ALERT_FATAL)
    }
}

/// The first of our protocols that the client offers (RFC 7301 §3.2).
fn choose<'a>(ours: &[Vec<u8>], required: bool, offered: &'a [u8]) -> Result<&'a [u8], AlpnError> {
    let offers = || {
        let mut rest = offered;
        std::iter::from_fn(move || {
            let (length, more) = rest.split_first()?;
            let (name, more) = more.split_at_checked(usize::from(*length))?;
            rest = more;
            Some(name)
        })
    };
    ours.iter()
        .find_map(|own| offers().find(|name| name == own))
        .ok_or(if required {
            AlpnError::ALERT_FATAL
        } else {
            AlpnError::NOACK
        })
}
