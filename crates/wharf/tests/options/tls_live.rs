//! What changes while a TLS listener runs: never that it speaks TLS.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast;
use wharf::config::{Change, OPTIONS, Pem, Transport};
use wharf::events::Event;
use wharf::message::Message;
use wharf::testkit::{self, Authority, Connector, Leaf};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::websocket::WebSocket;
use wharf::websocket::client::{ClientRequest, handshake};
use wharf::{BoxError, Handle, ListenerConfig, Messages, Server, Stream};

use super::tls::{Files, Site};
use super::{IT, connect, settle, start};

/// Waits for the news of certificates; says what was wrong with them.
pub(super) async fn certificates_event(events: &mut broadcast::Receiver<Event>) -> Option<String> {
    loop {
        if let Event::Certificates { problem, .. } = events.recv().await.unwrap() {
            return problem;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_certificate_keeps_the_old_one_and_is_told() {
    let site = Site::new(|_, _| ());
    let client = site.client(|_| ());
    let stranger = site.ca.issue(&Leaf::named("a", &["a.example"]));
    let mut events = site.handle.events();
    let refused = site.handle.change(IT, |config| {
        // A key that is not the certificate's.
        config.tls.certificates[0].key = stranger.certificate().key;
        config.tls.strict_sni = true;
    });
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("listeners.it.tls"), "{error}");
    assert!(!error.contains("PRIVATE KEY"), "{error}");
    assert!(certificates_event(&mut events).await.is_some());
    let info = site.handle.inspect(IT).unwrap();
    assert_eq!(info.stats.certificate_failures, 1);
    assert!(!info.config.tls.strict_sni, "nothing of it is in force");
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        site.leaf.der
    );
}

#[tokio::test(start_paused = true)]
async fn bad_files_keep_the_old_certificate_until_they_are_good() {
    let mut files = None;
    let site = Site::new(|tls, ca| {
        let first = ca.issue(&Leaf::named("a", &["a.example"]));
        let made = files.insert(Files::new("bad", &first));
        tls.certificates = vec![made.certificate()];
        tls.watch = Some(Duration::from_secs(10));
    });
    let files = files.unwrap();
    let client = site.client(|_| ());
    let mut standing = site.join(&client, "a.example").await.unwrap();
    let mut events = site.handle.events();
    let new = site.ca.issue(&Leaf::named("a", &["a.example"]));
    files.write("cert.pem", &new.cert);
    let problem = certificates_event(&mut events).await.unwrap();
    assert!(problem.contains("key"), "{problem}");
    let stats = site.handle.inspect(IT).unwrap().stats;
    assert_eq!(
        (stats.certificate_reloads, stats.certificate_failures),
        (0, 1)
    );
    let again = site.join(&client, "a.example").await.unwrap();
    assert_eq!(again.shown, standing.shown);

    files.write("key.pem", &new.key);
    assert_eq!(certificates_event(&mut events).await, None);
    let stats = site.handle.inspect(IT).unwrap().stats;
    assert_eq!(
        (stats.certificate_reloads, stats.certificate_failures),
        (1, 1)
    );
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        new.der
    );
    standing.echoes().await;
}

#[tokio::test(start_paused = true)]
async fn connections_survive_a_reload() {
    let site = Site::new(|_, _| ());
    let client = site.client(|_| ());
    let mut standing = site.join(&client, "a.example").await.unwrap();
    let new = site.ca.issue(&Leaf::named("a", &["a.example"]));
    site.change(|tls| tls.certificates = vec![new.certificate()]);
    assert_eq!(
        site.join(&client, "a.example").await.unwrap().shown,
        new.der
    );
    standing.echoes().await;
    site.handle.reload_certificates(IT).unwrap();
    standing.echoes().await;
}

/// The two transports that are secure, in memory, whose handlers greet.
struct Secure {
    handle: Handle,
    tls: Connector,
    wss: Connector,
    client: ClientTls,
}

const GREETING: &str = "greeting";

