//! The limits that the project sets itself, beside the figures taken.

use crate::figure::{Relation, Report, Table};

/// Figures with one limit each.
const GOALS: &[(&str, Relation, f64)] = &[
    ("core.forward.1", Relation::AtLeast, 40e6),
    ("core.forward.100000", Relation::AtLeast, 10e6),
    ("core.allocate", Relation::AtLeast, 600e3),
    ("core.memory", Relation::AtMost, 2048.0),
    ("relay.allocate.wharf-to-coturn.cpu", Relation::AtMost, 0.5),
    ("relay.memory.wharf.idle", Relation::AtMost, 4096.0),
    ("relay.flood.wharf.p99", Relation::AtMost, 2.0),
];

/// Processor time for a delivered datagram, by shape and flows: at most this share of the floor's
/// and of coturn's.
const COST: &[(&str, u32, Option<f64>, f64)] = &[
    ("to-peer", 1, Some(1.15), 0.92),
    ("to-peer", 100, Some(1.15), 0.88),
    ("to-peer", 1000, Some(1.15), 0.75),
    ("across", 1, Some(1.15), 0.55),
    ("across", 100, Some(1.15), 0.45),
    ("across", 1000, Some(1.15), 0.40),
    ("burst-to-peer", 1, None, 0.60),
    ("burst-to-client", 1, None, 0.60),
];

/// Prints which goals the figures of this run reach. Cost is judged at the highest rate, where a
/// server's time goes into packets, and at the moderate one, where waking up is a large part.
pub(crate) fn print(report: &Report) {
    let mut table = Table::new("goals", ["figure", "value", "goal", ""]);
    for &(name, relation, limit) in GOALS {
        report.goal(&mut table, name, relation, limit);
    }
    for what in ["peak-cpu", "cpu"] {
        for &(shape, flows, floor, coturn) in COST {
            for (other, limit) in [("floor", floor), ("coturn", Some(coturn))] {
                if let Some(limit) = limit {
                    let name = format!("relay.{shape}.{flows}.wharf-to-{other}.{what}");
                    report.goal(&mut table, &name, Relation::AtMost, limit);
                }
            }
        }
    }
    for shape in ["to-peer", "to-client", "across"] {
        for flows in [1, 100, 1000] {
            let name = format!("relay.{shape}.{flows}.wharf-to-coturn.p99");
            report.goal(&mut table, &name, Relation::AtMost, 1.0);
        }
    }
    table.print();
}
