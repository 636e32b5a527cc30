//! Whole servers over loopback, in turns: what a relayed datagram costs and how long it takes.

use std::time::Duration;

use crate::Failure;
use crate::cli::{Kind, RelayOptions, Shape};
use crate::figure::{Report, Table, median, number};
use crate::histogram::Histogram;
use crate::load::{Outcome, Rig};
use crate::process::Processors;
use crate::server::{Server, Unauthenticated};
use crate::{flood, footprint};

/// Loss that the highest rate may have.
const LOSS_LIMIT: f64 = 0.01;
/// Share of the intended rate that the generator must reach for a rate to count.
const OFFERED: f64 = 0.98;
/// Bursts are about one flow's datagrams leaving together; more flows tell nothing new.
const MOST_BURST_FLOWS: u32 = 100;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    window: Duration,
    search_window: Duration,
    bisections: usize,
}

impl Effort {
    fn new(options: &RelayOptions, quick: bool) -> Self {
        let rounds = |default| options.rounds.map_or(default, usize::from);
        if quick {
            Self {
                rounds: rounds(2),
                window: Duration::from_millis(250),
                search_window: Duration::from_millis(100),
                bisections: 1,
            }
        } else {
            Self {
                rounds: rounds(5),
                window: Duration::from_millis(800),
                search_window: Duration::from_millis(300),
                bisections: 4,
            }
        }
    }
}

/// What the rounds of one server saw.
#[derive(Default)]
struct Series {
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    latency: Histogram,
    sent: u64,
    delivered: u64,
    wrong: u64,
    peak: Option<Outcome>,
}

/// Runs all that `relay` stands for.
pub(crate) fn run(report: &mut Report, options: &RelayOptions, quick: bool) -> Result<(), Failure> {
    let processors = Processors::choose();
    processors
        .pin_generator()
        .map_err(|e| Failure::io(&"generator's processor", e))?;
    if !options.footprint_only {
        let effort = Effort::new(options, quick);
        for &shape in &options.shapes {
            for &flows in &options.flows {
                if shape.burst() == 1 || flows <= MOST_BURST_FLOWS {
                    measure(report, options, processors, effort, shape, flows)?;
                }
            }
            growth(report, options, shape);
        }
    }
    if !options.traffic_only {
        footprint::run(report, options, processors, quick)?;
        flood::run(report, options, processors, quick)?;
    }
    Ok(())
}

fn measure(
    report: &mut Report,
    options: &RelayOptions,
    processors: Processors,
    effort: Effort,
    shape: Shape,
    flows: u32,
) -> Result<(), Failure> {
    let mut rigs = Vec::new();
    for &kind in &options.servers {
        let server = Server::start(kind, processors, options, Unauthenticated::AnswerAll)?;
        rigs.push(Rig::new(
            server,
            shape,
            flows,
            usize::from(options.payload),
        )?);
    }
    let mut series: Vec<Series> = rigs.iter().map(|_| Series::default()).collect();
    for rig in &mut rigs {
        // Fills caches and tables; not measured.
        rig.run(options.rate, effort.search_window)?;
    }
    for _ in 0..effort.rounds {
        for (rig, series) in rigs.iter_mut().zip(&mut series) {
            let outcome = rig.run(options.rate, effort.window)?;
            series.cpu.push(outcome.cpu());
            series.p50.push(outcome.latency.quantile(0.5));
            series.p99.push(outcome.latency.quantile(0.99));
            series.latency.merge(&outcome.latency);
            series.sent += outcome.sent;
            series.delivered += outcome.delivered;
            series.wrong += outcome.wrong;
        }
    }
    if !options.no_peak {
        for (rig, series) in rigs.iter_mut().zip(&mut series) {
            series.peak = search(rig, options.rate, effort)?;
        }
    }
    let prefix = format!("relay.{}.{flows}", shape.word());
    tell(report, &prefix, options, &series);
    Ok(())
}

