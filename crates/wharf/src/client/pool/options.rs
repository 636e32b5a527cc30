//! The bounds of a pool.

use std::time::Duration;

/// The bounds of each [`Pool`](super::Pool) of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Connections at most, free, taken and being made, 1 to 65,536. Default 64. Who finds none free
    /// then waits.
    pub max_total: usize,
    /// Free connections at most; what comes back beyond is closed. 0 uses none again. Default 16.
    pub max_idle: usize,
    /// How long a free connection is kept, 1 ms to 1 year. Default 60 s; `None` is without end. Less
    /// than the peer's own patience avoids requests on connections that it is about to close.
    pub idle: Option<Duration>,
    /// How long to wait for a connection, its making included, 1 ms to 1 year. Default 10 s; `None`
    /// is without end.
    pub wait: Option<Duration>,
    /// How many may wait at once, 1 to 65,536; more are refused. Default 1,024.
    pub max_waiting: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_total: 64,
            max_idle: 16,
            idle: Some(Duration::from_mins(1)),
            wait: Some(Duration::from_secs(10)),
            max_waiting: 1024,
        }
    }
}
