//! The daemon as the edge of phones in browsers.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use wharf_interop::{Authority, Config, Daemon, Kamailio, PASSWORD, PortBlock, USER};
use wharf_sip::Transport;

use super::ask;
use super::scene::Scene;
use crate::served::SOON;

/// A daemon before kamailio.
struct Site {
    daemon: Daemon,
    config: Config,
    scene: Scene,
    _ports: PortBlock,
}

impl Site {
    fn start() -> Self {
        let mut ports = PortBlock::claim();
        let kamailio = Kamailio::start();
        let mut address = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
        let [udp, ws, wss] = [address(), address(), address()];
        let mut config = Config::new(&mut ports);
        let on = |address: SocketAddr| vec![address.to_string()];
        config
            .set("sip.udp", on(udp))
            .set("sip.ws", on(ws))
            .set("sip.wss", on(wss))
            .set("sip.name", "127.0.0.1")
            .set("sip.upstream", format!("sip:{}", kamailio.address()));
        let scene = Scene {
            kamailio,
            ws,
            wss,
            ca: Authority::of_tests().file().to_owned(),
        };
        Self {
            daemon: Daemon::start(&config),
            config,
            scene,
            _ports: ports,
        }
    }
}

/// The daemon brings both: its edge the call, its TURN server what is heard and seen.
#[test]
fn sip_js_in_chromium_calls_through_the_daemon_alone() {
    let Site { daemon, scene, .. } = &Site::start();
    let mut media = scene.browser(&json!({
        "iceTransportPolicy": "relay",
        "iceServers": [{
            "urls": format!("turn:127.0.0.1:{}?transport=udp", daemon.port()),
            "username": USER, "credential": PASSWORD,
        }],
    }));
    media["offer"].take();
    let expected = json!({
        "subject": "to be seen", "offer": null, "ways": ["relay", "relay"],
        "alice": "here", "bob": "there",
    });
    assert_eq!(media, expected);
    let counters = daemon.counters();
    for (counter, at_least, at_most) in [
        ("wharf_sip_edge_to_upstream_total", 22, 100),
        ("wharf_sip_edge_to_clients_total", 16, 100),
        ("wharf_sip_edge_refused_total", 0, 0),
        ("wharf_sip_edge_strays_total", 0, 0),
        ("wharf_sip_edge_gone_total", 0, 0),
        ("wharf_sip_edge_lost_total", 0, 0),
    ] {
        let value = counters.get(counter);
        assert!((at_least..=at_most).contains(&value), "{counter} {value}");
    }
}

/// `JsSIP` connects and registers anew by itself.
#[test]
fn jssip_is_reached_after_a_restart_of_the_daemon() {
    let Site {
        daemon,
        config,
        scene,
        _ports,
    } = Site::start();
    let phone = scene.node("comes-back.mjs", "jssip", Transport::Wss, "");
    phone.wait_for_line(SOON, |line| line == "registration 1\n");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
    drop(daemon);
    let _daemon = Daemon::start(&config);
    phone.wait_for_line(SOON, |line| line == "registration 2\n");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
}
