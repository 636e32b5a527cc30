//! sipp: calls over one socket and over one per call, with and without loss.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tempfile::TempDir;
use wharf_interop::{PortBlock, Process, tool};
use wharf_sip::Transport;

use crate::forwarder::Forwarder;
use crate::namespace::{LOSES_UDP, is_within, lost};
use crate::pki::Authority;
use crate::responder::{Responder, methods};
use crate::served::{SOON, Served, until};

/// Where the scenarios are that sipp does not bring along.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sipp");

/// Calls at a time: as many messages may wait at once in the receive buffer of a program that has no time, and
/// one of 208 KiB, the kernel's default, holds 90.
const AT_A_TIME: &str = "-l 25";

/// A sipp on loopback.
pub(crate) struct Sipp {
    process: Process,
    directory: TempDir,
    _ports: Option<PortBlock>,
}

/// What a sipp that has ended counted, by the names of its statistics: `SuccessfulCall`, `Retransmissions`.
pub(crate) struct Counted {
    names: Vec<String>,
    values: Vec<String>,
}

impl Sipp {
    /// A caller of `calls` calls, each INVITE with a body, ACK and BYE. `mode` is sipp's: `u1` and `t1` have
    /// one socket, `un` and `tn` one for each call.
    pub(crate) fn caller(to: SocketAddr, mode: &str, calls: u32) -> Self {
        Self::call(&format!(
            "{to} -sn uac -t {mode} -m {calls} -r 500 {AT_A_TIME}"
        ))
    }

    /// A caller of `user` whose requests within a call take the way that its answer has recorded: for calls
    /// through a proxy at `to`.
    pub(crate) fn calling(user: &str, to: SocketAddr, mode: &str, calls: u32) -> Self {
        let flags = format!("{to} -s {user} -t {mode} -m {calls} -r 500 {AT_A_TIME}");
        Self::call(&format!("{flags} -sf {SCENARIOS}/caller.xml"))
    }

    /// A callee that answers `calls` calls at `port` of loopback, then ends.
    pub(crate) fn callee(mode: &str, port: u16, calls: u32) -> Self {
        Self::start(&format!(
            "-t {mode} -p {port} -m {calls} -sf {SCENARIOS}/callee.xml"
        ))
    }

    /// A phone at `port` of loopback that is asked something, or called, `times` times, then ends.
    pub(crate) fn asked(port: u16, times: u32) -> Self {
        // Whoever asks may be a browser that is slow to start.
        let flags = format!("-p {port} -m {times} -timeout 60");
        Self::start(&format!("{flags} -sf {SCENARIOS}/asked.xml"))
    }

    /// A phone that asks and calls `user` of sip.test, through the proxy at `to`.
    pub(crate) fn asking(user: &str, to: SocketAddr) -> Self {
        Self::call(&format!("{to} -s {user} -m 1 -sf {SCENARIOS}/asks.xml"))
    }

    /// Runs sipp as a caller with these flags, at a port that it has for itself: 5060, which it would take, is
    /// where answers to requests of other tests may go.
    fn call(flags: &str) -> Self {
        let mut ports = PortBlock::claim();
        let port = ports.pair();
        Self {
            _ports: Some(ports),
            ..Self::start(&format!("-p {port} {flags}"))
        }
    }

    /// Runs sipp with these flags, on loopback.
    fn start(flags: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut command = tool("sipp");
        command
            .args(
                "-i 127.0.0.1 -max_socket 200 -nostdin -timeout 15 -timeout_error -fd 1".split(' '),
            )
            .args(flags.split(' '))
            .args(["-trace_stat", "-stf"])
            .arg(directory.path().join("counted"))
            .args(["-trace_err", "-error_file"])
            .arg(directory.path().join("errors"));
        Self {
            process: Process::spawn(&command),
            directory,
            _ports: None,
        }
    }

    /// Waits for its end, and checks by its status and by its own count that each of `calls` calls was as
    /// its scenario has it.
    #[track_caller]
    pub(crate) fn finish(self, calls: u64) -> Counted {
        let finished = self.process.finish(SOON);
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        let (errors, table) = (read("errors"), read("counted"));
        let said = &finished.output;
        assert!(
            finished.status.success(),
            "{}\n{errors}\n{said}",
            finished.status
        );
        let row = |line: &str| line.split(';').map(str::to_owned).collect();
        let counted = Counted {
            names: table.lines().next().map(row).unwrap_or_default(),
            values: table.lines().last().map(row).unwrap_or_default(),
        };
        assert_eq!(counted.get("SuccessfulCall"), calls, "{table}");
        for wrong in [
            "FailedCall",
            "FailedUnexpectedMessage",
            "FailedMaxUDPRetrans",
            "OutOfCallMsgs",
            "DeadCallMsgs",
            "FatalErrors",
        ] {
            assert_eq!(counted.get(wrong), 0, "{wrong}: {errors}");
        }
        counted
    }
}

impl Counted {
    /// How many there were since the start.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        let name = format!("{name}(C)");
        let at = self.names.iter().position(|one| *one == name);
        let value = at.and_then(|at| self.values.get(at)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.names))
    }
}

