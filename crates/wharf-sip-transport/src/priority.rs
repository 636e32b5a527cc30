//! What leaves first, and what is refused last.

/// How urgent a message is.
///
/// On a connection the most urgent leaves first. When much waits, what is least urgent is refused first: a
/// priority has a share of the connection's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Shutdown and errors. May fill the whole queue.
    Critical,
    /// Responses, and requests that others wait for: ACK, CANCEL, BYE. Seven eighths of the queue.
    High,
    /// Everything else. Three quarters.
    #[default]
    Normal,
    /// Keep-alive and statistics. Half.
    Low,
}

impl Priority {
    pub(crate) const COUNT: usize = 4;

    /// The bytes of a queue of `limit` up to which a message of this priority is taken.
    pub(crate) fn share(self, limit: usize) -> usize {
        match self {
            Self::Critical => limit,
            Self::High => limit / 8 * 7,
            Self::Normal => limit / 4 * 3,
            Self::Low => limit / 2,
        }
    }
}
