//! `demux.*`, and handlers by first bytes.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use wharf::config::{DemuxLayer, ProxyMode, Silent, Transport};
use wharf::testkit::{self, Authority, Connector, Leaf};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::websocket::WebSocket;
use wharf::websocket::client::{ClientRequest, handshake};
use wharf::{
    BoxError, Handle, Handler, Handlers, ListenerConfig, Protocol, Refusal, Server, Stats, Stream,
};

use super::{IT, connect, refused, start, until_closed};

/// A handler that tells its name, over what it is spoken, and all that the client sends.
fn tells(name: &'static str) -> Handler {
    Handler::stream(move |mut stream: Stream| async move {
        let transport = stream.path().transport.label();
        let mut said = vec![0; 64];
        let length = stream.read(&mut said).await?;
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        let told = format!("{name} {transport} {said}");
        stream.write_all(told.as_bytes()).await?;
        stream.shutdown().await?;
        Ok::<_, BoxError>(())
    })
}

fn handlers() -> Handlers {
    Handlers::first(Protocol::Sip, tells("sip"))
        .and_first(Protocol::Stun, tells("stun"))
        .and_first(Protocol::Http, tells("http"))
        .or(tells("other"))
}

fn serve(
    transport: Transport,
    handlers: Handlers,
    change: impl FnOnce(&mut ListenerConfig),
) -> (Handle, Connector) {
    let (listen, connector) = testkit::memory(transport);
    let builder = Server::builder().listen_with(IT, listen.with(change), handlers);
    (start(builder), connector)
}

