//! Every URL reaches its server, and what it agreed on is seen.

use std::time::Duration;

use wharf::client::ClientWebSocket;
use wharf::config::{TlsVersion, Transport};
use wharf::message::Message;
use wharf::{Client, Closed, Endpoint, Filter, Server, Tcp, Tls, Unix, Ws, Wss};

use crate::support::{
    ask, certificate, echo, echo_messages, in_memory, is_conserved, run, trusting,
};

#[tokio::test]
async fn a_client_speaks_every_transport() {
    let directory = tempdir();
    let at = |name: &str| format!("{directory}/{name}");
    let (pem, key) = certificate();
    let server = Server::builder()
        .listen("tcp", Tcp::bind("127.0.0.1:0"), echo)
        .listen("tls", Tls::bind("127.0.0.1:0").cert(&*pem, &*key), echo)
        .listen("ws", Ws::bind("127.0.0.1:0"), echo)
        .listen("wss", Wss::bind("127.0.0.1:0").cert(&*pem, &*key), echo)
        .listen("unix", Unix::bind(at("u")), echo)
        .listen("abstract", Unix::bind(format!("@{directory}")), echo)
        .listen("tls-unix", Tls::bind(at("t")).cert(&*pem, &*key), echo)
        .listen("wss-unix", Wss::bind(at("w")).cert(&*pem, &*key), echo);
    let handle = run(server.build().unwrap());
    let client = trusting(&pem).build().unwrap();
    let port = |name: &str| handle.address(name).unwrap().ip().unwrap().port();
    let urls = [
        (format!("tcp://127.0.0.1:{}", port("tcp")), Transport::Tcp),
        (format!("tls://localhost:{}", port("tls")), Transport::Tls),
        (format!("ws://localhost:{}/x?y", port("ws")), Transport::Ws),
        (format!("wss://127.0.0.1:{}/", port("wss")), Transport::Wss),
        (format!("unix:{}", at("u")), Transport::Unix),
        (format!("unix:@{directory}"), Transport::Unix),
        (format!("tls+unix://{}", at("t")), Transport::Tls),
        (format!("wss+unix:{}?path=/x", at("w")), Transport::Wss),
    ];
    for (url, transport) in &urls {
        let mut stream = client
            .connect(url)
            .await
            .unwrap_or_else(|e| panic!("{url}: {e}"));
        ask(&mut stream).await;
        let path = stream.path();
        assert_eq!(
            (path.transport, path.secure),
            (*transport, transport.is_secure())
        );
        assert_eq!(
            stream.connection().tls().is_some(),
            transport.is_secure(),
            "{url}"
        );
        assert_eq!(
            client
                .connections(&Filter::default().transport(*transport))
                .len(),
            1
        );
    }
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.accepted, stats.live), (8, 8, 0));
    assert_eq!(stats.closed(Closed::Finished), 8);
    assert!(stats.received > 40 && stats.sent > 40);
    is_conserved(&stats);
    handle.drain(Duration::from_secs(5)).await;
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempdir() -> String {
    let path = std::env::temp_dir().join(format!("wharf-client-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_tls_agreed_on_and_who_serves_is_seen() {
    let (pem, key) = certificate();
    let listen = Tls::bind("127.0.0.1:0")
        .cert(&*pem, &*key)
        .alpn(["echo/2", "echo/1"]);
    let server = Server::builder()
        .listen("it", listen, echo)
        .build()
        .unwrap();
    let handle = run(server);
    let address = handle.address("it").unwrap();
    let client = trusting(&pem)
        .with(|options| {
            options.tls.alpn = vec!["echo/1".into()];
            options.tls.min_version = TlsVersion::V1_3;
        })
        .build()
        .unwrap();
    let mut stream = client.connect(&format!("tls://{address}")).await.unwrap();
    ask(&mut stream).await;
    let tls = stream.connection().tls().unwrap();
    assert_eq!(tls.alpn.as_deref(), Some(&b"echo/1"[..]));
    assert_eq!(tls.version, TlsVersion::V1_3);
    assert!(tls.peer.is_some());
    assert_eq!(stream.connection().peer(), address);
}

#[tokio::test]
async fn a_connection_comes_from_the_address_that_was_given() {
    let handle = crate::support::serve(Tcp::bind("127.0.0.1:0"));
    let client = Client::builder()
        .local("127.0.0.2:0".parse().unwrap())
        .build()
        .unwrap();
    let url = format!("tcp://{}", handle.address("it").unwrap());
    let mut stream = client.connect(&url).await.unwrap();
    ask(&mut stream).await;
    let seen = handle.connections(&Filter::default());
    let Endpoint::Ip(seen) = seen[0].peer() else {
        panic!("an IP address");
    };
    assert_eq!(seen.ip().to_string(), "127.0.0.2");
    assert_eq!(stream.connection().socket_local().ip(), Some(seen));
    assert!(stream.connection().tcp_info().is_some());
}

#[tokio::test(start_paused = true)]
async fn messages_carry_what_the_request_asks_for() {
    let (listen, connector) = wharf::testkit::memory(Transport::Ws);
    let listen = listen.with(|config| {
        config.websocket.paths = vec!["/chat".into()];
        config.websocket.hosts = vec!["example.org".into()];
        config.websocket.origins = vec!["https://example.org".into()];
        config.websocket.subprotocols = vec!["v2".into(), "v1".into()];
    });
    let server = Server::builder().listen_messages("it", listen, echo_messages);
    let handle = run(server.build().unwrap());
    let client = Client::builder()
        .websocket(ClientWebSocket {
            origin: Some("https://example.org".into()),
            subprotocols: vec!["v1".into(), "v2".into()],
            headers: vec![("Authorization".into(), "Bearer abc".into())],
            ..ClientWebSocket::default()
        })
        .build()
        .unwrap();
    let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
    let url = "ws://example.org/chat?room=1";
    let mut messages = client.connect_messages_over(socket, url).await.unwrap();
    messages.send(Message::text("ahoy")).await.unwrap();
    let answer = messages.recv().await.unwrap().unwrap();
    assert_eq!(answer.as_text(), Some("ahoy"));
    assert_eq!(messages.connection().subprotocol(), Some("v2"));
    let seen = handle.connections(&Filter::default());
    let request = seen[0].upgrade().unwrap();
    assert!(format!("{request:?}").contains("room=1"), "{request:?}");
    assert_eq!(client.stats().messages_received, 1);
    messages.close(1000, "").await.unwrap();
    drop(messages);
    assert_eq!(client.stats().closed(Closed::Finished), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_ends_the_connection() {
    let (_handle, connector) = in_memory(Transport::Ws);
    let client = Client::builder()
        .with(|options| options.websocket.max_message = 125)
        .build()
        .unwrap();
    let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
    let mut messages = client
        .connect_messages_over(socket, "ws://h/")
        .await
        .unwrap();
    messages.send(Message::text("x".repeat(126))).await.unwrap();
    assert!(messages.recv().await.unwrap().is_err());
    drop(messages);
    let stats = client.stats();
    assert_eq!(
        (stats.messages_oversized, stats.closed(Closed::Oversized)),
        (1, 1)
    );
}
