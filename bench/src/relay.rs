//! Whole servers over loopback, in turns: what a relayed datagram costs and how long it takes.

use std::time::Duration;

use crate::Failure;
use crate::cli::{RelayOptions, Shape};
use crate::figure::Report;
use crate::load::Rig;
use crate::process::Processors;
use crate::series::{self, Series};
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
                window: Duration::from_millis(150),
                search_window: Duration::from_millis(60),
                bisections: 1,
            }
        } else {
            Self {
                rounds: rounds(4),
                window: Duration::from_millis(800),
                search_window: Duration::from_millis(300),
                bisections: 4,
            }
        }
    }
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
    let mut peaks = Vec::new();
    for rig in &mut rigs {
        // Fills caches and tables; not measured.
        rig.run(options.rate, effort.search_window)?;
        let peak = if options.no_peak {
            None
        } else {
            search(rig, options.rate, effort)?
        };
        peaks.push(peak);
    }
    for _ in 0..effort.rounds {
        for (rig, series) in rigs.iter_mut().zip(&mut series) {
            series.moderate.note(&rig.run(options.rate, effort.window)?);
        }
        for ((rig, series), peak) in rigs.iter_mut().zip(&mut series).zip(&peaks) {
            if let Some(rate) = peak {
                series.peak.note(&rig.run(*rate, effort.window)?);
            }
        }
    }
    let title = format!(
        "relay.{}.{flows}: {} datagrams a second of {} bytes, and the highest rate",
        shape.word(),
        options.rate,
        options.payload
    );
    series::tell(
        report,
        &format!("relay.{}.{flows}", shape.word()),
        &title,
        &options.servers,
        &series,
    );
    Ok(())
}

/// Finds the highest rate that loses less than the limit: up in steps of a half until one fails,
/// then between the last two.
fn search(rig: &mut Rig, start: u32, effort: Effort) -> Result<Option<u32>, Failure> {
    let (mut low, mut high) = (0, None);
    let mut rate = start;
    let mut bisections = 0;
    while bisections <= effort.bisections {
        // The machine's own business can fail a rate once: it has a second try.
        if carries(rig, rate, effort)? || carries(rig, rate, effort)? {
            low = rate;
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
    Ok((low > 0).then_some(low))
}

fn carries(rig: &mut Rig, rate: u32, effort: Effort) -> Result<bool, Failure> {
    let outcome = rig.run(rate, effort.search_window)?;
    #[expect(clippy::cast_precision_loss, reason = "a window's datagrams are few")]
    let offered = outcome.sent as f64 * 1e9 / outcome.window_ns as f64 / f64::from(rate);
    Ok(outcome.loss() < LOSS_LIMIT && offered >= OFFERED)
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
        for what in ["cpu", "peak-cpu"] {
            let prefix = format!("relay.{}", shape.word());
            let cost = |flows| report.value(&format!("{prefix}.{flows}.{}.{what}", kind.word()));
            if let (Some(few), Some(many)) = (cost(least), cost(most)) {
                let name = format!("{prefix}.{}.{what}-growth-{least}-{most}", kind.word());
                report.figure(&name, many / few, "ratio");
            }
        }
    }
}
