//! The end of a client's connection.

use crate::path::PathKey;
use crate::server::{Pending, Server};
use crate::{ClientPath, FreedBy};

impl Server {
    /// A client's connection has ended, whoever ended it: its allocation goes with it (RFC 8656 §5).
    ///
    /// Requests that wait for the answer to a command are not answered any more. An allocation that is
    /// being made ends when its commands are answered; until then another connection of the same path
    /// gets a 437. A port reserved by EVEN-PORT stays for whoever brings its token.
    pub fn handle_client_closed(&mut self, path: &ClientPath) {
        let key = PathKey::new(path);
        for (_, (_, pending)) in &mut self.pending {
            if matches!(pending, Pending::LookUp { path, .. } if PathKey::new(path) == key) {
                *pending = Pending::Abandoned;
            }
        }
        let Some(index) = self.allocations.find(path) else {
            return;
        };
        match &mut self.allocations.get_mut(index).binding {
            Some(binding) => binding.abandoned = true,
            None => self.free(index, FreedBy::Disconnect),
        }
    }

    /// Ends an allocation that nobody was told of.
    pub(crate) fn give_up(&mut self, index: u32) {
        self.free_relay(index, 0);
        self.free_relay(index, 1);
        self.allocations.remove(index);
    }
}
