//! A server's counters for Prometheus, in the OpenMetrics text format.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use wharf::config::Transport;
//! use wharf::prometheus::Collector;
//! use wharf::{Server, Stream, testkit};
//!
//! let (listen, _connector) = testkit::memory(Transport::Tcp);
//! let server = Server::builder().listen("echo", listen, async |_: Stream| ()).build().unwrap();
//!
//! // Beside an application's own metrics:
//! let mut registry = prometheus_client::registry::Registry::default();
//! registry.register_collector(Box::new(Collector::new(server.handle())));
//!
//! // Or alone:
//! let text = server.handle().prometheus_text();
//! assert!(text.contains("wharf_connections_live{listener=\"echo\"} 0"));
//! # }
//! ```

mod clients;
mod family;
mod metrics;

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use wharf_policy::health::Health;

pub use clients::ClientCollector;
use family::{Family, signed};
use metrics::LISTENER_METRICS;

use crate::{Dropped, Handle, Protocol, Stats};

/// The media type of [`Handle::prometheus_text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Encodes the counters of one or more servers as they are when they are asked for.
///
/// The names begin with `wharf_`, so that it belongs into a registry without a prefix. Labels are
/// of bounded sets: names of listeners, reasons of [`Refusal`](crate::Refusal) and [`Closed`](crate::Closed), states of
/// [`Health`]; never an address. Two listeners of one name, one of them removed and still with
/// connections, are one series; so are listeners of one name in several servers.
#[derive(Debug)]
pub struct Collector {
    servers: Vec<Handle>,
}

impl Collector {
    /// A collector for the server of `handle`.
    pub fn new(handle: Handle) -> Self {
        Self::all([handle])
    }

    /// One collector for several servers, since a name may be on a page only once: what is buffered
    /// is added up, `wharf_draining` is 1 when one of them drains, and the worst health is shown.
    pub fn all(servers: impl IntoIterator<Item = Handle>) -> Self {
        let servers = servers.into_iter().collect();
        Self { servers }
    }
}

impl Handle {
    /// The counters of all listeners as a page for Prometheus, of [`CONTENT_TYPE`]. The names are
    /// those that [`Collector`] gives.
    pub fn prometheus_text(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collector::new(self.clone())));
        let mut page = String::new();
        // A string takes whatever is written.
        let _ = text::encode(&mut page, &registry);
        page
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut listeners = Family::new("wharf_", "listener");
        for (name, stats) in self.servers.iter().flat_map(Handle::stats) {
            listeners.add(name, stats);
        }
        listeners.encode(&mut encoder, &LISTENER_METRICS)?;
        listeners.encode_by(
            "reason",
            &mut encoder,
            "datagrams_dropped",
            "Datagrams that were dropped, by reason.",
            &Dropped::ALL.map(|reason| (reason.label(), reason)),
            Stats::dropped,
        )?;
        let mut protocols = Protocol::ALL.map(|one| (one.label(), Some(one))).to_vec();
        protocols.push(("other", None));
        listeners.encode_by(
            "protocol",
            &mut encoder,
            "connections_spoken",
            "Connections and flows whose first bytes were looked at, by what they speak.",
            &protocols,
            |stats, protocol| protocol.map_or(stats.unknown, |one| stats.spoken(one)),
        )?;
        self.encode_server(&mut encoder)
    }
}

impl Collector {
    /// What belongs to no listener.
    fn encode_server(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let bytes = ConstGauge::new(signed(self.servers.iter().map(Handle::memory).sum()));
        let help = "Bytes that wait in write buffers and Session buffers.";
        let kind = MetricType::Gauge;
        bytes.encode(encoder.encode_descriptor(
            "wharf_buffered",
            help,
            Some(&Unit::Bytes),
            kind,
        )?)?;

        let draining = self.servers.iter().any(Handle::is_draining);
        let draining = ConstGauge::new(i64::from(draining));
        let help = "1 while the server drains and after.";
        draining.encode(encoder.encode_descriptor("wharf_draining", help, None, kind)?)?;

        let states = self.servers.iter().map(Handle::health);
        let now = states.max().unwrap_or_default();
        let help = "1 for the state that the server judges itself to be in, 0 for the others.";
        let mut family = encoder.encode_descriptor("wharf_health", help, None, kind)?;
        for state in [
            Health::Healthy,
            Health::Degraded,
            Health::Unhealthy,
            Health::UnderAttack,
        ] {
            let value = ConstGauge::new(i64::from(state == now));
            value.encode(family.encode_family(&[("state", state.label())])?)?;
        }
        Ok(())
    }
}
