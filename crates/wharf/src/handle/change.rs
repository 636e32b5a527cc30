//! Changing the rules of listeners that run.

use std::sync::Arc;

use super::{Handle, UnknownListener};
use crate::config::{
    Change, Limits, ListenerConfig, Problem, Problems, Rates, Rule, ServerConfig, ServerLimits,
    Timeouts, plan,
};
use crate::listener::{Listener, compile, load_tls, reload_tls, tls_problems};
use crate::owner::Live;

/// Why a change was not made; nothing of it is in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No listener of this name.
    #[error(transparent)]
    Unknown(#[from] UnknownListener),
    /// The new configuration is no good.
    #[error(transparent)]
    Configuration(#[from] Problems),
}

impl Handle {
    /// Changes the server's own limits. Connections that are there stay.
    ///
    /// # Errors
    /// The limits are no good; then those before stay.
    pub fn set_limits(&self, limits: ServerLimits) -> Result<(), Problems> {
        let _turn = self.inner.turn();
        let all = ServerConfig {
            limits,
            ..self.config()
        };
        crate::server::check(&all, &|checked: &str| self.is_bound_elsewhere(checked))?;
        self.put_limits(all.limits);
        Ok(())
    }

    /// Puts limits in force that were checked.
    pub(super) fn put_limits(&self, limits: ServerLimits) {
        self.inner.gate.set_limit(limits.max_connections);
        self.inner.memory.set_limit(limits.memory);
        self.inner.state().config.limits = limits;
    }

    /// Changes the limits of a listener, for those who come from now on.
    ///
    /// # Errors
    /// There is none of this name, or the limits are no good, or they change what is fixed when
    /// the listener is bound.
    pub fn set_listener_limits(&self, name: &str, limits: Limits) -> Result<(), ChangeError> {
        self.change(name, |config| config.limits = limits)
    }

    /// Changes the rates of a listener, for connections that are there too.
    ///
    /// # Errors
    /// As [`set_listener_limits`](Self::set_listener_limits).
    pub fn set_rates(&self, name: &str, rates: Rates) -> Result<(), ChangeError> {
        self.change(name, |config| config.rates = rates)
    }

    /// Changes the timeouts of a listener, for connections that are there too; `lifetime` for new
    /// ones.
    ///
    /// # Errors
    /// As [`set_listener_limits`](Self::set_listener_limits).
    pub fn set_timeouts(&self, name: &str, timeouts: Timeouts) -> Result<(), ChangeError> {
        self.change(name, |config| config.timeouts = timeouts)
    }

    /// Replaces the access rules of a listener.
    ///
    /// # Errors
    /// As [`set_listener_limits`](Self::set_listener_limits); a duplicate is an error.
    pub fn set_access(&self, name: &str, rules: Vec<Rule>) -> Result<(), ChangeError> {
        self.change(name, |config| config.access = rules)
    }

    /// Puts a rule before the others.
    ///
    /// # Errors
    /// As [`set_access`](Self::set_access).
    pub fn prepend_access(&self, name: &str, rule: Rule) -> Result<(), ChangeError> {
        self.change(name, |config| config.access.insert(0, rule))
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// As [`set_access`](Self::set_access); a rule that is not there is an error.
    pub fn remove_access(&self, name: &str, rule: &Rule) -> Result<(), ChangeError> {
        let mut found = false;
        self.change(name, |config| {
            let before = config.access.len();
            config.access.retain(|listed| listed != rule);
            found = config.access.len() < before;
        })?;
        if found {
            return Ok(());
        }
        let allowed = "expected a rule that is in force";
        let problem = Problem::new(format!("listeners.{name}.access"), allowed).given(rule);
        Err(Problems(vec![problem]).into())
    }

    /// Reads the certificates of a listener anew. On an error the old ones stay.
    ///
    /// # Errors
    /// There is none of this name, it has no TLS, or the certificates are no good.
    pub fn reload_certificates(&self, name: &str) -> Result<(), ChangeError> {
        let listener = self.listener(name)?;
        let live = listener.owner.live();
        if live.tls.is_some() {
            return Ok(reload(&listener, &live)?);
        }
        let allowed = "expected a listener with TLS";
        let key = format!("listeners.{name}.transport");
        let problem = Problem::new(key, allowed).given(live.config.transport.label());
        Err(Problems(vec![problem]).into())
    }

    /// Changes anything of a listener that can change live.
    ///
    /// # Errors
    /// As [`set_listener_limits`](Self::set_listener_limits).
    pub fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Result<(), ChangeError> {
        let _turn = self.inner.turn();
        let listener = self.listener(name)?;
        let mut config = listener.config();
        change(&mut config);
        let live = self.checked(&listener, config)?;
        let _guard = self.inner.runtime.enter();
        put_in_force(&listener, live);
        Ok(())
    }

    /// The rules of a new configuration for a listener that runs, with its certificates read.
    fn checked(&self, listener: &Listener, config: ListenerConfig) -> Result<Live, Problems> {
        let name = &*listener.owner.name;
        let mut all = self.config();
        let old = all.clone();
        all.listeners.insert(name.to_owned(), config.clone());
        crate::server::check(&all, &|checked: &str| self.is_bound_elsewhere(checked))?;
        let fixed = plan(&old, &all)
            .changes
            .into_iter()
            .filter(|change| change.how != Change::Live)
            .map(|change| {
                let allowed = "expected no change: this is fixed when the listener is bound";
                Problem::new(format!("listeners.{name}.{}", change.key), allowed)
                    .advice("Use `apply`, which binds the listener anew")
            })
            .collect();
        crate::server::all(fixed)?;
        prepare(listener, config).map_err(Problems)
    }
}

/// The rules of a new configuration for a listener that runs. Nothing is in force yet: certificates
/// that are to change are read to see that they are good, and bad ones are told and counted.
pub(super) fn prepare(listener: &Listener, config: ListenerConfig) -> Result<Live, Vec<Problem>> {
    let name = &*listener.owner.name;
    let old = listener.owner.live();
    let changes = tls_changes(&old.config, &config);
    let live = compile(name, config, &listener.handlers, old.tls.clone())?;
    if changes && live.tls.is_some() {
        load_tls(&live.config, &listener.handlers).map_err(|error| {
            crate::server::certificates(listener, Some(error.to_string()));
            tls_problems(name, &error)
        })?;
    }
    Ok(live)
}

/// Puts prepared rules in force. Certificates that have gone bad since they were looked at are told
/// and counted, and the old ones stay.
pub(super) fn put_in_force(listener: &Arc<Listener>, live: Live) {
    if tls_changes(&listener.owner.live().config, &live.config) {
        let _ = reload(listener, &live);
    }
    listener.set_live(live);
}

/// Whether what handshakes are made with changes.
fn tls_changes(old: &ListenerConfig, new: &ListenerConfig) -> bool {
    old.tls != new.tls || old.dtls != new.dtls
}

/// Reads the certificates of `live` anew; on an error the old ones stay.
fn reload(listener: &Listener, live: &Live) -> Result<(), Problems> {
    let Some(tls) = &live.tls else { return Ok(()) };
    let reloaded = reload_tls(tls, &live.config, &listener.handlers);
    let problem = reloaded.as_ref().err().map(ToString::to_string);
    crate::server::certificates(listener, problem);
    let name = &*listener.owner.name;
    reloaded.map_err(|error| Problems(tls_problems(name, &error)))
}
