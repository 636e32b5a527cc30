//! What a user may choose.

use wharf::config::Rate;
use wharf_sip::identity::Wildcards;
use wharf_sip::route::SentBy;
use wharf_sip::{Domain, Limits};

/// The options of a [`Sip`](crate::Sip) layer. Those of sockets, TLS, access, rates and timeouts are
/// the options of the listeners that it is served by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipOptions {
    /// What one message may cost: bytes, lines and time.
    pub limits: Limits,
    /// Connections at a time, over all listeners and those that are dialled. One more is closed and
    /// counted. An eighth of them is for those that are dialled alone: whoever connects leaves room for the
    /// way to others. Default 100,000.
    pub max_connections: usize,
    /// Bytes that may wait to be sent on one connection, or by one worker thread of UDP. Of these the
    /// whole is for [`Priority::Critical`](crate::Priority), seven eighths for `High`, three quarters for
    /// `Normal` and half for `Low`; beyond that a message is refused with
    /// [`SendError::Full`](crate::SendError::Full). Default 256 KiB.
    pub queue: usize,
    /// Messages taken from one connection, over bytes as over WebSockets; keep-alives do not count. Above it the
    /// connection is not read until the bucket refills, and its messages come then: nothing is lost, and the peer
    /// is slowed down. A zero in it counts as one. Over UDP, `rates.datagrams-per-prefix` of the listener bounds
    /// what one source sends, by dropping. Default none: as fast as the layer above takes them.
    pub messages: Option<Rate>,
    /// What this element writes into the topmost Via of its requests. A response whose topmost Via has none
    /// of these is dropped in silence and counted (RFC 3261 §18.1.2). Default none: no response is looked
    /// at, and the layer above has to.
    pub sent_by: Vec<SentBy>,
    /// Aliases at a time: addresses that requests go to over connections which their peers have opened and
    /// offered, over TLS with a certificate (RFC 5923). One more is refused and counted. Default 10,000; 0
    /// takes none.
    pub aliases: usize,
    /// Whether a peer proves a domain by a name with `*` where its connection is to be used for requests to
    /// that domain. Default: it does not (RFC 5922 §7.2).
    pub wildcards: Wildcards,
    /// The domains of this element that are kept apart, as each has a certificate of its own (RFC 5923 §9.2).
    /// A connection whose peer has asked for one of them by SNI is an alias only for requests on its behalf.
    /// Default none.
    pub virtual_hosts: Vec<Domain>,
}

impl Default for SipOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_connections: 100_000,
            queue: 256 << 10,
            messages: None,
            sent_by: Vec::new(),
            aliases: 10_000,
            wildcards: Wildcards::default(),
            virtual_hosts: Vec::new(),
        }
    }
}
