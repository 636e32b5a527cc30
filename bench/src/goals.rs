//! The limits that the project sets itself, beside the figures taken.

use crate::figure::{Relation, Report, Table};

const GOALS: &[(&str, Relation, f64)] = &[
    ("core.forward.1", Relation::AtLeast, 40e6),
    ("core.forward.100000", Relation::AtLeast, 10e6),
    ("core.allocate", Relation::AtLeast, 600e3),
    ("core.memory", Relation::AtMost, 2048.0),
    ("relay.to-peer.1.wharf-to-floor.cpu", Relation::AtMost, 1.15),
    (
        "relay.to-peer.100.wharf-to-floor.cpu",
        Relation::AtMost,
        1.15,
    ),
    (
        "relay.to-peer.1000.wharf-to-floor.cpu",
        Relation::AtMost,
        1.15,
    ),
    (
        "relay.to-peer.1.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.92,
    ),
    (
        "relay.to-peer.100.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.88,
    ),
    (
        "relay.to-peer.1000.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.75,
    ),
    ("relay.across.1.wharf-to-floor.cpu", Relation::AtMost, 1.15),
    (
        "relay.across.100.wharf-to-floor.cpu",
        Relation::AtMost,
        1.15,
    ),
    (
        "relay.across.1000.wharf-to-floor.cpu",
        Relation::AtMost,
        1.15,
    ),
    ("relay.across.1.wharf-to-coturn.cpu", Relation::AtMost, 0.55),
    (
        "relay.across.100.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.45,
    ),
    (
        "relay.across.1000.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.40,
    ),
    (
        "relay.burst-to-peer.1.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.60,
    ),
    (
        "relay.burst-to-client.1.wharf-to-coturn.cpu",
        Relation::AtMost,
        0.60,
    ),
    ("relay.to-peer.1.wharf-to-coturn.p99", Relation::AtMost, 1.0),
    (
        "relay.to-peer.100.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    (
        "relay.to-peer.1000.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    (
        "relay.to-client.1.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    (
        "relay.to-client.100.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    (
        "relay.to-client.1000.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    ("relay.across.1.wharf-to-coturn.p99", Relation::AtMost, 1.0),
    (
        "relay.across.100.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    (
        "relay.across.1000.wharf-to-coturn.p99",
        Relation::AtMost,
        1.0,
    ),
    ("relay.allocate.wharf-to-coturn.cpu", Relation::AtMost, 0.5),
    ("relay.memory.wharf.idle", Relation::AtMost, 4096.0),
    ("relay.flood.wharf.p99", Relation::AtMost, 2.0),
];

/// Prints which goals the figures of this run reach.
pub(crate) fn print(report: &Report) {
    let mut table = Table::new("goals", ["figure", "value", "goal", ""]);
    for &(name, relation, limit) in GOALS {
        report.goal(&mut table, name, relation, limit);
    }
    table.print();
}
