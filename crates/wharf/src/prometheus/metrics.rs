//! The counters of a listener and their names.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::Stats;

/// A number of each listener.
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

/// Without `_total`, and without the unit, which the encoder appends.
pub(super) static METRICS: [Metric; 23] = [
    counter(
        "wharf_connections_arrived",
        "Connections that the kernel handed over.",
        |stats| stats.arrived,
    ),
    gauge(
        "wharf_connections_pending",
        "Connections whose handshakes are not complete.",
        |stats| stats.pending,
    ),
    counter(
        "wharf_connections_accepted",
        "Connections that reached their handler.",
        |stats| stats.accepted,
    ),
    gauge(
        "wharf_connections_live",
        "Connections that reached their handler and have not ended.",
        |stats| stats.live,
    ),
    bytes(
        "wharf_received",
        "Bytes received, as on the wire.",
        |stats| stats.received,
    ),
    bytes("wharf_sent", "Bytes sent, as on the wire.", |stats| {
        stats.sent
    }),
    counter(
        "wharf_accept_errors",
        "Errors of accept(2) other than a connection that was gone again.",
        |stats| stats.accept_errors,
    ),
    counter(
        "wharf_accept_pauses",
        "Pauses in accepting after such an error.",
        |stats| stats.accept_pauses,
    ),
    counter(
        "wharf_throttled",
        "Pauses in reading from a connection over its rate.",
        |stats| stats.throttled,
    ),
    counter("wharf_messages_received", "Messages received.", |stats| {
        stats.messages_received
    }),
    counter("wharf_messages_sent", "Messages sent.", |stats| {
        stats.messages_sent
    }),
    counter(
        "wharf_messages_dropped",
        "Messages dropped because the peer was too slow to take them.",
        |stats| stats.messages_dropped,
    ),
    counter(
        "wharf_messages_oversized",
        "Messages larger than allowed.",
        |stats| stats.messages_oversized,
    ),
    counter(
        "wharf_messages_incomplete",
        "Connections that ended in the middle of a message.",
        |stats| stats.messages_incomplete,
    ),
    counter(
        "wharf_messages_unparsable",
        "Messages that could not be parsed.",
        |stats| stats.messages_unparsable,
    ),
    counter(
        "wharf_certificate_reloads",
        "Times that certificates were reloaded.",
        |stats| stats.certificate_reloads,
    ),
    counter(
        "wharf_certificate_failures",
        "Reloads of certificates that failed and left the old ones in force.",
        |stats| stats.certificate_failures,
    ),
    counter(
        "wharf_datagrams_received",
        "Datagrams that the kernel handed over.",
        |stats| stats.datagrams_received,
    ),
    counter(
        "wharf_datagrams_delivered",
        "Datagrams given to a handler, or queued for one.",
        |stats| stats.datagrams_delivered,
    ),
    counter(
        "wharf_datagrams_answered",
        "Datagrams answered without a handler.",
        |stats| stats.datagrams_answered,
    ),
    counter(
        "wharf_datagrams_sent",
        "Datagrams that handlers have sent.",
        |stats| stats.datagrams_sent,
    ),
    counter(
        "wharf_kernel_drops",
        "Datagrams that the kernel discarded for want of room.",
        |stats| stats.kernel_drops,
    ),
    counter(
        "wharf_icmp_errors",
        "ICMP errors that came for datagrams that were sent.",
        |stats| stats.icmp_errors,
    ),
];
