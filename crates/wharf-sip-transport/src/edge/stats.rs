//! What an edge has counted.

use crate::counters::counters;

counters! {
    EdgeCounters =>
    /// The counters of an [`Edge`](super::Edge). A message is counted once, except that a request which is
    /// refused and cannot be answered, an ACK, is counted as refused too.
    EdgeStats {
        /// Requests of clients that went to the upstream.
        to_upstream,
        /// Requests of the upstream that went to clients.
        to_clients,
        /// Responses that went back.
        responses,
        /// Requests to the edge itself that it answered with 200.
        answered,
        /// Requests that it refused.
        refused,
        /// Responses that are none to what the edge has sent, or come from where they must not
        /// (RFC 3261 §18.1.2).
        strays,
        /// Responses whose client, or connection to the upstream, is gone.
        gone,
        /// Responses for which there was no room, or that could not be changed.
        lost,
    }
}
