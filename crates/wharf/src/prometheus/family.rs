//! The counters that listeners and clients have in common.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::metrics::{METRICS, Metric};
use crate::{Closed, Refusal, Stats};

/// The counters of the listeners or of the clients, by name.
pub(super) struct Family {
    prefix: &'static str,
    label: &'static str,
    by_name: BTreeMap<String, Vec<Stats>>,
}

impl Family {
    /// An empty family whose metrics begin with `prefix`.
    pub(super) fn new(prefix: &'static str, label: &'static str) -> Self {
        Self {
            prefix,
            label,
            by_name: BTreeMap::new(),
        }
    }

    /// Those of one name are added up.
    pub(super) fn add(&mut self, name: String, stats: Stats) {
        self.by_name.entry(name).or_default().push(stats);
    }

    /// All that they have in common, and `further` metrics.
    pub(super) fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        further: &[Metric],
    ) -> fmt::Result {
        for metric in METRICS.iter().chain(further) {
            self.encode_one(encoder, metric)?;
        }
        self.encode_by(
            "reason",
            encoder,
            "connections_refused",
            "Arrivals that did not reach a handler, by reason.",
            &Refusal::ALL.map(|reason| (reason.label(), reason)),
            Stats::refused,
        )?;
        self.encode_by(
            "reason",
            encoder,
            "connections_closed",
            "Accepted connections that ended, by reason.",
            &Closed::ALL.map(|reason| (reason.label(), reason)),
            Stats::closed,
        )
    }

    fn encode_one(&self, encoder: &mut DescriptorEncoder<'_>, metric: &Metric) -> fmt::Result {
        let name = format!("{}{}", self.prefix, metric.name);
        let mut family =
            encoder.encode_descriptor(&name, metric.help, metric.unit.as_ref(), metric.kind)?;
        for (name, stats) in &self.by_name {
            let value = stats.iter().map(metric.value).sum();
            let labels = [(self.label, name.as_str())];
            let one = family.encode_family(&labels)?;
            match metric.kind {
                MetricType::Gauge => ConstGauge::new(signed(value)).encode(one)?,
                _ => ConstCounter::new(value).encode(one)?,
            }
        }
        Ok(())
    }

    /// A counter for each of these values of the label `by`.
    pub(super) fn encode_by<R: Copy>(
        &self,
        by: &'static str,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        values: &[(&str, R)],
        count: fn(&Stats, R) -> u64,
    ) -> fmt::Result {
        let name = format!("{}{name}", self.prefix);
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (name, stats) in &self.by_name {
            for (label, one) in values {
                let value: u64 = stats.iter().map(|stats| count(stats, *one)).sum();
                let labels = [(self.label, name.as_str()), (by, *label)];
                ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// A gauge's number; none of them comes near the end of its range.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
