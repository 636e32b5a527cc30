//! The counters of clients.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::family::{Family, signed};
use super::metrics::CLIENT_METRICS;
use crate::Client;

/// Encodes the counters of clients as they are when they are asked for: those of the connections as
/// listeners have them, what became of the addresses that were tried, and what the pools did.
///
/// The names begin with `wharf_client_`, and the label `client` has the name of each; clients of one
/// name are added up. A name may be on a page only once: one collector for all clients.
///
/// ```
/// use wharf::Client;
/// use wharf::prometheus::ClientCollector;
///
/// let client = Client::builder().name("upstream").build()?;
/// let mut registry = prometheus_client::registry::Registry::default();
/// registry.register_collector(Box::new(ClientCollector::new([client])));
/// let mut page = String::new();
/// prometheus_client::encoding::text::encode(&mut page, &registry)?;
/// assert!(page.contains("wharf_client_connections_live{client=\"upstream\"} 0"));
/// # Ok::<(), wharf::BoxError>(())
/// ```
#[derive(Debug)]
pub struct ClientCollector {
    clients: Vec<Client>,
}

/// A number of each client, and the label that tells it from its kin.
struct Labelled {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: &'static [Value],
}

/// A value of the label, and its number.
type Value = (&'static str, fn(&Client) -> u64);

static LABELLED: [Labelled; 2] = [
    Labelled {
        name: "wharf_client_attempts",
        help: "Addresses that were tried, by what became of them.",
        label: "outcome",
        values: &[
            ("reached", |client| client.attempts().reached),
            ("failed", |client| client.attempts().failed),
            ("abandoned", |client| client.attempts().abandoned),
        ],
    },
    Labelled {
        name: "wharf_client_pool",
        help: "What happened in the pools of connections.",
        label: "event",
        values: &[
            ("taken", |client| client.pools().taken),
            ("reused", |client| client.pools().reused),
            ("unusable", |client| client.pools().unusable),
            ("expired", |client| client.pools().expired),
            ("failed", |client| client.pools().failed),
            ("refused", |client| client.pools().refused),
        ],
    },
];

impl ClientCollector {
    /// A collector for these clients.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let clients = clients.into_iter().collect();
        Self { clients }
    }

    /// The sum over the clients of each name.
    fn sums(&self, value: fn(&Client) -> u64) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for client in &self.clients {
            *sums.entry(client.name()).or_default() += value(client);
        }
        sums
    }
}

impl prometheus_client::collector::Collector for ClientCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = Family::new("wharf_client_", "client");
        for client in &self.clients {
            family.add(client.name().to_owned(), client.stats());
        }
        family.encode(&mut encoder, &CLIENT_METRICS)?;
        for labelled in &LABELLED {
            let (name, help) = (labelled.name, labelled.help);
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in labelled.values {
                for (client, sum) in self.sums(*count) {
                    let labels = [("client", client), (labelled.label, *value)];
                    ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let help = "Bytes that wait in write buffers and Session buffers.";
        let unit = Some(&Unit::Bytes);
        let name = "wharf_client_buffered";
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (client, bytes) in self.sums(Client::memory) {
            let labels = [("client", client)];
            ConstGauge::new(signed(bytes)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
