//! What a connection holds of every limit, given back when it ends.

use crate::gate::Pass;
use crate::prefixes::PrefixPass;

/// The places of one connection.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) listener: Option<Pass>,
    pub(crate) server: Option<Pass>,
    pub(crate) prefix: Option<PrefixPass>,
    /// Held until the handshakes are complete.
    pub(crate) handshake: Option<Pass>,
    /// Held until the handshakes are complete.
    pub(crate) prefix_handshake: Option<PrefixPass>,
}

impl Places {
    /// The handshakes are complete.
    pub(crate) fn established(&mut self) {
        self.handshake = None;
        self.prefix_handshake = None;
    }

    /// No longer counted.
    pub(crate) fn exempt(&mut self) {
        self.listener = None;
        self.server = None;
        self.prefix = None;
    }
}
