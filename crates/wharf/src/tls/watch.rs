//! Reloading certificates when their files change.

use std::future::pending;
use std::sync::Arc;

use super::error::TlsError;
use super::server::{Reloaded, ServerTls};

/// What watching the files has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// New files are in force.
    Reloaded(Reloaded),
    /// New files are no good; the old certificates remain in force. Told once for each different
    /// error, and tried again at each interval: a certificate whose key is yet to be written is
    /// in order a moment later.
    Failed(TlsError),
}

impl ServerTls {
    /// Looks at the files every [`watch`](crate::config::TlsOptions::watch) and reloads them when
    /// one has changed (by device, inode, size or time). Runs until it is dropped; with `watch`
    /// off it waits for a reload that sets it. The files are read on a thread of the runtime's
    /// blocking pool.
    pub async fn watch(self: Arc<Self>, mut report: impl FnMut(WatchEvent)) {
        let mut failed = None;
        loop {
            let interval = self.options().watch;
            let tick = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = tick => {}
                () = self.replaced.notified() => continue,
            }
            let this = Arc::clone(&self);
            let refreshed = match tokio::task::spawn_blocking(move || this.refresh()).await {
                Ok(refreshed) => refreshed,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down.
                    Err(_) => return,
                },
            };
            match refreshed {
                None => failed = None,
                Some(Ok(reloaded)) => {
                    failed = None;
                    report(WatchEvent::Reloaded(reloaded));
                }
                Some(Err(error)) if failed.as_ref() == Some(&error) => {}
                Some(Err(error)) => {
                    failed = Some(error.clone());
                    report(WatchEvent::Failed(error));
                }
            }
        }
    }
}
