//! What the connections of a listener are made with, built once for as long as nothing changes.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::crypto::{Asking, Refuses, for_quic, seal};
use super::handshake::Terms;
use super::transport::transport;
use crate::listener::Listener;
use crate::owner::Live;
use crate::reason::Refusal;

/// The configurations of a listener's connections. Its endpoints share them, and with them the sessions of
/// clients that come again, to whichever endpoint.
#[derive(Default)]
pub(crate) struct Configs {
    /// What all have in common: the key of Retry tokens.
    base: OnceLock<quinn::ServerConfig>,
    built: Mutex<Option<Arc<Built>>>,
}

/// The configuration of new connections, for as long as nothing has changed.
struct Built {
    /// What it was made of.
    tls: Arc<rustls::ServerConfig>,
    version: u32,
    quic: rustls::ServerConfig,
    config: Arc<quinn::ServerConfig>,
}

impl Configs {
    /// The configuration in force, for an endpoint.
    pub(super) fn server(
        &self,
        listener: &Listener,
        live: &Live,
    ) -> Result<quinn::ServerConfig, Refusal> {
        Ok((*self.built(listener, live)?.config).clone())
    }

    /// What one connection is made with.
    pub(super) fn terms(&self, listener: &Listener, live: &Live) -> Result<Terms, Refusal> {
        let built = self.built(listener, live)?;
        let (config, refuses) = if listener.hooks.client_hello.is_some() {
            let (config, refuses) = asking(&built, listener)?;
            (config, Some(refuses))
        } else {
            (built.config.clone(), None)
        };
        Ok(Terms {
            config,
            refuses,
            options: live.config.quic.clone(),
        })
    }

    fn built(&self, listener: &Listener, live: &Live) -> Result<Arc<Built>, Refusal> {
        // A QUIC listener has certificates from its start.
        let tls = live.tls.as_ref().ok_or(Refusal::Tls)?.config();
        let version = listener.owner.version();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = &*built
            && built.version == version
            && Arc::ptr_eq(&built.tls, &tls)
        {
            return Ok(built.clone());
        }
        let options = &live.config.quic;
        let quic = for_quic(&tls, options.zero_rtt);
        let crypto = seal(quic.clone())?;
        let base = self.base.get_or_init(|| {
            // With a random key for Retry tokens.
            quinn::ServerConfig::with_crypto(crypto.clone())
        });
        let mut config = base.clone();
        config.crypto = crypto;
        config
            .transport_config(transport(options, listener.handlers.takes()))
            .migration(options.migration);
        let new = Arc::new(Built {
            tls,
            version,
            quic,
            config: Arc::new(config),
        });
        *built = Some(new.clone());
        Ok(new)
    }
}

/// A configuration of its own for one connection, which asks the user's hook.
fn asking(
    built: &Built,
    listener: &Listener,
) -> Result<(Arc<quinn::ServerConfig>, Refuses), Refusal> {
    let (tls, refuses) = Asking::before(&built.quic, &listener.hooks, &listener.owner.name);
    let mut config = (*built.config).clone();
    config.crypto = seal(tls)?;
    Ok((Arc::new(config), refuses))
}