/// Finds the highest rate that loses less than the limit: up in steps of a half until one fails,
/// then between the last two.
fn search(rig: &mut Rig, start: u32, effort: Effort) -> Result<Option<Outcome>, Failure> {
    let mut good = None;
    let (mut low, mut high) = (0, None);
    let mut rate = start;
    let mut bisections = 0;
    while bisections <= effort.bisections {
        let outcome = rig.run(rate, effort.search_window)?;
        #[expect(clippy::cast_precision_loss, reason = "a window's datagrams are few")]
        let offered = outcome.sent as f64 * 1e9 / outcome.window_ns as f64 / f64::from(rate);
        if outcome.loss() < LOSS_LIMIT && offered >= OFFERED {
            low = rate;
            good = Some(outcome);
        } else {
            high = Some(rate);
        }
        rate = match high {
            Some(high) => {
                bisections += 1;
                u32::midpoint(low, high)
            }
            None => rate.saturating_mul(3) / 2,
        };
    }
    Ok(good)
}

fn tell(report: &mut Report, prefix: &str, options: &RelayOptions, series: &[Series]) {
    let mut table = Table::new(
        &format!(
            "{prefix}: {} datagrams a second of {} bytes",
            options.rate, options.payload
        ),
        [
            "server",
            "cpu ns",
            "p50 us",
            "p99 us",
            "lost",
            "wrong",
            "peak/s",
            "cpu ns at peak",
        ],
    );
    for (kind, series) in options.servers.iter().zip(series) {
        let word = kind.word();
        let mut figure = |name: &str, value, unit| {
            report.figure(&format!("{prefix}.{word}.{name}"), value, unit);
        };
        let lost = series.sent - series.delivered.min(series.sent);
        let cpu = median(&series.cpu);
        let (p50, p99) = (series.latency.quantile(0.5), series.latency.quantile(0.99));
        figure("cpu", cpu, "ns/packet");
        figure("p50", p50 / 1e3, "us");
        figure("p99", p99 / 1e3, "us");
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let (lost_share, wrong) = (lost as f64 / series.sent.max(1) as f64, series.wrong as f64);
        figure("lost", lost_share * 100.0, "%");
        figure("wrong", wrong, "packets");
        let peak = series.peak.as_ref();
        let (rate, peak_cpu) = peak.map_or((f64::NAN, f64::NAN), |p| (p.rate(), p.cpu()));
        if !options.no_peak {
            figure("peak", rate, "packets/s");
            figure("peak-cpu", peak_cpu, "ns/packet");
        }
        table.row([
            word.to_owned(),
            number(cpu),
            number(p50 / 1e3),
            number(p99 / 1e3),
            lost.to_string(),
            series.wrong.to_string(),
            number(rate),
            number(peak_cpu),
        ]);
    }
    let pairs = [
        (Kind::Wharf, Kind::Floor),
        (Kind::Wharf, Kind::Coturn),
        (Kind::Coturn, Kind::Floor),
    ];
    for (one, other) in pairs {
        let find = |kind| {
            options
                .servers
                .iter()
                .position(|&k| k == kind)
                .map(|i| &series[i])
        };
        if let (Some(a), Some(b)) = (find(one), find(other)) {
            let name = |what| format!("{prefix}.{}-to-{}.{what}", one.word(), other.word());
            report.figure(&name("cpu"), ratio_of_rounds(&a.cpu, &b.cpu), "ratio");
            report.figure(&name("p50"), ratio_of_rounds(&a.p50, &b.p50), "ratio");
            report.figure(&name("p99"), ratio_of_rounds(&a.p99, &b.p99), "ratio");
            if let (Some(a), Some(b)) = (&a.peak, &b.peak) {
                report.figure(&name("peak"), a.rate() / b.rate(), "ratio");
                report.figure(&name("peak-cpu"), a.cpu() / b.cpu(), "ratio");
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

/// How the cost of a packet grows from the smallest to the largest number of flows.
fn growth(report: &mut Report, options: &RelayOptions, shape: Shape) {
    let measured = options
        .flows
        .iter()
        .filter(|&&f| shape.burst() == 1 || f <= MOST_BURST_FLOWS);
    let (Some(least), Some(most)) = (measured.clone().min(), measured.max()) else {
        return;
    };
    if least == most {
        return;
    }
    for kind in &options.servers {
        let cpu = |flows| {
            report.value(&format!(
                "relay.{}.{flows}.{}.cpu",
                shape.word(),
                kind.word()
            ))
        };
        if let (Some(few), Some(many)) = (cpu(least), cpu(most)) {
            let name = format!(
                "relay.{}.{}.growth-{least}-{most}",
                shape.word(),
                kind.word()
            );
            report.figure(&name, many / few, "ratio");
        }
    }
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
}
