//! SIGHUP: reads the file again and applies what a running server can take.

use crate::config::{Settings, Source, changes, load};
use crate::descriptors;
use crate::edge;
use crate::problem::Problems;
use tracing::{error, info, warn};
use wharf_turn_server::Handle;

/// Applies the file of `source` to the server and remembers what it said. Where the file has a
/// problem, nothing changes; each problem is logged.
pub(crate) fn reload(handle: &Handle, source: &mut Source) {
    match apply(handle, source) {
        Ok(restart) if restart.is_empty() => {}
        Ok(restart) => warn!(keys = restart.join(" "), "these changes wait for a restart"),
        Err(Problems(problems)) => {
            for problem in &problems {
                error!(%problem, "reload refused, nothing has changed");
            }
        }
    }
}

/// Returns the keys that wait for a restart.
fn apply(handle: &Handle, source: &mut Source) -> Result<Vec<String>, Problems> {
    let (_, file) = load(&source.path)?;
    let changes = changes(&source.table, &file.table);
    // What is to run is checked as a whole: a rule may depend on a key that waits for a restart.
    let settings = Settings::from_table(&changes.merged)?;
    let touched = |keys| changes.live.iter().any(|key| key.starts_with(keys));
    if touched("auth.") {
        handle.set_credentials(edge::credentials(&settings.auth, &settings.server.realm)?);
    }
    if touched("peers.") {
        handle.set_peers(edge::peers(&settings));
    }
    if touched("allocations.") {
        handle.set_quotas(edge::quotas(&settings));
        descriptors::warn_if_few(&settings);
    }
    if touched("limits.") {
        handle.set_unauthenticated_limit(edge::unauthenticated(&settings));
    }
    source.table = changes.merged;
    info!(keys = changes.live.join(" "), "reloaded");
    Ok(changes.restart)
}
