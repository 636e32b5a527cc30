//! SIGHUP: reads the file again and applies what a running server can take.

use crate::certificates::{Certificates, Read};
use crate::config::{Changes, Settings, Source, TLS, changes, listeners, load, sip_names};
use crate::descriptors;
use crate::edge;
use crate::problem::{Problem, Problems};
use crate::sip::Service;
use crate::streams;
use tracing::{error, info, warn};
use wharf_turn_server::Handle;

/// What runs, and the file that it was started from.
pub(crate) struct Reloader {
    pub(crate) turn: Handle,
    pub(crate) streams: wharf::Handle,
    pub(crate) certificates: Certificates,
    pub(crate) sip: Option<Service>,
    pub(crate) source: Option<Source>,
}

/// What a reload of the file would do.
pub(crate) struct Planned {
    /// By the keys of the file.
    pub(crate) changes: Changes,
    /// Of the listeners for TCP and TLS.
    pub(crate) listeners: wharf::config::Plan,
    settings: Settings,
    source: Source,
}

impl Reloader {
    /// Reads the file and tells what a reload would do.
    pub(crate) fn plan(&self) -> Result<Planned, Problems> {
        let missing = || {
            Problem::new(
                "reload",
                "there is no file to read: this is the development server",
            )
        };
        let source = self.source.as_ref().ok_or_else(missing)?;
        let (_, file) = load(&source.path)?;
        let changes = changes(&source.table, &file.table);
        // What is to run is checked as a whole: a rule may depend on a key that waits for a restart.
        let settings = Settings::from_table(&changes.merged)?;
        Ok(Planned {
            listeners: self.streams.plan(&listeners(&settings)),
            source: Source {
                path: file.path,
                table: changes.merged.clone(),
            },
            changes,
            settings,
        })
    }

    /// Applies the file and remembers what it said; reads certificates anew. Where the file or a
    /// certificate has a problem, nothing changes. Either is logged.
    pub(crate) fn reload(&mut self) -> Result<Planned, Problems> {
        let applied = self
            .plan()
            .and_then(|planned| self.apply(&planned).map(|()| planned));
        match &applied {
            Ok(Planned { changes, .. }) => {
                info!(keys = changes.live.join(" "), "reloaded");
                if !changes.restart.is_empty() {
                    let keys = changes.restart.join(" ");
                    warn!(keys, "these changes wait for a restart");
                }
            }
            Err(Problems(problems)) => {
                for problem in problems {
                    error!(%problem, "reload refused, nothing has changed");
                }
            }
        }
        applied
    }

    fn apply(&mut self, planned: &Planned) -> Result<(), Problems> {
        let Planned {
            changes, settings, ..
        } = planned;
        let credentials = edge::credentials(&settings.auth, &settings.server.realm)?;
        let read = Read::new(settings)?;
        if let Some(sip) = &self.sip {
            sip.reload_upstream_tls()?;
        }
        self.apply_to_streams(planned)?;
        if let Some(read) = read {
            self.certificates.replace(read);
        }
        let touched = |keys| changes.live.iter().any(|key| key.starts_with(keys));
        if touched("auth.") {
            self.turn.set_credentials(credentials);
        }
        if touched("peers.") || touched("listen.") {
            self.turn.set_peers(edge::peers(settings));
        }
        if touched("allocations.") {
            self.turn.set_quotas(edge::quotas(settings));
        }
        if touched("allocations.") || touched("listen.") || touched("stream.") {
            descriptors::warn_if_few(settings);
        }
        if touched("limits.") {
            self.turn
                .set_unauthenticated_limit(edge::unauthenticated(settings));
        }
        self.source = Some(planned.source.clone());
        Ok(())
    }

    /// Certificates whose files are to stay are read anew first: that may fail.
    fn apply_to_streams(&self, planned: &Planned) -> Result<(), Problems> {
        let plan = &planned.listeners;
        let mut changes = plan.changes.iter();
        let [_, _, tls, _, wss] = sip_names();
        let same = !changes.any(|change| change.key.starts_with("tls."));
        let secure = [TLS, tls, wss].into_iter().filter(|&name| {
            same && self.streams.inspect(name).is_ok()
                && !plan.removed.iter().any(|removed| removed == name)
        });
        for name in secure {
            let reloaded = self.streams.reload_certificates(name);
            reloaded.map_err(|error| match error {
                wharf::ChangeError::Configuration(problems) => streams::in_file(problems),
                other => Problem::new("tls", other.to_string()).into(),
            })?;
        }
        if plan.is_empty() {
            return Ok(());
        }
        let wanted = listeners(&planned.settings);
        let deadline = planned.settings.server.drain_deadline;
        let applied = self.streams.apply(wanted, deadline);
        applied.map(drop).map_err(|error| streams::in_file(error.0))
    }
}
