use super::*;

fn target(url: &str) -> Target {
    Target::parse(url).unwrap_or_else(|problems| panic!("{url}: {problems}"))
}

/// The place of a URL that has one.
fn place(url: &str) -> Place {
    let [site] = &target(url).sites[..] else {
        panic!("{url}");
    };
    site.place.clone()
}

fn host(url: &str) -> String {
    target(url).sites[0].host.clone()
}

fn problems(url: &str) -> String {
    Target::parse(url).expect_err(url).to_string()
}

#[test]
fn hosts_have_ports_and_websockets_their_own() {
    let tcp = target("tcp://[::1]:7000");
    assert_eq!(
        (tcp.transport, tcp.sites[0].server_name.as_str()),
        (Transport::Tcp, "::1")
    );
    assert_eq!(tcp.sites[0].place.to_string(), "[::1]:7000");
    assert_eq!(
        place("tls://example.org:5061/").to_string(),
        "example.org:5061"
    );
    let ws = target("ws://example.org");
    assert_eq!(
        (ws.sites[0].host.as_str(), ws.path.as_str()),
        ("example.org", "/")
    );
    assert_eq!(ws.sites[0].place.to_string(), "example.org:80");
    let wss = target("wss://[2001:db8::1]:8443/chat?room=1");
    assert_eq!(
        (wss.sites[0].host.as_str(), wss.path.as_str()),
        ("[2001:db8::1]:8443", "/chat?room=1")
    );
    assert_eq!(host("wss://[2001:db8::1]"), "[2001:db8::1]");
    assert_eq!(target("ws://h?a=b").path, "/?a=b");
    assert_eq!(host("ws://h:443"), "h:443");
}

#[test]
fn unix_sockets_have_paths_or_names() {
    assert_eq!(
        place("unix:///run/a%20b.sock"),
        Place::Unix("/run/a b.sock".into())
    );
    assert_eq!(place("unix:./x.sock"), Place::Unix("./x.sock".into()));
    assert_eq!(place("unix:@name"), Place::Abstract("name".into()));
    let ws = target("ws+unix:/run/x?path=/chat%3Fa%3D1");
    assert_eq!(
        (ws.sites[0].host.as_str(), ws.path.as_str()),
        ("localhost", "/chat?a=1")
    );
}

#[test]
fn several_hosts_have_their_own_names_and_ports() {
    let wss = target("wss://a.example,b.example:8443,[::1]:9/chat");
    let told: Vec<_> = wss
        .sites
        .iter()
        .map(|site| (site.place.to_string(), &*site.server_name, &*site.host))
        .collect();
    assert_eq!(
        told,
        [
            ("a.example:443".to_owned(), "a.example", "a.example"),
            ("b.example:8443".to_owned(), "b.example", "b.example:8443"),
            ("[::1]:9".to_owned(), "::1", "[::1]:9"),
        ]
    );
    assert_eq!(wss.path, "/chat");
    // Every host has its problems told.
    let told = problems("tcp://a:1,b,,c:0");
    assert_eq!(told.lines().count(), 4, "{told}");
    let sixteen = vec!["h:1"; 16].join(",");
    assert_eq!(target(&format!("tcp://{sixteen}")).sites.len(), 16);
    assert!(problems(&format!("tcp://{sixteen},h:1")).contains("at most 16 hosts"));
    // A comma has no such meaning in the path of a socket.
    assert_eq!(place("unix:/run/a,b"), Place::Unix("/run/a,b".into()));
}

#[test]
fn what_is_wrong_is_told_with_what_is_right() {
    for (url, told) in [
        ("", "scheme tcp, tls"),
        ("http://h", "= http: expected a URL with the scheme"),
        ("tcp://h", "url port = h: expected a port"),
        (
            "tcp://h:0",
            "expected a port, 1 to 65535. For example tcp://h:7000.",
        ),
        ("tcp://h:65536", "url port"),
        ("tcp://:1", "url host"),
        ("tcp://::1:7000", "IPv6 address in brackets"),
        ("tcp://[::1:7000", "url host"),
        ("tcp://[::1]7000", "url port"),
        ("tcp://h:1/x", "expected nothing behind the port for tcp"),
        ("tcp://h:1?nodelay=true", "expected nothing behind the port"),
        ("tls://h\u{e9}:1", "url host"),
        ("ws://h/a b", "percent-encode"),
        ("ws://h/#f", "no fragment"),
        ("unix:name", "expected a path with a slash or @name"),
        ("unix:@", "@name"),
        ("unix:/x?path=/y", "for ws+unix"),
        ("ws+unix:/x?path=y", "`path=/…`"),
    ] {
        let problems = problems(url);
        assert!(problems.contains(told), "{url}: {problems}");
    }
    let long = format!("unix:/{}", "x".repeat(107));
    assert!(problems(&long).contains("107 bytes"));
    assert!(problems(&format!("ws://h/{}", "x".repeat(1 << 16))).contains("64 KiB"));
    // Several at once, and never a password.
    let several = problems("tcp://me:secret@/x#y");
    assert_eq!(several.lines().count(), 3, "{several}");
    assert!(!several.contains("secret"), "{several}");
}
