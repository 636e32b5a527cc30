//! TLS within QUIC (RFC 9001): the listener's own configuration, and the user's say on a hello.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn::crypto::rustls::QuicServerConfig;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

use crate::hooks::{Hello, HelloChoice, Hooks};
use crate::reason::Refusal;

/// Sessions that are kept for clients that send early data (`quic.zero-rtt`); the oldest goes first.
const SESSIONS: usize = 1024;

/// The listener's TLS for QUIC, with early data if it is wanted.
///
/// Early data needs sessions that are used once (RFC 8446 §8.1), so they are kept here instead of in
/// tickets, which anybody could show twice.
pub(super) fn for_quic(tls: &ServerConfig, zero_rtt: bool) -> ServerConfig {
    let mut config = tls.clone();
    if zero_rtt {
        // RFC 9001 §4.6.1: all or nothing.
        config.max_early_data_size = u32::MAX;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = Arc::new(NoTickets);
    }
    config
}

/// As quinn takes it.
///
/// # Errors
/// The provider lacks the cipher suite of Initial packets; aws-lc-rs has it.
pub(super) fn seal(config: ServerConfig) -> Result<Arc<QuicServerConfig>, Refusal> {
    QuicServerConfig::try_from(config)
        .map(Arc::new)
        .map_err(|_| Refusal::Tls)
}

#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Asks the user's `client_hello` hook when the hello of one connection has come.
pub(super) struct Asking {
    hooks: Arc<Hooks>,
    listener: Arc<str>,
    own: Arc<dyn ResolvesServerCert>,
    refused: Arc<AtomicBool>,
}

/// Whether the hook has refused the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Refuses(Arc<AtomicBool>);

impl Refuses {
    pub(super) fn it(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Asking {
    /// `config` for one connection, whose hello is shown to the hook.
    pub(super) fn before(
        config: &ServerConfig,
        hooks: &Arc<Hooks>,
        listener: &Arc<str>,
    ) -> (ServerConfig, Refuses) {
        let refuses = Refuses::default();
        let mut config = config.clone();
        config.cert_resolver = Arc::new(Self {
            hooks: hooks.clone(),
            listener: listener.clone(),
            own: config.cert_resolver,
            refused: refuses.0.clone(),
        });
        (config, refuses)
    }
}

impl ResolvesServerCert for Asking {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = Hello::of_tls(&hello);
        match self.hooks.client_hello(&self.listener, &asked) {
            HelloChoice::Proceed => self.own.resolve(hello),
            HelloChoice::Use(config) => config.cert_resolver.resolve(hello),
            // Without a certificate rustls answers `access_denied`. What is for DTLS is no answer here.
            _ => {
                self.refused.store(true, Ordering::Release);
                None
            }
        }
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}
