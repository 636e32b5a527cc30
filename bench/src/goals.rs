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
    // A mebibyte over a million requests is what the allocator keeps, not state of the requests.
    ("relay.flood.wharf.memory", Relation::AtMost, 1_048_576.0),
    ("relay.flood.wharf.p99", Relation::AtMost, 2.0),
    ("sockets.bulk.tcp.wharf-to-bare", Relation::AtLeast, 0.95),
    ("sockets.bulk.unix.wharf-to-bare", Relation::AtLeast, 0.95),
    ("sockets.bulk.tls.wharf-to-bare", Relation::AtLeast, 0.95),
    ("sockets.bulk.quic.wharf-to-bare", Relation::AtLeast, 0.95),
    ("sockets.unixgrams.wharf-to-tokio", Relation::AtLeast, 0.95),
    ("sockets.idle.tcp.wharf.memory", Relation::AtMost, 2048.0),
    ("sockets.idle.tls.wharf.memory", Relation::AtMost, 16_384.0),
    ("sockets.idle.ws.wharf.memory", Relation::AtMost, 4096.0),
    ("sockets.accept.tcp.wharf-to-bare", Relation::AtLeast, 0.9),
    ("sockets.overload.goodput-to-peak", Relation::AtLeast, 0.8),
    // Less than a hundred connections with all they may hold.
    ("sockets.overload.memory", Relation::AtMost, 1_048_576.0),
    ("sockets.overload.recovery", Relation::AtMost, 1000.0),
    (
        "sockets.overload.udp.goodput-to-peak",
        Relation::AtLeast,
        0.8,
    ),
    ("sockets.overload.udp.memory", Relation::AtMost, 1_048_576.0),
    ("sockets.overload.udp.recovery", Relation::AtMost, 1000.0),
    (
        "sockets.overload.dtls.goodput-to-peak",
        Relation::AtLeast,
        0.8,
    ),
    (
        "sockets.overload.dtls.memory",
        Relation::AtMost,
        1_048_576.0,
    ),
    ("sockets.overload.dtls.recovery", Relation::AtMost, 1000.0),
    ("sip.scan", Relation::AtMost, 300.0),
    ("sip.idle.tcp.memory", Relation::AtMost, 2048.0),
    ("sip.idle.tls.memory", Relation::AtMost, 16_384.0),
    ("sip.idle.ws.memory", Relation::AtMost, 4096.0),
    ("sip.hostile.p99", Relation::AtMost, 2.0),
    ("sip.hostile.left-open", Relation::AtMost, 0.0),
    // A deadline of three seconds, and a busy machine.
    ("sip.hostile.longest-to-deadline", Relation::AtMost, 1.33),
];

/// The least messages for each processor second by those of others, in every figure of a part of `sip`.
const SIP: &[(&str, f64)] = &[("sip.udp.", 3.0), ("sip.tcp.", 2.0), ("sip.forward.", 2.0)];

/// The least share of bare tokio's requests for each processor second, in every `sockets.echo`.
const ECHO: f64 = 0.95;

/// Shapes of single datagrams, whose cost is taken from one flow to a thousand.
const SHAPES: [&str; 3] = ["to-peer", "to-client", "across"];

/// The most by which the cost of a datagram may grow from one flow to a thousand.
const GROWTH: f64 = 1.15;

/// The two costs of a datagram: at the highest rate a server's time goes into packets, at the moderate
/// one waking up is a large part.
const COSTS: [(&str, &str); 2] = [
    (
        "peak-cpu",
        "goals: processor time for a datagram at each server's highest rate",
    ),
    (
        "cpu",
        "goals: processor time for a datagram at the moderate rate",
    ),
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

/// Prints which goals the figures of this run reach.
pub(crate) fn print(report: &Report) {
    let mut table = table("goals");
    for &(name, relation, limit) in GOALS {
        report.goal(&mut table, name, relation, limit);
    }
    for shape in SHAPES {
        for flows in [1, 100, 1000] {
            let name = format!("relay.{shape}.{flows}.wharf-to-coturn.p99");
            report.goal(&mut table, &name, Relation::AtMost, 1.0);
        }
    }
    for name in report.names("sockets.echo.", ".wharf-to-bare") {
        report.goal(&mut table, &name, Relation::AtLeast, ECHO);
    }
    for &(start, limit) in SIP {
        for other in ["kamailio", "kamailio-fm", "rvoip"] {
            for name in report.names(start, &format!(".wharf-to-{other}")) {
                report.goal(&mut table, &name, Relation::AtLeast, limit);
            }
        }
    }
    table.print();
    for (what, title) in COSTS {
        cost(report, what, title);
    }
}

fn cost(report: &Report, what: &str, title: &str) {
    let mut table = table(title);
    for &(shape, flows, floor, coturn) in COST {
        for (other, limit) in [("floor", floor), ("coturn", Some(coturn))] {
            if let Some(limit) = limit {
                let name = format!("relay.{shape}.{flows}.wharf-to-{other}.{what}");
                report.goal(&mut table, &name, Relation::AtMost, limit);
            }
        }
    }
    for shape in SHAPES {
        let name = format!("relay.{shape}.wharf.{what}-growth-1-1000");
        report.goal(&mut table, &name, Relation::AtMost, GROWTH);
    }
    table.print();
}

fn table(title: &str) -> Table {
    Table::new(title, ["figure", "value", "goal", ""])
}
