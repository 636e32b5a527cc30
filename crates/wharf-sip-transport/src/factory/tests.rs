use super::*;

/// The listeners of these URIs: name, transport and addresses of each.
fn read(uris: &[&str]) -> Vec<String> {
    let config = listeners(uris.iter().copied()).unwrap();
    let shown = |(name, listener): (&String, &ListenerConfig)| {
        let bind: Vec<_> = listener.bind.iter().map(ToString::to_string).collect();
        format!("{name} {} {}", listener.transport.label(), bind.join(" "))
    };
    config.listeners.iter().map(shown).collect()
}

const CERT: &str = "cert=/a.pem&key=/a.key";

#[test]
fn s1_udp_brings_tcp_on_the_same_addresses() {
    let both = ["sip-0 udp 192.0.2.1:5060", "sip-0-tcp tcp 192.0.2.1:5060"];
    assert_eq!(read(&["sip:192.0.2.1"]), both);
    assert_eq!(read(&["sip:192.0.2.1;transport=udp"]), both);
    // Where TCP is there already, it is left as it is.
    let own = [
        "sip:[::]:5070",
        "sip:[::]:5070;transport=tcp?max-connections=7",
    ];
    assert_eq!(read(&own), ["sip-0 udp [::]:5070", "sip-1 tcp [::]:5070"]);
    let config = listeners(own).unwrap();
    assert_eq!(config.listeners["sip-1"].limits.max_connections, 7);
}

#[test]
fn s1_the_listener_over_tcp_lets_in_whom_that_over_udp_does() {
    let uri = "sip:[::]:5060?access=deny%20all&socket.dual-stack=ipv6-only";
    let config = listeners([uri]).unwrap();
    let [udp, tcp] = ["sip-0", "sip-0-tcp"].map(|name| &config.listeners[name]);
    assert_eq!((udp.access.len(), &tcp.access), (1, &udp.access));
    assert_eq!(tcp.socket, udp.socket);
}

#[test]
fn each_scheme_has_its_transport_and_port() {
    let secure = [
        "sips:[2001:db8::1]",
        "sip:192.0.2.1;transport=tls",
        "wss://192.0.2.1",
    ];
    let secure = secure.map(|uri| format!("{uri}?{CERT}"));
    let uris: Vec<_> = secure.iter().map(String::as_str).collect();
    let expected = [
        "sip-0 tls [2001:db8::1]:5061",
        "sip-1 tls 192.0.2.1:5061",
        "sip-2 wss 192.0.2.1:443",
    ];
    assert_eq!(read(&uris), expected);
    let plain = [
        "sip:192.0.2.1:5080;transport=TCP",
        "ws://[::1]",
        "WS://[::1]:8080/",
    ];
    let expected = [
        "sip-0 tcp 192.0.2.1:5080",
        "sip-1 ws [::1]:80",
        "sip-2 ws [::1]:8080",
    ];
    assert_eq!(read(&plain), expected);
    let schemes = ["sip", "SIPS", "ws", "wss", "tel"].map(transport);
    let expected = [
        Transport::Udp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ];
    assert_eq!(schemes[..4], expected.map(Some));
    assert_eq!(schemes[4], None);
}

#[test]
fn rfc7118_a_websocket_speaks_sip_and_nothing_else() {
    let config = listeners(["ws://[::]:8080/sip?max-head=1KiB"]).unwrap();
    let websocket = &config.listeners["sip-0"].websocket;
    assert_eq!(websocket.subprotocols, ["sip"]);
    assert!(websocket.subprotocol_required);
    assert_eq!(websocket.paths, ["/sip"]);
    assert_eq!(websocket.max_head, 1024);
}

#[test]
fn every_problem_is_told_with_the_number_of_its_uri() {
    let problems = listeners([
        "sip:example.com",
        "sip:192.0.2.1;transport=sctp",
        "sips:192.0.2.1;transport=udp",
        "sip:192.0.2.1;lr",
        "sip:bob@192.0.2.1",
        "tel:+1",
        "ws://example.com",
        "sip:192.0.2.1?max-conections=1",
        "sip:192.0.2.1;transport=carrier-pigeon",
    ]);
    let Problems(problems) = problems.unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    let expected = [
        "uri[0].bind",
        "uri[1].transport",
        "uri[2].transport",
        "uri[3].lr",
        "uri[4].uri",
        "uri[5].uri",
        "uri[6].bind",
        "uri[7].max-conections",
        "uri[8].transport",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_configuration_is_completed_or_all_its_problems_are_told() {
    let good = r#"
        [listeners.phones]
        transport = "udp"
        bind = ["127.0.0.1:5060", "127.0.0.2:5060"]
        [listeners.phones-more]
        transport = "tcp"
        bind = ["127.0.0.2:5060"]
    "#;
    let mut config = ServerConfig::from_toml(good).unwrap();
    complete(&mut config).unwrap();
    let twin = &config.listeners["phones-tcp"];
    assert_eq!(twin.bind, ["127.0.0.1:5060".parse().unwrap()]);
    // Once more, and nothing changes.
    let once = config.clone();
    complete(&mut config).unwrap();
    assert_eq!(config, once);

    let wrong = r#"
        [listeners.file]
        transport = "unix"
        bind = ["/run/sip.sock"]
        [listeners.phones]
        transport = "udp"
        bind = ["127.0.0.1:0"]
        [listeners.trunk]
        transport = "udp"
        bind = ["127.0.0.1:5070"]
        [listeners.trunk-tcp]
        transport = "tcp"
        bind = ["127.0.0.1:5071"]
    "#;
    let mut config = ServerConfig::from_toml(wrong).unwrap();
    let Problems(problems) = complete(&mut config).unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    let expected = [
        "listeners.file.transport",
        "listeners.phones.bind[0]",
        "listeners.trunk-tcp",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_target_is_that_of_a_uri_or_of_a_url() {
    let shown = |uri: &str| {
        let Target {
            host,
            port,
            transport,
            secure,
        } = target(uri).unwrap();
        format!("{} {port:?} {transport:?} {secure}", host.as_host())
    };
    assert_eq!(shown("sip:a@example.com"), "example.com None None false");
    assert_eq!(shown("sips:example.com"), "example.com None None true");
    assert_eq!(
        shown("ws://[::1]:8080/sip"),
        "[::1] Some(8080) Some(Ws) false"
    );
    assert_eq!(
        shown("wss://edge.example.com"),
        "edge.example.com None Some(Wss) true"
    );
    for wrong in ["http://example.com", "ws://", "ws://a b", "sip:", ""] {
        assert!(target(wrong).is_err(), "{wrong}");
    }
}
