//! The daemon as the edge of phones in browsers.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use toml::Table;
use wharf_interop::{Authority, Config, Daemon, Kamailio, KamailioTls, PASSWORD, PortBlock, USER};
use wharf_sip::Transport;

use super::ask;
use super::scene::Scene;
use crate::pki;
use crate::responder::in_uri;
use crate::served::SOON;

/// A daemon before kamailio.
struct Site {
    daemon: Daemon,
    config: Config,
    scene: Scene,
    _ca: pki::Authority,
    _ports: PortBlock,
}

impl Site {
    /// The daemon reaches kamailio over UDP, TCP or TLS.
    fn start(upstream: Transport) -> Self {
        let mut ports = PortBlock::claim();
        let ca = pki::Authority::new();
        let leaf = ca.issue("127.0.0.1");
        let kamailio = Kamailio::start_with_tls(KamailioTls {
            certificate: &leaf.cert,
            key: &leaf.key,
            authority: Authority::of_tests().file(),
        });
        let mut address = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
        let [udp, tls, ws, wss] = [(); 4].map(|()| address());
        let mut config = Config::new(&mut ports);
        let at = match upstream {
            Transport::Tls => kamailio.tls_address(),
            _ => kamailio.address(),
        };
        let uri = format!("sip:{at};transport={}", in_uri(upstream));
        let authorities = vec![ca.file().display().to_string()];
        let upstream_tls = Table::from_iter([("ca".to_owned(), authorities.into())]);
        let on = |address: SocketAddr| vec![address.to_string()];
        config
            .set("sip.udp", on(udp))
            .set("sip.tls", on(tls))
            .set("sip.ws", on(ws))
            .set("sip.wss", on(wss))
            .set("sip.name", "127.0.0.1")
            .set("sip.upstream", uri)
            .set("sip.upstream-tls", upstream_tls)
            // Over TCP and TLS kamailio opens connections of its own.
            .set("sip.trusted", vec!["127.0.0.1/32"]);
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
            _ca: ca,
            _ports: ports,
        }
    }

    /// So many requests each way at least, and each went where it had to.
    fn assert_all_went_through(&self, to_upstream: u64, to_clients: u64) {
        let counters = self.daemon.counters();
        let counted = |name: &str| counters.get(&format!("wharf_sip_edge_{name}_total"));
        assert!(counted("to_upstream") >= to_upstream, "{counters:?}");
        assert!(counted("to_clients") >= to_clients, "{counters:?}");
        for astray in ["refused", "strays", "gone", "lost"] {
            assert_eq!(counted(astray), 0, "{astray}");
        }
    }
}

/// The daemon brings both: its edge the call, its TURN server what is heard and seen.
#[test]
fn sip_js_in_chromium_calls_through_the_daemon_alone() {
    let site = Site::start(Transport::Udp);
    let mut media = site.scene.browser(&json!({
        "iceTransportPolicy": "relay",
        "iceServers": [{
            "urls": format!("turn:127.0.0.1:{}?transport=udp", site.daemon.port()),
            "username": USER, "credential": PASSWORD,
        }],
    }));
    media["offer"].take();
    let expected = json!({
        "subject": "to be seen", "offer": null, "ways": ["relay", "relay"],
        "alice": "here", "bob": "there",
    });
    assert_eq!(media, expected);
    site.assert_all_went_through(22, 16);
}

fn an_upstream_over(transport: Transport) {
    let site = Site::start(transport);
    let scene = &site.scene;
    let phone = scene.converse(|peer| scene.node("phone.mjs", "sip-js", Transport::Wss, peer));
    let ended = phone.finish(SOON);
    assert!(ended.status.success(), "{}", ended.output);
    site.assert_all_went_through(15, 13);
    // That of the phone, and to the upstream.
    let opened = site.daemon.counters().get("wharf_sip_opened_total");
    assert!(opened >= 2, "{opened}");
}

#[test]
fn sip_js_reaches_an_upstream_over_tcp() {
    an_upstream_over(Transport::Tcp);
}

#[test]
fn sip_js_reaches_an_upstream_over_tls() {
    an_upstream_over(Transport::Tls);
}

/// `JsSIP` connects and registers anew by itself.
#[test]
fn jssip_is_reached_after_a_restart_of_the_daemon() {
    let site = Site::start(Transport::Udp);
    let (scene, daemon) = (site.scene, site.daemon);
    let phone = scene.node("comes-back.mjs", "jssip", Transport::Wss, "");
    phone.wait_for_line(SOON, |line| line == "registration 1\n");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
    drop(daemon);
    let _daemon = Daemon::start(&site.config);
    phone.wait_for_line(SOON, |line| line == "registration 2\n");
    assert_eq!(ask(&scene.kamailio), "SIP/2.0 200 OK");
}