async fn greet(mut stream: Stream) -> Result<(), BoxError> {
    stream.write_all(GREETING.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn greet_in_messages(mut messages: Messages) -> Result<(), BoxError> {
    Ok(messages.send(Message::text(GREETING)).await?)
}

impl Secure {
    fn new(ca: &Authority) -> Self {
        let leaf = ca.issue(&Leaf::named("a", &["a.example"])).certificate();
        let (tls, to_tls) = testkit::memory(Transport::Tls);
        let (wss, to_wss) = testkit::memory(Transport::Wss);
        let cert = |config: &mut ListenerConfig| config.tls.certificates.push(leaf.clone());
        let builder = Server::builder()
            .listen("tls", tls.with(cert), greet)
            .listen_messages("wss", wss.with(cert), greet_in_messages);
        let client = ClientTls::new(&ClientTlsOptions {
            ca: vec![ca.pem()],
            ..ClientTlsOptions::default()
        });
        Self {
            handle: start(builder),
            tls: to_tls,
            wss: to_wss,
            client: client.unwrap(),
        }
    }

    /// TLS is spoken as ever.
    async fn greets(&self) {
        let near = connect(&self.tls, "192.0.2.1").await;
        let mut stream = self.client.connect(near, "a.example").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, GREETING);

        let near = connect(&self.wss, "192.0.2.1").await;
        let stream = self.client.connect(near, "a.example").await.unwrap();
        let request = ClientRequest {
            subprotocols: vec!["chat".to_owned()],
            origin: Some("https://a.example".to_owned()),
            ..ClientRequest::new("a.example", "/chat")
        };
        let connected = handshake(stream, &request).await.unwrap();
        let options = wharf::config::WebSocketOptions::default();
        let mut socket = WebSocket::client(connected.io, &connected.leftover, &options);
        let message = socket.recv().await.unwrap().unwrap();
        assert_eq!(message.as_text(), Some(GREETING));
    }

    /// Who speaks plaintext gets at most an alert (RFC 8446 §6), and no byte of the application.
    async fn is_not_plaintext(&self, key: &str) {
        let upgrade = "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        for connector in [&self.tls, &self.wss] {
            for said in [upgrade, "?"] {
                let mut client = connect(connector, "192.0.2.1").await;
                client.write_all(said.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                // It may be reset as well as ended.
                let _ = client.read_to_end(&mut answer).await;
                assert!(answer.len() <= 7, "{key}: {answer:?}");
                assert!(
                    answer.is_empty() || answer.starts_with(&[21, 3]),
                    "{key}: {answer:?}"
                );
            }
        }
    }
}

/// Another value for each option that changes live, with which the clients above are still served.
fn changes(ca: &Authority) -> Vec<(&'static str, Value)> {
    let Pem::Inline { pem } = ca.pem() else {
        unreachable!("the authority has no file")
    };
    let new = ca.issue(&Leaf::named("new", &["a.example"]));
    let new = json!([{ "cert": { "pem": new.cert }, "key": { "pem": new.key } }]);
    let rate = json!({ "per-second": 1000, "burst": 100_000 });
    vec![
        ("access", json!(["deny 203.0.113.0/24"])),
        ("socket.nodelay", json!(false)),
        (
            "socket.keepalive",
            json!({ "idle": "9s", "interval": "3s", "count": 3 }),
        ),
        ("socket.user-timeout", json!("9s")),
        ("socket.notsent-lowat", json!("64KiB")),
        ("socket.linger", json!("1s")),
        ("unix.peers", json!(["allow all"])),
        ("proxy.mode", json!("optional")),
        ("proxy.trusted", json!(["203.0.113.0/24"])),
        ("demux.deadline", json!("2s")),
        ("demux.silent", json!("refuse")),
        ("tls.certificates", new),
        ("tls.strict-sni", json!(true)),
        ("tls.alpn", json!(["http/1.1"])),
        ("tls.alpn-required", json!(false)),
        ("tls.min-version", json!("1.3")),
        ("tls.client-auth", json!("optional")),
        ("tls.client-ca", json!([{ "pem": pem }])),
        ("tls.client-purposes", json!(["1.3.6.1.5.5.7.3.20"])),
        ("tls.resumption", json!("off")),
        ("tls.watch", json!("off")),
        ("websocket.paths", json!(["/chat"])),
        ("websocket.hosts", json!(["a.example"])),
        ("websocket.origins", json!(["https://a.example"])),
        ("websocket.subprotocols", json!(["chat"])),
        ("websocket.subprotocol-required", json!(true)),
        ("websocket.max-head", json!("4KiB")),
        ("websocket.max-frame", json!("4KiB")),
        ("websocket.max-message", json!("4KiB")),
        ("websocket.ping", json!("off")),
        ("limits.max-connections", json!(100)),
        ("limits.max-handshakes", json!(100)),
        ("limits.per-prefix", json!(100)),
        ("limits.handshakes-per-prefix", json!(100)),
        ("limits.on-full", json!("wait")),
        ("rates.accept", rate.clone()),
        ("rates.accept-per-prefix", rate.clone()),
        ("rates.bytes", rate.clone()),
        ("rates.messages", rate),
        ("timeouts.proxy-header", json!("1s")),
        ("timeouts.handshake", json!("1s")),
        ("timeouts.first-byte", json!("off")),
        ("timeouts.read-idle", json!("9s")),
        ("timeouts.write", json!("9s")),
        ("timeouts.lifetime", json!("99s")),
        (
            "timeouts.minimum-rate",
            json!({ "bytes-per-second": 1, "grace": "9s" }),
        ),
        ("buffers.max-message", json!("4KiB")),
        ("buffers.write", json!("4KiB")),
        ("buffers.slow-peer", json!("close")),
    ]
}

/// What cannot stand without another option.
fn companion(key: &str, config: &mut ListenerConfig, ca: &Authority) {
    match key {
        "proxy.mode" => config.proxy.trusted = vec!["203.0.113.0/24".parse().unwrap()],
        "proxy.trusted" => config.proxy.mode = wharf::config::ProxyMode::Optional,
        "tls.client-auth" => config.tls.client_ca = vec![ca.pem()],
        "tls.client-purposes" => {
            config.tls.client_ca = vec![ca.pem()];
            config.tls.client_auth = wharf::config::ClientAuth::Optional;
        }
        "tls.client-ca" => config.tls.client_auth = wharf::config::ClientAuth::Optional,
        "websocket.subprotocol-required" => {
            config.websocket.subprotocols = vec!["chat".to_owned()];
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn no_live_change_makes_a_secure_listener_speak_plaintext() {
    let ca = Authority::new("ca");
    let changes = changes(&ca);
    let tried: Vec<&str> = changes.iter().map(|change| change.0).collect();
    let live = OPTIONS
        .iter()
        .filter(|option| option.change == Change::Live);
    let live: Vec<&str> = live
        .filter_map(|option| option.key.strip_prefix("listeners.*."))
        // These are for transports over datagrams alone.
        .filter(|key| {
            let section = key.split('.').next();
            let datagrams = matches!(section, Some("datagrams" | "dtls" | "quic" | "sctp"));
            !datagrams && *key != "rates.datagrams-per-prefix"
        })
        .collect();
    assert_eq!(tried, live, "each option that changes live is tried");

    let secure = Secure::new(&ca);
    secure.is_not_plaintext("none").await;
    secure.greets().await;
    let base = |name: &str| secure.handle.inspect(name).unwrap().config;
    let bases = [("tls", base("tls")), ("wss", base("wss"))];
    for (key, value) in &changes {
        for (name, base) in &bases {
            let of_others = if *name == "tls" {
                "websocket."
            } else {
                "demux."
            };
            if key.starts_with(of_others) {
                continue;
            }
            let mut config = base.clone();
            companion(key, &mut config, &ca);
            let mut tree = serde_json::to_value(&config).unwrap();
            let pointer = format!("/{}", key.replace('.', "/"));
            let place = tree.pointer_mut(&pointer).unwrap();
            assert_ne!(place, value, "{key} changes");
            *place = value.clone();
            let wanted: ListenerConfig = serde_json::from_value(tree).unwrap();
            let done = secure.handle.change(name, |config| *config = wanted);
            done.unwrap_or_else(|error| panic!("{name} {key}: {error}"));
        }
        secure.is_not_plaintext(key).await;
        secure.greets().await;
        settle().await;
    }
    // Nor does a change that is refused.
    for (name, _) in &bases {
        let none = secure
            .handle
            .change(name, |config| config.tls.certificates.clear());
        assert!(none.is_err());
        let plain = secure
            .handle
            .change(name, |config| config.transport = Transport::Tcp);
        assert!(plain.is_err());
    }
    secure.is_not_plaintext("refused").await;
    secure.greets().await;
}
