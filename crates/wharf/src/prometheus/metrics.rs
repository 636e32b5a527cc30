//! The counters of listeners and clients, and their names.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::Stats;

/// A number of each listener or client.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) kind: MetricType,
    pub(super) value: fn(&Stats) -> u64,
}

const fn counter(name: &'static str, help: &'static str, value: fn(&Stats) -> u64) -> Metric {
    Metric {
        name,
        help,
        unit: None,
        kind: MetricType::Counter,
        value,
    }
}

const fn bytes(name: &'static str, help: &'static str, value: fn(&Stats) -> u64) -> Metric {
    Metric {
        name,
        help,
        unit: Some(Unit::Bytes),
        kind: MetricType::Counter,
        value,
    }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Stats) -> u64) -> Metric {
    Metric {
        name,
        help,
        unit: None,
        kind: MetricType::Gauge,
        value,
    }
}

/// Of listeners and clients. Without the prefix, `_total` and the unit, which are put around them.
pub(super) static METRICS: [Metric; 16] = [
    gauge(
        "connections_pending",
        "Connections whose handshakes are not complete.",
        |stats| stats.pending,
    ),
    counter(
        "connections_accepted",
        "Connections that reached their handler.",
        |stats| stats.accepted,
    ),
    gauge(
        "connections_live",
        "Connections that reached their handler and have not ended.",
        |stats| stats.live,
    ),
    bytes("received", "Bytes received, as on the wire.", |stats| {
        stats.received
    }),
    bytes("sent", "Bytes sent, as on the wire.", |stats| stats.sent),
    counter(
        "throttled",
        "Pauses in reading from a connection over its rate.",
        |stats| stats.throttled,
    ),
    counter("messages_received", "Messages received.", |stats| {
        stats.messages_received
    }),
    counter("messages_sent", "Messages sent.", |stats| {
        stats.messages_sent
    }),
    counter(
        "messages_dropped",
        "Messages dropped because the peer was too slow to take them.",
        |stats| stats.messages_dropped,
    ),
    counter(
        "messages_oversized",
        "Messages larger than allowed.",
        |stats| stats.messages_oversized,
    ),
    counter(
        "messages_incomplete",
        "Connections that ended in the middle of a message.",
        |stats| stats.messages_incomplete,
    ),
    counter(
        "messages_unparsable",
        "Messages that could not be parsed.",
        |stats| stats.messages_unparsable,
    ),
    counter(
        "datagrams_received",
        "Datagrams that the kernel handed over.",
        |stats| stats.datagrams_received,
    ),
    counter(
        "datagrams_delivered",
        "Datagrams given to a handler, or queued for one.",
        |stats| stats.datagrams_delivered,
    ),
    counter(
        "datagrams_sent",
        "Datagrams that handlers have sent.",
        |stats| stats.datagrams_sent,
    ),
    counter(
        "datagrams_icmp_errors",
        "ICMP errors that came for datagrams that were sent.",
        |stats| stats.icmp_errors,
    ),
];

/// Of listeners only.
pub(super) static LISTENER_METRICS: [Metric; 10] = [
    counter(
        "connections_arrived",
        "Connections that the kernel handed over.",
        |stats| stats.arrived,
    ),
    counter(
        "connections_challenged",
        "Clients that were asked to prove their address (QUIC Retry, DTLS cookies).",
        |stats| stats.challenged,
    ),
    counter(
        "accept_errors",
        "Errors of accept(2) other than a connection that was gone again.",
        |stats| stats.accept_errors,
    ),
    counter(
        "accept_pauses",
        "Pauses in accepting after such an error.",
        |stats| stats.accept_pauses,
    ),
    counter(
        "certificate_reloads",
        "Times that certificates were reloaded.",
        |stats| stats.certificate_reloads,
    ),
    counter(
        "certificate_failures",
        "Reloads of certificates that failed and left the old ones in force.",
        |stats| stats.certificate_failures,
    ),
    counter(
        "datagrams_answered",
        "Datagrams answered without a handler.",
        |stats| stats.datagrams_answered,
    ),
    counter(
        "datagrams_unsent",
        "Datagrams that batch handlers could not send.",
        |stats| stats.datagrams_unsent,
    ),
    counter(
        "datagrams_worker_panics",
        "Panics of batch handlers.",
        |stats| stats.worker_panics,
    ),
    counter(
        "datagrams_kernel_drops",
        "Datagrams that the kernel discarded for want of room.",
        |stats| stats.kernel_drops,
    ),
];

/// Of clients only.
pub(super) static CLIENT_METRICS: [Metric; 1] = [counter(
    "connections_dialled",
    "Connections that were begun.",
    |stats| stats.arrived,
)];
