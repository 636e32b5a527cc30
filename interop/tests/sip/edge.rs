//! An edge between real clients and their real server.

use std::net::{Ipv4Addr, SocketAddr};

use wharf_interop::{Kamailio, PortBlock, Process, tool};
use wharf_sip::locate::Target;
use wharf_sip::{Host, OwnedHost, Transport, Uri};
use wharf_sip_transport::edge::{Edge, EdgeOptions};

use crate::baresip::Baresip;
use crate::pki::Authority;
use crate::served::{SOON, Served, until};
use crate::sipp::{Sipp, is_bound};

/// An edge with listeners for all transports, before the server at this address.
fn edge(upstream: SocketAddr, ca: &Authority) -> (Served, Edge) {
    let host = OwnedHost::new(Host::Ip(Ipv4Addr::LOCALHOST.into())).expect("a host");
    let uri = format!("sip:{upstream}");
    let upstream = Target::of(&Uri::parse(uri.as_bytes()).expect("a URI")).expect("a target");
    let edge = Edge::new(EdgeOptions::new(host, upstream)).expect("an edge");
    let served = Served::all(edge.clone(), &ca.issue("127.0.0.1"));
    (served, edge)
}

/// RFC 3327, RFC 5626 §5: the registrar reaches the phone by the Path that the edge gave it, over the flow of its
/// registration.
#[test]
fn baresip_registers_at_kamailio_through_an_edge_and_is_reached() {
    let ca = Authority::new();
    let kamailio = Kamailio::start();
    for transport in ["udp", "tcp", "tls"] {
        let (served, edge) = edge(kamailio.address(), &ca);
        let phone = Baresip::start(served.address(transport), transport, &ca.file());
        phone.is_registered();
        let mut caller = tool("sipsak");
        // It cuts a port in a URI to four digits.
        let proxy = kamailio.address().to_string();
        caller.args(["-vvv", "--transport", "udp", "-p", &proxy]);
        caller.args(["-s", "sip:alice@sip.test"]);
        let caller = Process::spawn(&caller).finish(SOON);
        let stats = edge.stats();
        assert!(caller.status.success(), "{}\n{stats:?}", caller.output);
        assert!(
            caller.output.contains("Server: baresip"),
            "{}",
            caller.output
        );
    }
}

/// Calls of sipp to sipp, which follows what the edge has recorded.
fn calls_through_an_edge(listener: &str, mode: &str) {
    let ca = Authority::new();
    let mut ports = PortBlock::claim();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let (served, edge) = edge(to, &ca);
    let callee = Sipp::callee("u1", to.port(), 500);
    until("callee", || is_bound(Transport::Udp, to.port()));
    Sipp::calling("callee", served.address(listener), mode, 500).finish(500);
    callee.finish(500);
    let stats = edge.stats();
    assert!(
        stats.to_upstream >= 1_500 && stats.responses >= 1_000,
        "{stats:?}"
    );
}

#[test]
fn calls_over_udp_through_an_edge() {
    calls_through_an_edge("udp", "u1");
}

#[test]
fn calls_over_connections_through_an_edge() {
    calls_through_an_edge("tcp", "tn");
}
