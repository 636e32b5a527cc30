//! What the fuzz targets run. The bodies stand in `targets` and the driver of the core in the tests of
//! `wharf-turn`; those for the socket library stand in `sockets`, those for SIP in `sip` and
//! `sip_ways`, those for its transport in `sip_transport`. The tests of `wharf-turn`, `wharf`, `wharf-sip`
//! and `wharf-sip-transport` replay the corpora with the same code on a stable compiler.

mod sip;
mod sip_transport;
mod sip_ways;
mod sockets;
#[allow(dead_code, reason = "the tests use what the targets do not")]
#[path = "../../crates/wharf-turn/tests/core/support/mod.rs"]
mod support;
mod targets;

/// Runs the target of this name; panics when it finds a defect.
pub fn run(name: &str, data: &[u8]) {
    let mut all = targets::ALL
        .iter()
        .chain(sockets::ALL)
        .chain(sip::ALL)
        .chain(sip_ways::ALL)
        .chain(sip_transport::ALL);
    let found = all.find(|(target, _)| *target == name);
    found.expect("a target of this name").1(data);
}
