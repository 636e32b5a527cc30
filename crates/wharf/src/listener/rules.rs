//! From a listener's configuration to the rules that are checked on each arrival.

use std::sync::Arc;

use wharf_policy::access::{AccessRules, IdentityRules};

use crate::config::{ListenerConfig, Problem, TlsOptions};
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
    let tls = match (config.transport.is_secure(), tls) {
        (false, _) => None,
        (true, Some(tls)) => Some(tls),
        (true, None) => match ServerTls::new(&tls_options(&config, handlers)) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(error) => {
                problems.extend(tls_problems(name, &error));
                None
            }
        },
    };
    if problems.is_empty() {
        let rules = Live {
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

/// The TLS options of a listener: without protocols of its own, with those of its handlers.
pub(crate) fn tls_options(config: &ListenerConfig, handlers: &Handlers) -> TlsOptions {
    let mut options = config.tls.clone();
    if options.alpn.is_empty() {
        options.alpn = handlers.protocols().collect();
    }
    options
}

/// The problems of a listener's certificates.
pub(crate) fn tls_problems(name: &str, error: &TlsError) -> Vec<Problem> {
    let problem = |problem: &TlsProblem| {
        let key = format!("listeners.{name}.tls.{}", problem.key);
        let found = Problem::new(key, problem.fault.to_string());
        match &problem.file {
            Some(file) => found.given(file.display()),
            None => found,
        }
    };
    error.0.iter().map(problem).collect()
}