fn a_thousand_calls(mode: &str, listener: &str, transport: Transport) {
    let (responder, record) = Responder::new();
    let served = Served::plain(responder);
    Sipp::caller(served.address(listener), mode, 1_000).finish(1_000);
    let seen = record.so_far();
    let methods = methods(&seen);
    for (method, at_least) in [("INVITE", 1_000), ("ACK", 1_000), ("BYE", 1_000)] {
        assert!(methods[method] >= at_least, "{mode}: {methods:?}");
    }
    for seen in seen {
        assert_eq!((seen.transport, seen.source), (transport, seen.remote));
        assert_eq!(seen.body > 0, seen.method == "INVITE", "{seen:?}");
    }
}

#[test]
fn a_thousand_calls_over_one_udp_socket() {
    a_thousand_calls("u1", "udp", Transport::Udp);
}

#[test]
fn a_thousand_calls_over_a_udp_socket_for_each() {
    a_thousand_calls("un", "udp", Transport::Udp);
}

#[test]
fn a_thousand_calls_over_one_connection() {
    a_thousand_calls("t1", "tcp", Transport::Tcp);
}

#[test]
fn a_thousand_calls_over_a_connection_for_each() {
    a_thousand_calls("tn", "tcp", Transport::Tcp);
}

/// Calls through a forwarder: `caller` and `callee` are modes of sipp.
fn calls_through_a_forwarder(caller: &str, listener: &str, callee: &str, transport: Transport) {
    let mut ports = PortBlock::claim();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let forwarder = Forwarder::new();
    let served = Served::plain(forwarder.clone());
    let called = Sipp::callee(callee, to.port(), 500);
    until("callee", || is_bound(transport, to.port()));
    let flow = served.dial(transport, to, None, Path::new(""));
    forwarder.lead(&served, flow);
    Sipp::caller(served.address(listener), caller, 500).finish(500);
    called.finish(500);
}

#[test]
fn calls_from_udp_to_udp_through_a_forwarder() {
    calls_through_a_forwarder("u1", "udp", "u1", Transport::Udp);
}

#[test]
fn calls_from_many_connections_to_one_through_a_forwarder() {
    calls_through_a_forwarder("tn", "tcp", "t1", Transport::Tcp);
}

#[test]
fn calls_from_connections_to_udp_through_a_forwarder() {
    calls_through_a_forwarder("tn", "tcp", "u1", Transport::Udp);
}

/// sipp has no TLS here: stunnel puts its connections into it.
#[test]
fn a_thousand_calls_over_tls() {
    let ca = Authority::new();
    let leaf = ca.issue("127.0.0.1");
    let (responder, record) = Responder::new();
    let served = Served::all(responder, &leaf);
    let mut ports = PortBlock::claim();
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("stunnel.conf");
    let text = format!(
        "foreground = yes\npid =\n[sip]\nclient = yes\naccept = {front}\nconnect = {}\n\
         CAfile = {}\nverifyChain = yes\ncheckIP = 127.0.0.1\n",
        served.address("tls"),
        ca.file().display()
    );
    fs::write(&file, text).expect("a file");
    let _stunnel = Process::spawn(tool("stunnel").arg(&file));
    until("stunnel", || is_bound(Transport::Tcp, front.port()));
    for (mode, calls) in [("t1", 1_000), ("tn", 100)] {
        Sipp::caller(front, mode, calls).finish(calls.into());
        let seen = record.so_far();
        assert!(methods(&seen)["INVITE"] >= calls as usize, "{mode}");
        assert!(seen.iter().all(|seen| seen.transport == Transport::Tls));
    }
}

/// Whether a program has this port, by the kernel's list: who tries to bind it takes it from the program.
pub(crate) fn is_bound(transport: Transport, port: u16) -> bool {
    let name = transport.name().to_ascii_lowercase();
    let list = fs::read_to_string(format!("/proc/net/{name}")).expect("the list");
    let local = format!(":{port:04X}");
    let mut addresses = list
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    addresses.any(|address| address.ends_with(&local))
}

/// RFC 3261 §17.1.1.2: over UDP a request goes again until it is answered. Behind a stateless forwarder it is the
/// same again (§16.11): what has another branch would be lost once more here.
#[test]
fn what_is_lost_comes_again() {
    let (responder, record) = Responder::losing_first();
    let behind = Served::plain(responder);
    let forwarder = Forwarder::new();
    let served = Served::plain(forwarder.clone());
    let onward = served.dial(Transport::Udp, behind.address("udp"), None, Path::new(""));
    forwarder.lead(&served, onward);
    let counted = Sipp::caller(served.address("udp"), "u1", 100).finish(100);
    assert!(counted.get("Retransmissions") >= 200);
    assert!(methods(&record.so_far())["BYE"] >= 100);
}

/// The same by chance, on a network of its own that loses one datagram in twenty.
#[test]
fn what_a_network_loses_comes_again() {
    if !is_within("sipp::what_a_network_loses_comes_again", LOSES_UDP) {
        return;
    }
    let (responder, record) = Responder::new();
    let served = Served::plain(responder);
    // So few that hardly ever one of them loses five copies: the sixth is sent after 15 seconds.
    Sipp::caller(served.address("udp"), "u1", 60).finish(60);
    assert!(lost() > 0);
    assert!(methods(&record.so_far())["BYE"] >= 60);
}
