//! From a listener's configuration to the rules that are checked on each arrival.

use std::sync::Arc;

use wharf_policy::access::{AccessRules, IdentityRules};
use wharf_policy::first_bytes::{Protocol, Protocols};

use crate::config::{DemuxLayer, DtlsOptions, ListenerConfig, Problem, TlsOptions};
use crate::handlers::Handlers;
use crate::owner::Live;
use crate::tls::{ServerTls, TlsError, TlsProblem};

/// The rules of `config`, with the certificates in `tls` if there are already some. Every problem
/// is reported, with `listeners.NAME` before its key.
pub(crate) fn compile(
    name: &str,
    config: ListenerConfig,
    handlers: &Handlers,
    tls: Option<Arc<ServerTls>>,
) -> Result<Live, Vec<Problem>> {
    let mut problems = Vec::new();
    let at = |key: &str| format!("listeners.{name}.{key}");
    let access = AccessRules::new(config.access.iter().map(|rule| rule.0).collect())
        .unwrap_or_else(|duplicate| {
            problems.push(Problem::new(at("access"), duplicate.to_string()));
            AccessRules::default()
        });
    let peers = config.unix.peers.iter().map(|rule| rule.0).collect();
    let identities = IdentityRules::new(peers).unwrap_or_else(|duplicate| {
        problems.push(Problem::new(at("unix.peers"), duplicate.to_string()));
        IdentityRules::default()
    });
    let tls = match (config.is_secure(), tls) {
        (false, _) => None,
        (true, Some(tls)) => Some(tls),
        (true, None) => match load_tls(&config, handlers) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(error) => {
                problems.extend(tls_problems(name, &error));
                None
            }
        },
    };
    if problems.is_empty() {
        let rules = Live {
            wanted: wanted(&config, handlers),
            config,
            access,
            identities,
            tls,
        };
        Ok(rules)
    } else {
        Err(problems)
    }
}

/// What first bytes are looked for: what there are handlers for, and layers.
fn wanted(config: &ListenerConfig, handlers: &Handlers) -> Protocols {
    let layers = config.demux.layers.iter().map(|layer| match layer {
        DemuxLayer::Tls => Protocol::Tls,
        DemuxLayer::Websocket => Protocol::Http,
        DemuxLayer::Dtls => Protocol::Dtls,
    });
    handlers.firsts().chain(layers).collect()
}

/// The certificates of a listener, read.
pub(crate) fn load_tls(
    config: &ListenerConfig,
    handlers: &Handlers,
) -> Result<ServerTls, TlsError> {
    ServerTls::with_dtls(&tls_options(config, handlers), dtls_options(config))
}

/// Reads the certificates of a listener anew, and puts them and all else of TLS in force.
pub(crate) fn reload_tls(
    tls: &ServerTls,
    config: &ListenerConfig,
    handlers: &Handlers,
) -> Result<(), TlsError> {
    tls.reload_with_dtls(&tls_options(config, handlers), dtls_options(config))
        .map(|_| ())
}

/// The DTLS options of a listener that speaks it.
fn dtls_options(config: &ListenerConfig) -> Option<&DtlsOptions> {
    config.speaks_dtls().then_some(&config.dtls)
}

/// The TLS options of a listener: without protocols of its own, with those of its handlers.
fn tls_options(config: &ListenerConfig, handlers: &Handlers) -> TlsOptions {
    let mut options = config.tls.clone();
    if options.alpn.is_empty() {
        options.alpn = handlers.protocols().collect();
    }
    options
}

/// The problems of a listener's certificates.
pub(crate) fn tls_problems(name: &str, error: &TlsError) -> Vec<Problem> {
    let problem = |problem: &TlsProblem| {
        // What OpenSSL refuses as a whole is a matter of both sections.
        let key = match problem.key.as_str() {
            "dtls" => format!("listeners.{name}.dtls"),
            key => format!("listeners.{name}.tls.{key}"),
        };
        let found = Problem::new(key, problem.fault.to_string());
        match &problem.file {
            Some(file) => found.given(file.display()),
            None => found,
        }
    };
    error.0.iter().map(problem).collect()
}
