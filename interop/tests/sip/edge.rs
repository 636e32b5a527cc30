//! An edge between real clients and their real server.

use std::net::{Ipv4Addr, SocketAddr};

use wharf::{Tcp, Udp};
use wharf_interop::{Kamailio, PortBlock, Process, tool};
use wharf_sip::{Host, OwnedHost, Transport};
use wharf_sip_transport::edge::{Edge, EdgeOptions};
use wharf_sip_transport::{DialOptions, Dialer, Manager, ManagerOptions, TableResolver, factory};

use crate::baresip::Baresip;
use crate::pki::Authority;
use crate::served::{LOOPBACK, SOON, Served, until};
use crate::sipp::{Sipp, is_bound};

/// The options of an edge before the server with this URI.
fn options(upstream: &str) -> EdgeOptions {
    let host = OwnedHost::new(Host::Ip(Ipv4Addr::LOCALHOST.into())).expect("a host");
    let upstream = factory::target(upstream).expect("a target");
    EdgeOptions::new(host, upstream)
}

/// An edge with listeners for all transports, before the server at this address, over UDP.
fn edge(upstream: SocketAddr, ca: &Authority) -> (Served, Edge) {
    let edge = Edge::new(options(&format!("sip:{upstream}"))).expect("an edge");
    let served = Served::all(edge.clone(), &ca.issue("127.0.0.1"));
    (served, edge)
}

/// One with the listeners `udp` and `tcp`, which has a manager to get to the server at this address over TCP.
fn managed(upstream: SocketAddr) -> (Served, Edge) {
    let options = options(&format!("sip:{upstream};transport=tcp"));
    let manager = Manager::new(ManagerOptions::default(), TableResolver::default());
    let mut made = None;
    let make = || {
        let edge = Edge::with_manager(options, manager.clone()).expect("an edge");
        manager.watch(made.insert(edge).clone())
    };
    let served = Served::start_with(make, |server, sip| {
        server
            .listen_with("udp", Udp::bind(LOOPBACK), sip.datagrams())
            .listen_with("tcp", Tcp::bind(LOOPBACK), sip.streams())
    });
    let dialer = Dialer::new(served.sip.clone(), DialOptions::default()).expect("a dialer");
    manager.begin(served.sip.clone(), dialer);
    (served, made.expect("it was made"))
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
        calls_alice(&kamailio);
        let stats = edge.stats();
        assert_eq!((stats.to_clients, stats.gone), (1, 0), "{transport}");
    }
}

/// Asks the phone that is registered as `alice` for OPTIONS, through kamailio.
#[track_caller]
pub(crate) fn calls_alice(kamailio: &Kamailio) {
    let mut caller = tool("sipsak");
    // It cuts a port in a URI to four digits.
    let proxy = kamailio.address().to_string();
    caller.args(["-vvv", "--transport", "udp", "-p", &proxy]);
    caller.args(["-s", "sip:alice@sip.test"]);
    let caller = Process::spawn(&caller).finish(SOON);
    assert!(caller.status.success(), "{}", caller.output);
    let phone = caller.output.contains("Server: baresip");
    assert!(phone, "{}", caller.output);
}

/// Calls of sipp, which follows what the edge has recorded, to sipp over this transport.
fn calls_through_an_edge(listener: &str, mode: &str, upstream: Transport) {
    let mut ports = PortBlock::claim();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let (callee, (served, edge)) = match upstream {
        Transport::Udp => ("u1", edge(to, &Authority::new())),
        _ => ("t1", managed(to)),
    };
    let callee = Sipp::callee(callee, to.port(), 500);
    until("callee", || is_bound(upstream, to.port()));
    Sipp::calling("callee", served.address(listener), mode, 500).finish(500);
    callee.finish(500);
    let stats = edge.stats();
    let went_through = stats.to_upstream >= 1_500 && stats.responses >= 1_000;
    assert!(went_through && stats.refused + stats.gone == 0, "{stats:?}");
}

#[test]
fn calls_over_udp_through_an_edge() {
    calls_through_an_edge("udp", "u1", Transport::Udp);
}

#[test]
fn calls_over_connections_through_an_edge() {
    calls_through_an_edge("tcp", "tn", Transport::Udp);
}

#[test]
fn calls_over_udp_through_an_edge_to_a_server_over_tcp() {
    calls_through_an_edge("udp", "un", Transport::Tcp);
}
