//! How a manager hears of what it has sent over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;

use super::state::Shared;
use crate::{Event, Incoming, Outgoing, Taken, Upper};

/// A layer above, of whose events a manager hears first. It does not keep the manager.
pub struct Watched<U> {
    pub(super) shared: Weak<Shared>,
    pub(super) upper: U,
}

impl<U: Upper> Upper for Watched<U> {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        if incoming.connection.is_some()
            && let Some(shared) = self.shared.upgrade()
        {
            shared.used(&incoming.flow);
        }
        self.upper.message(incoming, out)
    }

    fn event(&self, event: Event) {
        if let Some(shared) = self.shared.upgrade() {
            shared.heard(&event);
        }
        self.upper.event(event);
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.upper.room()
    }
}

impl<U> std::fmt::Debug for Watched<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
