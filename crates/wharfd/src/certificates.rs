//! The certificates of DTLS, whose sessions are made by the TURN workers: read at the start, watched,
//! and read anew by a reload, as the library does it for TLS.

use crate::config::{DTLS, Settings, dtls_certificates};
use crate::problem::Problems;
use std::sync::Arc;
use tokio::task::AbortHandle;
use tracing::{error, info};
use wharf::tls::{ServerTls, WatchEvent};
use wharf_turn_server::Handle;
use wharf_turn_server::wharf_dtls::ServerContext;

/// Certificates that were read and are not in force yet.
pub(crate) struct Read(ServerTls);

impl Read {
    /// Reads what the settings name; nothing where DTLS is not spoken.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, Problems> {
        Ok(dtls_certificates(settings)?.map(Self))
    }

    /// What sessions are made from.
    pub(crate) fn context(&self) -> Option<ServerContext> {
        self.0.dtls()
    }
}

/// Keeps the certificates in force true to their files.
pub(crate) struct Certificates {
    turn: Handle,
    watching: Option<AbortHandle>,
}

impl Certificates {
    /// Watches the files of certificates that `turn` was started with.
    pub(crate) fn new(turn: Handle, read: Option<Read>) -> Self {
        let mut certificates = Self {
            turn,
            watching: None,
        };
        if let Some(read) = read {
            certificates.watch(read);
        }
        certificates
    }

    /// Puts others in force for new sessions.
    pub(crate) fn replace(&mut self, read: Read) {
        put(&self.turn, &read.0);
        self.watch(read);
    }

    fn watch(&mut self, Read(tls): Read) {
        if let Some(before) = self.watching.take() {
            before.abort();
        }
        let (turn, tls) = (self.turn.clone(), Arc::new(tls));
        let seen = Arc::clone(&tls);
        let watching = tokio::spawn(tls.watch(move |event| match event {
            WatchEvent::Reloaded(_) => {
                put(&turn, &seen);
                info!(listener = DTLS, "certificates reloaded");
            }
            WatchEvent::Failed(problem) => failed(&problem.to_string()),
        }));
        self.watching = Some(watching.abort_handle());
    }
}

fn put(turn: &Handle, tls: &ServerTls) {
    let put = tls.dtls().map(|context| turn.set_dtls(&context));
    if let Some(Err(problem)) = put {
        failed(&problem.to_string());
    }
}

fn failed(problem: &str) {
    error!(
        listener = DTLS,
        problem, "certificates not reloaded, the old ones stay"
    );
}