/// What is answered to these pieces, each of which the server has taken before the next is sent.
async fn say(mut client: impl AsyncRead + AsyncWrite + Unpin, pieces: &[&[u8]]) -> String {
    for piece in pieces {
        // Who has been answered is not listened to any more.
        let _ = client.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answer(client).await
}

async fn answer(mut client: impl AsyncRead + Unpin) -> String {
    let mut told = String::new();
    client.read_to_string(&mut told).await.unwrap();
    told
}

fn stats(handle: &Handle) -> Stats {
    handle.inspect(IT).unwrap().stats
}

#[tokio::test(start_paused = true)]
async fn first_bytes_choose_the_handler_and_none_is_lost() {
    let (handle, connector) = serve(Transport::Tcp, handlers(), |_| {});
    for (bytes, told) in [
        (&b"OPTIONS sip:a"[..], "sip tcp OPTIONS sip:a"),
        (b"\r\n\r\n", "sip tcp \r\n\r\n"),
        (b"GET / HTTP/1.1\r\n", "http tcp GET / HTTP/1.1\r\n"),
        (b"SSH-2.0-x\r\n", "other tcp SSH-2.0-x\r\n"),
        (b"\x7f", "other tcp \x7f"),
    ] {
        let client = connect(&connector, "192.0.2.1").await;
        assert_eq!(say(client, &[bytes]).await, told);
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        let client = connect(&connector, "192.0.2.1").await;
        let told_in_pieces = say(client, &pieces).await;
        // The handler reads what was looked at, and what comes behind it is still on its way.
        assert!(told_in_pieces.len() > 8 && told.starts_with(&told_in_pieces));
    }
    let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    let client = connect(&connector, "192.0.2.1").await;
    assert!(say(client, &[stun]).await.starts_with("stun tcp "));
    let stats = stats(&handle);
    let counted = Protocol::ALL.map(|protocol| stats.spoken(protocol));
    assert_eq!((counted, stats.unknown), ([0, 2, 4, 1, 0], 4));
}

#[tokio::test(start_paused = true)]
async fn what_a_proxy_header_left_over_is_looked_at() {
    let (_handle, connector) = serve(Transport::Tcp, handlers(), |it| {
        it.proxy.mode = ProxyMode::Required;
        it.proxy.trusted = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let header = "PROXY TCP4 203.0.113.9 198.51.100.7 1234 443\r\n";
    let message = "REGISTER sip:registrar.example SIP/2.0\r\nTo: you, and more";
    let client = connect(&connector, "192.0.2.1").await;
    let told = say(client, &[format!("{header}{message}").as_bytes()]).await;
    assert_eq!(told, format!("sip tcp {message}"));
}

#[tokio::test(start_paused = true)]
async fn who_speaks_what_has_no_handler_is_refused() {
    let only = Handlers::first(Protocol::Sip, tells("sip"));
    let (handle, connector) = serve(Transport::Tcp, only, |_| {});
    let client = connect(&connector, "192.0.2.1").await;
    assert_eq!(say(client, &[b"GET /"]).await, "");
    assert_eq!(refused(&handle, Refusal::NoHandler), 1);
    // Nobody is waited for who has gone, and a probe is quiet.
    drop(connect(&connector, "192.0.2.1").await);
    super::settle().await;
    assert_eq!(refused(&handle, Refusal::Probe), 1);
}

#[tokio::test(start_paused = true)]
async fn layers() {
    let ca = Authority::new("ca");
    let leaf = ca.issue(&Leaf::named("a", &["a.example"]));
    let (handle, connector) = serve(Transport::Tcp, handlers(), |it| {
        it.demux.layers = vec![DemuxLayer::Tls, DemuxLayer::Websocket];
        it.tls.certificates.push(leaf.certificate());
    });
    let options = ClientTlsOptions {
        ca: vec![ca.pem()],
        ..ClientTlsOptions::default()
    };
    let tls = ClientTls::new(&options).unwrap();
    let encrypted = async || {
        let near = connect(&connector, "192.0.2.1").await;
        tls.connect(near, "a.example").await.unwrap()
    };
    let plain = connect(&connector, "192.0.2.1").await;
    assert_eq!(say(plain, &[b"ACK sip:a"]).await, "sip tcp ACK sip:a");
    let told = say(encrypted().await, &[b"ACK ", b"sip:a"]).await;
    assert_eq!(told, "sip tls ACK sip:a");
    let told = say(encrypted().await, &[b"hello"]).await;
    assert_eq!(told, "other tls hello");

    // A WebSocket as bytes, in TLS and without.
    let request = ClientRequest::new("a.example", "/");
    let near = connect(&connector, "192.0.2.1").await;
    assert_eq!(over_websocket(near, &request).await, "http ws hi");
    let told = over_websocket(encrypted().await, &request).await;
    assert_eq!(told, "http wss hi");

    // TLS once, and once what was in it.
    let stats = stats(&handle);
    let counted = Protocol::ALL.map(|protocol| stats.spoken(protocol));
    assert_eq!((counted, stats.unknown), ([3, 2, 2, 0, 0], 1));

    // Without its layer it is handed on as it is; with it, certificates are needed.
    let as_it_is = Handlers::first(Protocol::Tls, tells("tls")).or(tells("other"));
    let (_handle, connector) = serve(Transport::Tcp, as_it_is, |_| {});
    let client = connect(&connector, "192.0.2.1").await;
    let told = say(client, &[b"\x16\x03\x01\x02\x00\x01"]).await;
    assert!(told.starts_with("tls tcp \x16\x03"), "{told}");
    let without = "tcp://127.0.0.1:0?demux.layers=tls";
    let problems = ListenerConfig::from_url(without).unwrap_err();
    assert_eq!(problems.0[0].key, "tls.certificates");
}

async fn over_websocket<IO>(near: IO, request: &ClientRequest) -> String
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let connected = handshake(near, request).await.unwrap();
    let options = wharf::config::WebSocketOptions::default();
    let mut socket = WebSocket::client(connected.io, &connected.leftover, &options);
    let hi = wharf::message::Message::binary(b"hi".to_vec());
    socket.send(hi).await.unwrap();
    let told = socket.recv().await.unwrap().unwrap();
    String::from_utf8_lossy(told.payload()).into_owned()
}

/// Greets first, as the server of SMTP does.
fn greets() -> Handlers {
    let greet = Handler::stream(async |mut stream: Stream| stream.write_all(b"220 hello").await);
    Handlers::first(Protocol::Sip, tells("sip")).or(greet)
}

#[tokio::test(start_paused = true)]
async fn deadline() {
    let (handle, connector) = serve(Transport::Tcp, greets(), |it| {
        it.demux.deadline = Duration::from_secs(2);
    });
    let waited = async || {
        let client = connect(&connector, "192.0.2.1").await;
        let began = Instant::now();
        assert_eq!(answer(client).await, "220 hello");
        began.elapsed().as_secs()
    };
    assert_eq!(waited().await, 2);
    let change = |it: &mut ListenerConfig| it.demux.deadline = Duration::from_secs(5);
    handle.change(IT, change).unwrap();
    assert_eq!(waited().await, 5);
    // Who would wait longer than handshakes may last would be refused before.
    let change = |it: &mut ListenerConfig| it.demux.deadline = Duration::from_secs(10);
    handle.change(IT, change).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn silent() {
    let (handle, connector) = serve(Transport::Tcp, greets(), |it| {
        it.demux.silent = Silent::Refuse;
    });
    let mut client = connect(&connector, "192.0.2.1").await;
    // A beginning is not enough.
    client.write_all(b"INV").await.unwrap();
    assert_eq!(until_closed(&mut client).await.as_secs(), 3);
    assert_eq!(refused(&handle, Refusal::HandshakeTimeout), 1);
    let change = |it: &mut ListenerConfig| it.demux.silent = Silent::Default;
    handle.change(IT, change).unwrap();
    let client = connect(&connector, "192.0.2.1").await;
    assert_eq!(answer(client).await, "220 hello");
    assert_eq!(stats(&handle).unknown, 1);
}

#[tokio::test]
async fn handlers_that_nothing_leads_to_are_problems() {
    let problem = |transport, handlers: Handlers| {
        let (listen, _connector) = testkit::memory(transport);
        let built = Server::builder().listen_with(IT, listen, handlers).build();
        built.err().map(|error| error.to_string())
    };
    let first = |protocol| Handlers::first(protocol, tells("it"));
    assert_eq!(problem(Transport::Tcp, first(Protocol::Sip)), None);
    for (transport, protocol) in [
        (Transport::Tcp, Protocol::Dtls),
        (Transport::Ws, Protocol::Sip),
    ] {
        let told = problem(transport, first(protocol)).unwrap();
        assert!(told.contains("never begins with"), "{told}");
    }
    let messages = Handler::messages(async |_: wharf::Messages| {});
    let told = problem(
        Transport::Tcp,
        Handlers::first(Protocol::Sip, messages.clone()),
    );
    assert!(told.unwrap().contains("has no messages"));
    let (listen, _connector) = testkit::memory(Transport::Tcp);
    let listen = listen.demux([DemuxLayer::Websocket]);
    let built = Server::builder().listen_with(IT, listen, messages).build();
    let told = built.unwrap_err().to_string();
    assert!(told.contains("only behind a request of HTTP"), "{told}");
}
