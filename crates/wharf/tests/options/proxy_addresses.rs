//! What a PROXY header says is what handlers, rules and limits go by.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use wharf::config::{ProxyMode, Transport};
use wharf::events::Event;
use wharf::proxy::{self, Addresses, Command, EncodeOptions, Header, Tlv, Version};
use wharf::testkit::{self, Authority, Connector, Leaf, MemoryStream};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::{BoxError, Handle, Listen, Refusal, Server, Stream};

use super::unix::Directory;
use super::{IT, connect, refused, settle, start};

const PROXY: &str = "192.0.2.1";

/// Tells whom it takes for its peer, then echoes.
async fn who(mut stream: Stream) -> Result<(), BoxError> {
    let path = stream.path();
    let proxy = stream.connection().socket_peer().clone();
    let told = format!("{} {} {proxy}\n", path.peer, path.local);
    stream.write_all(told.as_bytes()).await?;
    super::echo(stream).await
}

fn behind_proxy(change: impl FnOnce(Listen) -> Listen) -> (Handle, Connector) {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = change(listen.proxy(ProxyMode::Required, ["192.0.2.0/24"]));
    (start(Server::builder().listen(IT, listen, who)), connector)
}

fn v1(source: &str) -> Vec<u8> {
    let family = if source.contains(':') { "TCP6" } else { "TCP4" };
    let destination = if source.contains(':') {
        "2001:db8::7"
    } else {
        "198.51.100.7"
    };
    format!("PROXY {family} {source} {destination} 1234 443\r\n").into_bytes()
}

fn header(addresses: Addresses, tlvs: Vec<Tlv>) -> Header {
    Header {
        version: Version::V2,
        command: Command::Proxy,
        transport: proxy::Transport::Stream,
        addresses,
        tlvs,
    }
}

fn v2(header: &Header) -> Vec<u8> {
    header.encode_v2(&EncodeOptions { crc32c: true }).unwrap()
}

fn client() -> Addresses {
    Addresses::Ip {
        source: "203.0.113.9:1234".parse().unwrap(),
        destination: "198.51.100.7:443".parse().unwrap(),
    }
}

/// Connects through the proxy and says what the handler tells; nothing if it was turned away.
async fn told(connector: &Connector, header: &[u8]) -> (String, BufReader<MemoryStream>) {
    let mut stream = connect(connector, PROXY).await;
    // Who was turned away already cannot send.
    let _ = stream.write_all(header).await;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let _ = stream.read_line(&mut line).await;
    (line, stream)
}

