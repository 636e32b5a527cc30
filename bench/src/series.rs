//! What the rounds of one server saw, and how it is told beside the others.

use crate::cli::Kind;
use crate::figure::{Report, Table, median, number};
use crate::histogram::Histogram;
use crate::load::Outcome;

/// The rounds of one server under one load shape.
#[derive(Default)]
pub(crate) struct Series {
    /// At the moderate rate, the same for all servers.
    pub(crate) moderate: Runs,
    /// At the highest rate that this server carries.
    pub(crate) peak: Runs,
}

/// Rounds at one rate, one entry a round.
#[derive(Default)]
pub(crate) struct Runs {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    latency: Histogram,
    sent: u64,
    delivered: u64,
    wrong: u64,
}

impl Runs {
    /// Adds a round.
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        self.cpu.push(outcome.cpu());
        self.rate.push(outcome.rate());
        self.p50.push(outcome.latency.quantile(0.5));
        self.p99.push(outcome.latency.quantile(0.99));
        self.latency.merge(&outcome.latency);
        self.sent += outcome.sent;
        self.delivered += outcome.delivered;
        self.wrong += outcome.wrong;
    }

    /// Share of the datagrams that never arrived, in percent.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    fn lost(&self) -> f64 {
        100.0 * (1.0 - self.delivered as f64 / self.sent.max(1) as f64)
    }
}

/// Prints the figures of all servers, their ratios, and the table.
pub(crate) fn tell(
    report: &mut Report,
    prefix: &str,
    title: &str,
    kinds: &[Kind],
    series: &[Series],
) {
    let heads = [
        "server",
        "cpu ns",
        "p50 us",
        "p99 us",
        "lost %",
        "wrong",
        "peak/s",
        "cpu ns at peak",
    ];
    let mut table = Table::new(title, heads);
    for (kind, Series { moderate, peak }) in kinds.iter().zip(series) {
        let p50 = moderate.latency.quantile(0.5) / 1e3;
        let p99 = moderate.latency.quantile(0.99) / 1e3;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let wrong = moderate.wrong as f64;
        let figures = [
            ("cpu", median(&moderate.cpu), "ns/packet"),
            ("p50", p50, "us"),
            ("p99", p99, "us"),
            ("lost", moderate.lost(), "%"),
            ("wrong", wrong, "packets"),
            ("peak", median(&peak.rate), "packets/s"),
            ("peak-cpu", median(&peak.cpu), "ns/packet"),
        ];
        for (name, value, unit) in figures {
            report.figure(&format!("{prefix}.{}.{name}", kind.word()), value, unit);
        }
        let [cpu, p50, p99, lost, wrong, rate, peak_cpu] =
            figures.map(|(_, value, _)| number(value));
        table.row([
            kind.word().to_owned(),
            cpu,
            p50,
            p99,
            lost,
            wrong,
            rate,
            peak_cpu,
        ]);
    }
    let pairs = [
        (Kind::Wharf, Kind::Floor),
        (Kind::Wharf, Kind::Coturn),
        (Kind::Coturn, Kind::Floor),
    ];
    for (one, other) in pairs {
        let find = |kind| {
            kinds
                .iter()
                .zip(series)
                .find(|&(&k, _)| k == kind)
                .map(|(_, s)| s)
        };
        if let (Some(a), Some(b)) = (find(one), find(other)) {
            let ratios = [
                ("cpu", &a.moderate.cpu, &b.moderate.cpu),
                ("p50", &a.moderate.p50, &b.moderate.p50),
                ("p99", &a.moderate.p99, &b.moderate.p99),
                ("peak", &a.peak.rate, &b.peak.rate),
                ("peak-cpu", &a.peak.cpu, &b.peak.cpu),
            ];
            for (what, a, b) in ratios {
                let name = format!("{prefix}.{}-to-{}.{what}", one.word(), other.word());
                report.figure(&name, ratio_of_rounds(a, b), "ratio");
            }
        }
    }
    table.print();
}

/// The median of the ratios of rounds that ran one after the other, so that a disturbance that
/// lasts longer than a round hits both sides of a ratio.
pub(crate) fn ratio_of_rounds(one: &[f64], other: &[f64]) -> f64 {
    median(
        &one.iter()
            .zip(other)
            .map(|(a, b)| a / b)
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The second round was disturbed on both sides.
        let ratio = ratio_of_rounds(&[1.0, 10.0, 1.2], &[2.0, 20.0, 2.0]);
        assert_eq!(ratio.to_bits(), 0.5f64.to_bits());
        assert!(ratio_of_rounds(&[], &[]).is_nan());
    }

    #[test]
    fn rounds_add_up() {
        let outcome = || Outcome {
            sent: 200,
            delivered: 150,
            in_time: 100,
            window_ns: 1_000_000_000,
            cpu_ns: 300,
            ..Outcome::default()
        };
        let mut runs = Runs::default();
        runs.note(&outcome());
        runs.note(&outcome());
        assert_eq!(
            (runs.cpu.as_slice(), runs.rate.as_slice()),
            ([2.0; 2].as_slice(), [100.0; 2].as_slice())
        );
        assert_eq!(runs.lost().to_bits(), 25f64.to_bits());
    }
}
