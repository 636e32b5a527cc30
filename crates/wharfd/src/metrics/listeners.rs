//! The counters of the library's listeners: those of the clients over TCP and TLS, and the daemon's
//! own.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use wharf::{Handle, Stats};

/// A counter: its name, what it means, and its value.
type Counter = (&'static str, &'static str, fn(&Stats) -> u64);

const COUNTERS: [Counter; 7] = [
    (
        "connections_arrived",
        "Connections that the kernel handed over.",
        |stats| stats.arrived,
    ),
    (
        "connections_accepted",
        "Connections whose handshakes were completed.",
        |stats| stats.accepted,
    ),
    (
        "connection_received_bytes",
        "Bytes received over connections, as on the wire.",
        |stats| stats.received,
    ),
    (
        "connection_sent_bytes",
        "Bytes sent over connections, as on the wire.",
        |stats| stats.sent,
    ),
    (
        "accept_pauses",
        "Pauses in accepting for want of descriptors or memory.",
        |stats| stats.accept_pauses,
    ),
    (
        "certificate_reloads",
        "Certificates that were reloaded.",
        |stats| stats.certificate_reloads,
    ),
    (
        "certificate_failures",
        "Reloads that failed and left the certificates as they were.",
        |stats| stats.certificate_failures,
    ),
];

const GAUGES: [Counter; 2] = [
    ("connections", "Open connections.", |stats| stats.live),
    (
        "connections_pending",
        "Connections whose handshakes are pending.",
        |stats| stats.pending,
    ),
];

/// Collects from several servers whose listeners have different names.
#[derive(Debug)]
pub(super) struct Listeners(pub(super) Vec<Handle>);

impl Collector for Listeners {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all: Vec<(String, Stats)> = self.0.iter().flat_map(Handle::stats).collect();
        for (name, help, value) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (listener, stats) in &all {
                let labels = [("listener", listener.as_str())];
                ConstCounter::new(value(stats)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (listener, stats) in &all {
                let labels = [("listener", listener.as_str())];
                let value = i64::try_from(value(stats)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "connections_refused";
        let help = "Arrivals that were turned away, by reason.";
        let mut refused = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (listener, stats) in &all {
            for (reason, count) in &stats.refused {
                let labels = [("listener", listener.as_str()), ("reason", reason.label())];
                ConstCounter::new(*count).encode(refused.encode_family(&labels)?)?;
            }
        }
        let name = "connections_closed";
        let help = "Accepted connections that ended, by reason.";
        let mut closed = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (listener, stats) in &all {
            for (reason, count) in &stats.closed {
                let labels = [("listener", listener.as_str()), ("reason", reason.label())];
                ConstCounter::new(*count).encode(closed.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// The names as they are scraped.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    let counters = COUNTERS.map(|(name, ..)| name);
    let reasons = ["connections_refused", "connections_closed"];
    let totals = counters.iter().chain(&reasons);
    let gauges = GAUGES.iter().map(|(name, ..)| (*name).to_owned());
    totals
        .map(|name| format!("{name}_total"))
        .chain(gauges)
        .collect()
}