#[tokio::test(start_paused = true)]
async fn handlers_see_the_proxied_addresses_and_the_proxy() {
    let (_handle, connector) = behind_proxy(|listen| listen);
    let through = "203.0.113.9:1234 198.51.100.7:443 192.0.2.1:1000\n";
    assert_eq!(told(&connector, &v1("203.0.113.9")).await.0, through);
    assert_eq!(
        told(&connector, &v1("2001:db8::9")).await.0,
        "[2001:db8::9]:1234 [2001:db8::7]:443 192.0.2.1:1000\n"
    );
    let header_v2 = header(client(), Vec::new());
    assert_eq!(told(&connector, &v2(&header_v2)).await.0, through);
    let unix = Addresses::Unix {
        source: b"/run/client".to_vec(),
        destination: b"\0name".to_vec(),
    };
    let (line, _) = told(&connector, &v2(&header(unix, Vec::new()))).await;
    assert_eq!(line, "/run/client @name 192.0.2.1:1000\n");
    // The proxy's own connection, and one whose client it does not know: its own address holds.
    let local = Header {
        command: Command::Local,
        ..header(Addresses::Unspecified, Vec::new())
    };
    for header in [v2(&local), b"PROXY UNKNOWN\r\n".to_vec()] {
        let (line, _) = told(&connector, &header).await;
        assert!(line.starts_with("192.0.2.1:1000 "), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_header_is_the_clients() {
    let (_handle, connector) = behind_proxy(|listen| listen);
    let mut bytes = v2(&header(client(), Vec::new()));
    bytes.extend(b"together");
    let (_, mut stream) = told(&connector, &bytes).await;
    let mut back = [0; 8];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"together");
}

#[tokio::test(start_paused = true)]
async fn the_typed_fields_of_a_header_are_there() {
    let tlvs = vec![
        Tlv::Authority("a.example".to_owned()),
        Tlv::Alpn(b"h2".to_vec()),
        Tlv::UniqueId(vec![7; 16]),
    ];
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.proxy(ProxyMode::Optional, ["192.0.2.0/24"]);
    let seen = Arc::new(Mutex::new(None));
    let found = seen.clone();
    let handler = move |mut stream: Stream| {
        *found.lock().unwrap() = stream.connection().proxied().cloned();
        async move { stream.write_all(b"\n").await }
    };
    let _handle = start(Server::builder().listen(IT, listen, handler));
    told(&connector, &v2(&header(client(), tlvs.clone()))).await;
    let proxied = seen.lock().unwrap().take().unwrap();
    assert_eq!(proxied.header.tlvs, tlvs);
}

#[tokio::test(start_paused = true)]
async fn rules_are_checked_on_the_proxied_address_too() {
    let (handle, connector) = behind_proxy(|listen| listen.access("deny 203.0.113.0/24"));
    assert_eq!(told(&connector, &v1("203.0.113.9")).await.0, "");
    assert_eq!(refused(&handle, Refusal::ProxiedAccess), 1);
    assert_ne!(told(&connector, &v1("203.0.112.9")).await.0, "");
    // And on the proxy's own.
    handle
        .prepend_access(IT, "deny 192.0.2.0/24".parse().unwrap())
        .unwrap();
    assert_eq!(told(&connector, &v1("203.0.112.9")).await.0, "");
    assert_eq!(refused(&handle, Refusal::Access), 1);
}

#[tokio::test(start_paused = true)]
async fn limits_for_each_prefix_count_the_proxied_address() {
    let (handle, connector) = behind_proxy(|listen| {
        listen.with(|config| {
            config.limits.per_prefix = 1;
            config.limits.ipv6_prefix = 64;
        })
    });
    let (line, _first) = told(&connector, &v1("203.0.113.9")).await;
    assert_ne!(line, "");
    // Another client of the same proxy has its own place; the same client has had its.
    let (line, _second) = told(&connector, &v1("203.0.113.10")).await;
    assert_ne!(line, "");
    assert_eq!(told(&connector, &v1("203.0.113.9")).await.0, "");
    assert_eq!(refused(&handle, Refusal::PrefixFull), 1);
    let (line, third) = told(&connector, &v1("2001:db8::9")).await;
    assert_ne!(line, "");
    assert_eq!(told(&connector, &v1("2001:db8::a")).await.0, "");
    assert_eq!(refused(&handle, Refusal::PrefixFull), 2);
    drop(third);
    settle().await;
    assert_ne!(told(&connector, &v1("2001:db8::a")).await.0, "");
}

#[tokio::test(start_paused = true)]
async fn a_bad_header_is_refused_with_its_reason() {
    let (handle, connector) = behind_proxy(|listen| listen);
    let mut events = handle.events();
    let mut broken = v2(&header(client(), Vec::new()));
    *broken.last_mut().unwrap() ^= 1;
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    for (count, bytes) in (1..).zip([&broken[..], b"PROXY TCP9 x\r\n", &long]) {
        assert_eq!(told(&connector, bytes).await.0, "");
        settle().await;
        assert_eq!(refused(&handle, Refusal::ProxyInvalid), count);
    }
    let mut details = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Refused { detail, .. } = event {
            details.push(detail);
        }
    }
    assert_eq!(details.len(), 3);
    assert!(
        details.iter().all(|detail| !detail.is_empty()),
        "{details:?}"
    );
}

/// The header and what follows it come at once, so that the handshake begins with what was read too
/// far.
#[tokio::test(start_paused = true)]
async fn a_header_goes_before_tls() {
    let ca = Authority::new("ca");
    let leaf = ca.issue(&Leaf::named("a", &["a.example"]));
    let (listen, connector) = testkit::memory(Transport::Tls);
    let listen = listen.proxy(ProxyMode::Required, ["192.0.2.0/24"]);
    let listen = listen.with(|config| config.tls.certificates.push(leaf.certificate()));
    let _handle = start(Server::builder().listen(IT, listen, who));
    let client = ClientTls::new(&ClientTlsOptions {
        ca: vec![ca.pem()],
        ..ClientTlsOptions::default()
    });
    let mut near = connect(&connector, PROXY).await;
    near.write_all(&v1("203.0.113.9")).await.unwrap();
    let stream = client.unwrap().connect(near, "a.example").await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert_eq!(line, "203.0.113.9:1234 198.51.100.7:443 192.0.2.1:1000\n");
}

/// Whoever may connect to a Unix socket is believed: `unix.mode` and `unix.peers` say who may.
#[tokio::test]
async fn a_header_is_believed_on_a_unix_socket() {
    let directory = Directory::new("proxy");
    let listen = directory.listen(|_| ()).proxy(ProxyMode::Required, []);
    let listen = listen.access("deny 203.0.113.10");
    let handle = start(Server::builder().listen(IT, listen, who));
    let mut line = String::new();
    let mut stream = directory.connect().await;
    stream.write_all(&v1("203.0.113.9")).await.unwrap();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert_eq!(line, "203.0.113.9:1234 198.51.100.7:443 unix\n");
    let mut stream = directory.connect().await;
    stream.write_all(&v1("203.0.113.10")).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(refused(&handle, Refusal::ProxiedAccess), 1);
}
