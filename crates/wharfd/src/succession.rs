//! From one process to the next: the sockets of a daemon that runs become those of the one that is started with the
//! same file.
//!
//! Its clients' listeners and the sockets of the TURN workers go together, and those of its tools by themselves,
//! since they are another server. Allocations stay where they are ([`Legacy`]).

use crate::problem::Problem;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use wharf::handover::{Handover, HandoverError};
use wharf::{Handle, Server};
use wharf_turn_server::{Legacy, TurnServer};

/// The key of the place where successors ask.
const KEY: &str = "server.handover";

/// How long a successor may take from the clients' sockets to those of the tools. It starts threads between them.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What a daemon that runs offers; nothing where there is none.
#[derive(Default)]
pub(crate) struct Predecessor {
    pub(crate) streams: Option<Handover>,
    pub(crate) operations: Option<Handover>,
    pub(crate) turn: Option<Legacy>,
}

impl Predecessor {
    /// Asks whoever offers at `path`.
    pub(crate) async fn take(path: &Path) -> Result<Self, Problem> {
        let mut streams = Handover::take(path).await.map_err(|error| failed(&error))?;
        let carried = streams.as_mut().map(Handover::carried);
        let turn = Legacy::from_descriptors(carried.unwrap_or_default());
        Ok(Self {
            turn: turn.map_err(|error| Problem::new(KEY, error.to_string()))?,
            operations: Handover::take(beside(path))
                .await
                .map_err(|error| failed(&error))?,
            streams,
        })
    }
}

/// Offers everything at `path` from the moment at which the servers run.
pub(crate) fn offer(
    path: &Path,
    streams: &Server,
    operations: &Server,
    turn: &TurnServer,
) -> Result<(), Problem> {
    let legacy = turn.legacy();
    let legacy = legacy.map_err(|error| Problem::new(KEY, error.to_string()))?;
    let streams = streams.handle();
    for (name, descriptor) in legacy.into_descriptors() {
        streams.carry(name, descriptor);
    }
    let offered = streams
        .offer_handover(path)
        .and_then(|()| operations.handle().offer_handover(beside(path)));
    offered.map_err(|error| Problem::new(KEY, error.to_string()))
}

/// Waits until the successor, which has the clients' sockets, has those of the tools too. False if it has not taken
/// them within 5 s: then it has died.
pub(crate) async fn given(operations: &Handle) -> bool {
    // Before the look, so that nothing falls between.
    let mut events = operations.events();
    let taken = async {
        while !operations.is_draining() {
            if let Err(RecvError::Closed) = events.recv().await {
                return;
            }
        }
    };
    timeout(TAKEN_WITHIN, taken).await.is_ok()
}

/// The place for the tools' sockets.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut path = OsString::from(path);
    path.push(".tools");
    path.into()
}

pub(crate) fn failed(error: &HandoverError) -> Problem {
    Problem::new(KEY, error.to_string())
}
