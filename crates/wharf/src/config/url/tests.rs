use super::*;
use crate::config::{OnFull, Rate, Transport};

fn keys(url: &str) -> Vec<String> {
    let problems = ListenerConfig::from_url(url).expect_err(url);
    problems.0.into_iter().map(|problem| problem.key).collect()
}

fn bound(url: &str) -> (Transport, String) {
    let config = ListenerConfig::from_url(url).unwrap_or_else(|problems| panic!("{problems}"));
    (config.transport, config.bind[0].to_string())
}

#[test]
fn scheme_and_address() {
    for (url, transport, address) in [
        ("tcp://127.0.0.1:7000", Transport::Tcp, "127.0.0.1:7000"),
        ("ws://[::]:80", Transport::Ws, "[::]:80"),
        ("unix:///run/x.sock", Transport::Unix, "/run/x.sock"),
        ("unix:/run/x.sock", Transport::Unix, "/run/x.sock"),
        ("unix:@name", Transport::Unix, "@name"),
        (
            "unix:///run/a%20b+c.sock",
            Transport::Unix,
            "/run/a b+c.sock",
        ),
        ("ws+unix:///run/x.sock", Transport::Ws, "/run/x.sock"),
        ("tcp://systemd:echo", Transport::Tcp, "systemd:echo"),
        ("tls://fd:3?cert=c&key=k", Transport::Tls, "fd:3"),
    ] {
        assert_eq!(bound(url), (transport, address.to_owned()), "{url}");
    }
}

#[test]
fn a_query_says_what_a_file_says() {
    let url = "wss://[::]:443?cert=/a.pem&key=/a.key&name=a.org&name=*.a.org&bind=127.0.0.1:8443\
        &max-connections=7&nodelay=false&on-full=wait&access=deny+10.0.0.0/8&access=allow+all\
        &rates.bytes.per-second=5&rates.bytes.burst=9&websocket.paths=/chat&first-byte=off\
        &socket.dual-stack=ipv6-only&buffers.write=2KiB";
    let file = r#"
        transport = "wss"
        bind = ["[::]:443", "127.0.0.1:8443"]
        access = ["deny 10.0.0.0/8", "allow all"]
        limits = { max-connections = 7, on-full = "wait" }
        socket = { nodelay = false, dual-stack = "ipv6-only" }
        rates.bytes = { per-second = 5, burst = 9 }
        websocket.paths = ["/chat"]
        timeouts.first-byte = "off"
        buffers.write = 2048
        tls.certificates = [{ cert = "/a.pem", key = "/a.key", names = ["a.org", "*.a.org"] }]
    "#;
    let read = ListenerConfig::from_url(url).unwrap();
    assert_eq!(read, toml::from_str(file).unwrap());
    assert_eq!(
        read.rates.bytes,
        Some(Rate {
            per_second: 5,
            burst: 9
        })
    );
    let reply = ListenerConfig::from_url("tcp://[::]:1?limits.on-full.reply=busy").unwrap();
    assert_eq!(reply.limits.on_full, OnFull::Reply("busy".to_owned()));
    let two = ListenerConfig::from_url("tls://[::]:1?cert=a&key=b&cert=c&key=d").unwrap();
    assert_eq!(two.tls.certificates.len(), 2);
}

#[test]
fn every_problem_is_told_at_once() {
    let url = "tcp://localhost:80?max-message=5&max-conections=1&nodelay=maybe&limits.ipv4-prefix=33\
        &timeouts.write=5s&timeouts.write=6s&transport=tls&access=deny&cert=a";
    let expected = [
        "bind[0]",
        "max-message",
        "timeouts.write",
        "transport",
        "tls.certificates",
        "access[0]",
        "max-conections",
        "socket.nodelay",
        "limits.ipv4-prefix",
    ];
    assert_eq!(keys(url), expected);
}

#[test]
fn what_is_no_listener_is_refused() {
    for (url, key) in [
        ("", "transport"),
        ("127.0.0.1:7000", "transport"),
        ("pigeon://[::]:1", "transport"),
        ("tcp://", "bind[0]"),
        ("tcp:///run/x.sock", "bind[0]"),
        ("tls://localhost/x?cert=c&key=k", "bind[0]"),
        ("ws+unix://127.0.0.1:80", "bind[0]"),
        ("unix:", "bind[0]"),
        ("unix:/run/%00", "bind[0]"),
        (
            "tcp://[::]:1?limits=5&limits.per-prefix=5",
            "limits.per-prefix",
        ),
        ("tcp://[::]:1?access.x=5&access=deny+all", "access"),
        (
            "tls://[::]:1?cert=c&key=k&cert=d&key=l&name=a",
            "tls.certificates",
        ),
        ("tls://[::]:1?tls=5&cert=c&key=k", "tls"),
        (
            &format!("tcp://[::]:1?{}=1", "a.".repeat(9)),
            "a.a.a.a.a.a.a.a.a.\"\"",
        ),
        (&format!("tcp://[::]:1?{}", "x".repeat(LONGEST)), "url"),
    ] {
        assert_eq!(keys(url)[0], key, "{url:.60}");
    }
}
