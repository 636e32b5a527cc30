//! SIP through the daemon: a browser on a WebSocket, a phone on UDP, and the server behind the edge.

use crate::harness::{Certificate, DEADLINE, Daemon, File, config, free_port};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use wharf::config::Pem;
use wharf::{Client, Message, Messages, Server, Tls};
use wharf_sip::Reply;
use wharf_sip_transport::{Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

/// The server behind the edge.
struct Upstream(UdpSocket);

/// A client of the edge over WebSocket, on a runtime of its own.
struct Browser(tokio::runtime::Runtime, Messages);

struct Ports {
    turn: u16,
    udp: u16,
    ws: u16,
}

fn ports() -> Ports {
    let [turn, udp, ws] = [(); 3].map(|()| free_port());
    Ports { turn, udp, ws }
}

impl Upstream {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    fn gets(&self) -> (String, SocketAddr) {
        let mut bytes = vec![0; 65_536];
        let (length, from) = self.0.recv_from(&mut bytes).unwrap();
        (String::from_utf8(bytes[..length].to_vec()).unwrap(), from)
    }

    /// Sends a request to the client of this Path.
    fn sends(&self, edge: u16, path: &str) {
        let message = request("MESSAGE", &format!("Route: {path}\r\n"));
        let edge = SocketAddr::from(([127, 0, 0, 1], edge));
        self.0.send_to(message.as_bytes(), edge).unwrap();
    }
}

impl Browser {
    fn connect(url: &str, certificate: Option<&Certificate>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let messages = runtime.block_on(async {
            let client = Client::builder().with(|options| {
                options.websocket.subprotocols = vec!["sip".into()];
                let ca = certificate.map(|one| Pem::File(one.cert.path().into()));
                options.tls.ca = ca.into_iter().collect();
            });
            client.build().unwrap().connect_messages(url).await.unwrap()
        });
        Self(runtime, messages)
    }

    fn says(&mut self, message: &str) {
        let message = Message::text(message);
        self.0.block_on(self.1.send(message)).unwrap();
    }

    fn hears(&mut self) -> String {
        let received = async { tokio::time::timeout(DEADLINE, self.1.recv()).await };
        let message = self.0.block_on(received).unwrap().unwrap().unwrap();
        String::from_utf8(message.payload().to_vec()).unwrap()
    }

    /// Whether the edge has closed the connection.
    fn is_closed(&mut self) -> bool {
        let received = async { tokio::time::timeout(DEADLINE, self.1.recv()).await };
        let received = self.0.block_on(received).expect("in time");
        received.is_none_or(|message| message.is_err())
    }

    /// Registers; what the upstream got.
    fn registers(&mut self, upstream: &Upstream) -> String {
        self.says(&request("REGISTER", ""));
        upstream.gets().0
    }
}

fn request(method: &str, lines: &str) -> String {
    format!(
        "{method} sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1;rport\r\n\
         Max-Forwards: 70\r\n{lines}From: <sip:a@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\n\
         Call-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn path(register: &str) -> String {
    let path = register
        .lines()
        .find_map(|line| line.strip_prefix("Path: "));
    path.unwrap_or_else(|| panic!("no Path: {register}"))
        .to_owned()
}

/// A daemon with an edge before `upstream`; `more` goes into `[sip]`, and behind it.
fn file(ports: &Ports, upstream: &Upstream, more: &str) -> String {
    let upstream = upstream.0.local_addr().unwrap();
    let Ports { turn, udp, ws } = ports;
    let sip = format!(
        "[metrics]\nlisten = '127.0.0.1:0'\n[sip]\nudp = ['127.0.0.1:{udp}']\nws = ['127.0.0.1:{ws}']\n\
         name = '127.0.0.1'\nupstream = 'sip:{upstream}'\n{more}"
    );
    let text = config(*turn, &sip);
    text.replace("[server]\n", "[server]\ndrain-deadline = '2s'\n")
}

#[test]
fn a_browser_registers_and_is_reached() {
    let (ports, upstream) = (ports(), Upstream::new());
    let file = File::new(&file(&ports, &upstream, ""));
    let mut daemon = Daemon::ready(&file);
    let ready: serde_json::Value = serde_json::from_str(daemon.seen.last().unwrap()).unwrap();
    let listed = format!(
        "udp 127.0.0.1:{0}, tcp 127.0.0.1:{0}, ws 127.0.0.1:{1}",
        ports.udp, ports.ws
    );
    assert_eq!(ready["sip"], listed);

    let mut browser = Browser::connect(&format!("ws://127.0.0.1:{}/", ports.ws), None);
    let register = browser.registers(&upstream);
    let via = format!("Via: SIP/2.0/UDP 127.0.0.1:{};branch=z9hG4bK", ports.udp);
    assert!(register.contains(&via), "{register}");
    let path = path(&register);
    assert!(
        path.ends_with(&format!("@127.0.0.1:{};lr;ob>", ports.udp)),
        "{path}"
    );
    upstream.sends(ports.udp, &path);
    assert!(
        browser
            .hears()
            .starts_with("MESSAGE sip:example.com SIP/2.0\r\n")
    );
    daemon.counts("wharf_sip_connections 1");
    daemon.counts("wharf_sip_edge_to_upstream_total 1");
    daemon.counts("wharf_sip_edge_to_clients_total 1");
    daemon.counts("wharf_connections_live{listener=\"sip-ws\"} 1");

    // Whoever listens on UDP does on TCP.
    TcpStream::connect(("127.0.0.1", ports.udp)).unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
}

#[test]
fn a_browser_comes_over_tls_with_its_path_and_origin() {
    let (ports, upstream) = (ports(), Upstream::new());
    let certificate = Certificate::new();
    let wss = free_port();
    let (cert, key) = (certificate.cert.path(), certificate.key.path());
    let more = format!(
        "wss = ['127.0.0.1:{wss}']\nwebsocket = {{ paths = ['/sip'] }}\n\
         [tls]\ncertificates = [{{ cert = '{cert}', key = '{key}' }}]"
    );
    let file = File::new(&file(&ports, &upstream, &more));
    let mut daemon = Daemon::ready(&file);
    let mut browser = Browser::connect(&format!("wss://localhost:{wss}/sip"), Some(&certificate));
    assert!(browser.registers(&upstream).contains("Path: <sip:c"));
    // A certificate is read again with the file.
    daemon.signal("HUP");
    daemon.line("reloaded");
    daemon.counts("wharf_certificate_reloads_total{listener=\"sip-wss\"} 1");
    let other =
        Client::builder().with(|options| options.websocket.subprotocols = vec!["sip".into()]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let refused = runtime.block_on(async {
        let client = other.build().unwrap();
        client
            .connect_messages(&format!("ws://127.0.0.1:{}/other", ports.ws))
            .await
            .err()
    });
    assert!(refused.unwrap().to_string().contains("404"));
}

#[test]
fn a_reload_applies_what_is_live_and_names_the_rest() {
    let (ports, upstream) = (ports(), Upstream::new());
    let text = |more: &str| file(&ports, &upstream, more);
    let file = File::new(&text(""));
    let mut daemon = Daemon::ready(&file);
    let phone = UdpSocket::bind("127.0.0.2:0").unwrap();
    phone.set_read_timeout(Some(DEADLINE)).unwrap();
    phone.connect(("127.0.0.1", ports.udp)).unwrap();
    let udp =
        request("OPTIONS", "").replace("example.com SIP", &format!("127.0.0.1:{} SIP", ports.udp));
    let udp = udp.replace("SIP/2.0/WS", "SIP/2.0/UDP");
    let answered = || {
        phone.send(udp.as_bytes()).unwrap();
        phone.recv(&mut [0; 2000]).unwrap()
    };
    assert!(answered() > 0);
    file.write(&text(
        "stream = { access = ['deny 127.0.0.2'] }\naliases = ['a.example']",
    ));
    daemon.signal("HUP");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("reloaded")).unwrap();
    assert_eq!(event["keys"], "sip.stream");
    let event = daemon.line("wait for a restart");
    assert!(event.contains("sip.aliases"), "{event}");
    phone.send(udp.as_bytes()).unwrap();
    daemon.counts("wharf_datagrams_dropped_total{listener=\"sip-udp\",reason=\"access\"} 1");
}

#[test]
fn a_client_over_udp_is_reached_after_a_restart_with_the_same_key() {
    let (ports, upstream) = (ports(), Upstream::new());
    let key = "flow-key = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='";
    let file = File::new(&file(&ports, &upstream, key));
    let phone = UdpSocket::bind("127.0.0.2:0").unwrap();
    phone.set_read_timeout(Some(DEADLINE)).unwrap();
    phone.connect(("127.0.0.1", ports.udp)).unwrap();
    let mut before = Daemon::ready(&file);
    phone
        .send(request("REGISTER", "").replace("/WS", "/UDP").as_bytes())
        .unwrap();
    let path = path(&upstream.gets().0);
    before.signal("TERM");
    assert_eq!(before.end().code(), Some(0));
    let _after = Daemon::ready(&file);
    upstream.sends(ports.udp, &path);
    let mut bytes = [0; 2000];
    let length = phone.recv(&mut bytes).unwrap();
    assert!(bytes[..length].starts_with(b"MESSAGE sip:example.com SIP/2.0\r\n"));
}

/// Over TCP an upstream's answers come over a connection, which the drain leaves alone.
#[test]
fn a_drain_leaves_clients_whose_answers_can_still_come() {
    for (transport, is_closed) in [("", true), (";transport=tcp", false)] {
        let Ports { turn, udp, ws } = ports();
        let file = File::new(&format!(
            "{}[sip]\nudp = ['127.0.0.1:{udp}']\nws = ['127.0.0.1:{ws}']\nname = '127.0.0.1'\n\
             upstream = 'sip:127.0.0.1:{udp}{transport}'",
            config(turn, "").replace("[server]\n", "[server]\ndrain-deadline = '10m'\n"),
        ));
        let mut daemon = Daemon::ready(&file);
        let mut browser = Browser::connect(&format!("ws://127.0.0.1:{ws}/"), None);
        let mut phone = TcpStream::connect(("127.0.0.1", udp)).unwrap();
        phone.set_read_timeout(Some(DEADLINE)).unwrap();
        let options =
            request("OPTIONS", "").replace("example.com SIP", &format!("127.0.0.1:{udp} SIP"));
        let options = options.replace("SIP/2.0/WS", "SIP/2.0/TCP");
        let answers = |phone: &mut TcpStream| {
            phone.write_all(options.as_bytes()).unwrap();
            phone.read(&mut [0; 2_000]).unwrap() > 0
        };
        assert!(answers(&mut phone));
        daemon.signal("TERM");
        daemon.line("draining");
        // A WebSocket is told at any rate.
        assert!(browser.is_closed());
        if is_closed {
            let end = phone.read(&mut [0; 1]);
            assert!(!end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        } else {
            assert!(answers(&mut phone));
        }
    }
}

#[test]
fn an_edge_outlives_its_process() {
    let (ports, upstream) = (ports(), Upstream::new());
    let handover = std::env::temp_dir().join(format!("wharfd-sip-{}", std::process::id()));
    let text = file(&ports, &upstream, "");
    let handover = format!("[server]\nhandover = '{}'\n", handover.display());
    let file = File::new(&text.replace("[server]\n", &handover));
    let url = format!("ws://127.0.0.1:{}/", ports.ws);
    let mut first = Daemon::ready(&file);
    let mut browser = Browser::connect(&url, None);
    browser.registers(&upstream);
    let _second = Daemon::ready(&file);
    // The new process has the sockets: it reads what the upstream answers, so everybody has to come back.
    assert!(browser.is_closed());
    let mut browser = Browser::connect(&url, None);
    let path = path(&browser.registers(&upstream));
    upstream.sends(ports.udp, &path);
    assert!(browser.hears().starts_with("MESSAGE "));
    assert_eq!(first.end().code(), Some(0), "{}", first.output());
}

#[test]
fn a_long_request_goes_over_udp_where_the_upstream_refuses_tcp() {
    let (ports, upstream) = (ports(), Upstream::new());
    let file = File::new(&file(&ports, &upstream, ""));
    let daemon = Daemon::ready(&file);
    let mut browser = Browser::connect(&format!("ws://127.0.0.1:{}/", ports.ws), None);
    let head = request("MESSAGE", "").replace("Content-Length: 0", "Content-Length: 1400");
    browser.says(&(head + &"x".repeat(1_400)));
    let (message, _) = upstream.gets();
    assert!(
        message.contains("\r\nVia: SIP/2.0/UDP 127.0.0.1:"),
        "{message}"
    );
    assert!(message.ends_with(&"x".repeat(1_400)));
    daemon.counts("wharf_sip_edge_to_upstream_total 1");
}

/// Answers 200.
struct Registrar;

impl Upper for Registrar {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let reply = Reply {
            code: 200,
            reason: "OK",
            tag: "registrar",
            source: None,
            fields: &[],
        };
        out.respond(incoming, &reply).unwrap();
        Taken::Yes
    }
}

/// A registrar over TLS with this certificate; its port.
fn secure_registrar(runtime: &tokio::runtime::Runtime, certificate: &Certificate) -> u16 {
    runtime.block_on(async {
        let tls = Tls::bind("127.0.0.1:0").cert(certificate.cert.path(), certificate.key.path());
        let sip = Sip::new(SipOptions::default(), Registrar);
        let server = Server::builder().listen_with("tls", tls, sip.streams());
        let server = server.build().unwrap();
        let address = server.handle().address("tls").unwrap().ip().unwrap();
        tokio::spawn(server.run());
        address.port()
    })
}

/// A daemon whose upstream is there and has to be certified by `ca`; its file, and the port of its
/// WebSockets.
fn before(upstream: u16, ca: &str) -> (Daemon, File, u16) {
    let Ports { turn, ws, .. } = ports();
    let file = File::new(&config(
        turn,
        &format!(
            "[sip]\nws = ['127.0.0.1:{ws}']\nname = '127.0.0.1'\n\
             upstream = 'sips:localhost:{upstream}'\nupstream-tls = {{ ca = ['{ca}'] }}"
        ),
    ));
    (Daemon::ready(&file), file, ws)
}

/// What a browser is answered when it registers.
fn registered(ws: u16) -> String {
    let mut browser = Browser::connect(&format!("ws://127.0.0.1:{ws}/"), None);
    browser.says(&request("REGISTER", ""));
    let answer = browser.hears();
    answer.lines().next().unwrap().to_owned()
}

#[test]
fn an_upstream_over_tls_has_to_prove_its_name() {
    let (certificate, stranger) = (Certificate::new(), Certificate::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let upstream = secure_registrar(&runtime, &certificate);
    for (ca, status) in [
        (certificate.cert.path(), "SIP/2.0 200 OK"),
        (stranger.cert.path(), "SIP/2.0 503 Upstream Unreachable"),
    ] {
        let (_daemon, _file, ws) = before(upstream, ca);
        assert_eq!(registered(ws), status);
    }
}

#[test]
fn a_reload_reads_the_certificates_of_the_upstream_anew() {
    let (certificate, stranger) = (Certificate::new(), Certificate::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let upstream = secure_registrar(&runtime, &certificate);
    let ca = File::new(&std::fs::read_to_string(stranger.cert.path()).unwrap());
    let (mut daemon, _file, ws) = before(upstream, ca.path());
    assert_eq!(registered(ws), "SIP/2.0 503 Upstream Unreachable");
    ca.write(&std::fs::read_to_string(certificate.cert.path()).unwrap());
    daemon.signal("HUP");
    daemon.line("reloaded");
    assert_eq!(registered(ws), "SIP/2.0 200 OK");
}
