//! The daemon as the edge of phones and of callers by the hundred.

use std::net::{Ipv4Addr, SocketAddr};

use wharf_interop::{Authority, Config, Daemon, Kamailio, PortBlock};
use wharf_sip::Transport;

use crate::baresip::Baresip;
use crate::edge::calls_alice;
use crate::served::until;
use crate::sipp::{Sipp, is_bound};

/// A daemon whose edge has UDP and TCP at one address and TLS at another.
struct Site {
    daemon: Daemon,
    plain: SocketAddr,
    tls: SocketAddr,
    _ports: PortBlock,
}

impl Site {
    /// Before the server at this address.
    fn start(upstream: SocketAddr) -> Self {
        let mut ports = PortBlock::claim();
        let [plain, tls] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair())));
        let mut config = Config::new(&mut ports);
        config
            .set("sip.udp", vec![plain.to_string()])
            .set("sip.tls", vec![tls.to_string()])
            .set("sip.name", "127.0.0.1")
            .set("sip.upstream", format!("sip:{upstream}"));
        Self {
            daemon: Daemon::start(&config),
            plain,
            tls,
            _ports: ports,
        }
    }

    /// What the edge has counted under this name.
    fn counted(&self, name: &str) -> u64 {
        let counters = self.daemon.counters();
        counters.get(&format!("wharf_sip_edge_{name}_total"))
    }
}

#[test]
fn sipp_calls_sipp_through_the_daemon() {
    let mut ports = PortBlock::claim();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
    let callee = Sipp::callee("u1", to.port(), 1_000);
    until("callee", || is_bound(Transport::Udp, to.port()));
    let site = Site::start(to);
    for mode in ["u1", "t1"] {
        Sipp::calling("callee", site.plain, mode, 500).finish(500);
    }
    callee.finish(1_000);
    assert!(site.counted("to_upstream") >= 3_000);
    assert_eq!(site.counted("refused") + site.counted("gone"), 0);
}

#[test]
fn baresip_registers_at_kamailio_through_the_daemon_and_is_reached() {
    let kamailio = Kamailio::start();
    let site = Site::start(kamailio.address());
    for (address, transport) in [(site.plain, "udp"), (site.plain, "tcp"), (site.tls, "tls")] {
        let before = site.counted("to_clients");
        let phone = Baresip::start(address, transport, Authority::of_tests().file());
        phone.is_registered();
        calls_alice(&kamailio);
        assert_eq!(site.counted("to_clients"), before + 1, "{transport}");
    }
}
