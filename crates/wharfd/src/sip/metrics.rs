//! The counters of SIP as they are scraped.

use super::Service;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// What the layer and the edge have counted.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) Service);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Service { sip, edge, .. } = &self.0;
        let (layer, edge) = (sip.stats(), edge.stats());
        let layer = layer.each().map(|one| ("sip", one));
        let edge = edge.each().map(|one| ("sip_edge", one));
        for (prefix, (name, help, value)) in layer.chain(edge) {
            let (name, help) = (format!("{prefix}_{name}"), help.trim());
            let counter = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(counter)?;
        }
        let help = "Open connections of SIP.";
        let open = encoder.encode_descriptor("sip_connections", help, None, MetricType::Gauge)?;
        let connections = i64::try_from(sip.connections()).unwrap_or(i64::MAX);
        ConstGauge::new(connections).encode(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[tokio::test]
    async fn the_handbook_lists_every_counter_of_sip() {
        let file = "[listen]\nudp = ['127.0.0.1:3478']\n[auth]\nusers = { a = 'b' }\n\
                    [sip]\nudp = ['127.0.0.1:5060']\nname = 'a.example'\nupstream = 'sip:192.0.2.1'";
        let service = Service::new(&Settings::parse(file).unwrap())
            .unwrap()
            .unwrap();
        let mut registry = Registry::with_prefix("wharf");
        registry.register_collector(Box::new(Counted(service)));
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        let samples = page.lines().filter(|line| line.starts_with("wharf_"));
        let mut names: Vec<&str> = samples
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let handbook = include_str!("../../../../docs/operations.md");
        let rows = handbook
            .lines()
            .filter_map(|line| line.strip_prefix("| `wharf_sip")?.split_once('`'));
        let mut listed: Vec<String> = rows.map(|(name, _)| format!("wharf_sip{name}")).collect();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, names);
    }
}
