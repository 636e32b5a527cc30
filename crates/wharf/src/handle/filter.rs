//! Which connections.

use std::time::Duration;

use ipnet::IpNet;

use crate::Connection;
use crate::config::Transport;

/// Chooses connections; what is not said matches all.
///
/// ```
/// use wharf::Filter;
/// let old = Filter::default().listener("web").older_than(std::time::Duration::from_secs(3600));
/// let lan = Filter::default().peer("10.0.0.0/8".parse().unwrap());
/// # let _ = (old, lan);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Filter {
    id: Option<u64>,
    listener: Option<String>,
    transport: Option<Transport>,
    peer: Option<IpNet>,
    older_than: Option<Duration>,
}

impl Filter {
    /// The connection with this number.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Of this listener.
    #[must_use]
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.listener = Some(name.into());
        self
    }

    /// Over this transport.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Whose peer, the client behind a proxy, is in this range.
    #[must_use]
    pub fn peer(mut self, range: IpNet) -> Self {
        self.peer = Some(range);
        self
    }

    /// Accepted at least this long ago.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Whether `connection` is one of them.
    pub fn matches(&self, connection: &Connection) -> bool {
        self.id.is_none_or(|id| id == connection.id())
            && self
                .listener
                .as_ref()
                .is_none_or(|name| name == connection.listener())
            && self
                .transport
                .is_none_or(|transport| transport == connection.path().transport)
            && self.peer.is_none_or(|range| {
                connection
                    .peer()
                    .ip()
                    .is_some_and(|peer| range.contains(&peer.ip()))
            })
            && self.older_than.is_none_or(|age| connection.age() >= age)
    }
}
