//! What is taken of every limit, for the test kit to audit.

use super::Handle;

impl Handle {
    /// What is taken, by the limit's name; empty when nothing is.
    pub(crate) fn held(&self) -> Vec<(String, u64)> {
        let mut held = vec![("server".to_owned(), self.inner.gate.inside())];
        for listener in self.inner.listeners() {
            let name = &listener.owner.name;
            held.push((format!("{name} connections"), listener.gate.inside()));
            held.push((format!("{name} handshakes"), listener.handshakes.inside()));
            held.push((format!("{name} prefixes"), listener.prefixes().held()));
        }
        held.retain(|(_, count)| *count > 0);
        held
    }
}
