//! What goes wrong is told by its kind, and counted.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use wharf::client::{AttemptError, ClientTimeouts, Stage};
use wharf::config::{Problems, Rate, Transport};
use wharf::events::{Event, State};
use wharf::testkit::MemoryStream;
use wharf::{Client, Closed, ConnectError, Endpoint, Refusal, Tls, Ws, websocket};

use crate::support::{ask, certificate, in_memory, is_conserved, serve, trusting};

fn nobody() -> String {
    // Bound and not listening: it refuses, and nobody takes the port meanwhile.
    let name = format!("@wharf-client-nobody-{}", std::process::id());
    format!("unix:{name}")
}

#[tokio::test]
async fn nobody_there_is_told_by_address() {
    let client = Client::builder().build().unwrap();
    let mut events = client.events();
    let error = client.connect(&nobody()).await.unwrap_err();
    let ConnectError::Unreachable { attempts, .. } = &error else {
        panic!("{error}");
    };
    let AttemptError::Io(io) = &attempts[0].error else {
        panic!("{error}");
    };
    assert_eq!(io.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("refused"), "{error}");
    let error = client
        .connect("unix:/nonexistent/wharf.sock")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.refused(Refusal::Unreachable)), (2, 2));
    is_conserved(&stats);
    let mut told = Vec::new();
    while let Ok(Event::Connection { id, state, .. }) = events.try_recv() {
        told.push((id, state));
    }
    let failed = State::Failed(Refusal::Unreachable);
    assert_eq!(
        told,
        [(1, State::Dial), (1, failed), (2, State::Dial), (2, failed)]
    );
}

#[tokio::test]
async fn urls_and_options_are_checked_before_anything_is_dialled() {
    let client = Client::builder().build().unwrap();
    let error = client.connect("tcp://localhost").await.unwrap_err();
    assert!(matches!(error, ConnectError::Url(_)), "{error}");
    let error = client
        .connect_messages("tcp://127.0.0.1:1")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a transport with messages"),
        "{error}"
    );
    assert_eq!(client.stats().arrived, 0);
    let Err(Problems(problems)) = Client::builder()
        .name("No")
        .with(|options| {
            options.socket.dscp = Some(64);
            options.socket.fast_open = Some(1);
            options.timeouts.connect = Some(Duration::ZERO);
            options.timeouts.read_idle = Some(Duration::ZERO);
            options.bytes = Some(Rate {
                per_second: 0,
                burst: 1,
            });
            options.websocket.headers = vec![("A b".into(), "secret".into())];
            options.tls.server_name = Some("a b".into());
        })
        .build()
    else {
        panic!("expected problems");
    };
    let text = Problems(problems.clone()).to_string();
    for key in [
        "name",
        "socket.dscp",
        "socket.fast-open",
        "timeouts.connect",
        "timeouts.read-idle",
        "rates.bytes.per-second",
        "websocket.headers",
        "tls",
    ] {
        assert!(
            problems.iter().any(|problem| problem.key == key),
            "{key}: {text}"
        );
    }
    assert!(!text.contains("secret"));
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    let (pem, key) = certificate();
    let handle = serve(Tls::bind("127.0.0.1:0").cert(&*pem, &*key));
    let url = format!("tls://{}", handle.address("it").unwrap());
    let (other, _) = certificate();
    let client = trusting(&other).build().unwrap();
    let error = client.connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.refused(Refusal::Tls)), (1, 1));
    is_conserved(&stats);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_tells_the_status() {
    let listen = Ws::bind("127.0.0.1:0").with(|config| config.websocket.paths = vec!["/a".into()]);
    let handle = serve(listen);
    let client = Client::builder().build().unwrap();
    let url = format!("ws://{}/b", handle.address("it").unwrap());
    let error = client.connect(&url).await.unwrap_err();
    let ConnectError::Upgrade(websocket::client::HandshakeError::Status(404)) = error else {
        panic!("{error}");
    };
    assert_eq!(client.stats().refused(Refusal::Upgrade), 1);
}

fn pair() -> (MemoryStream, MemoryStream) {
    let end = |text: &str| Endpoint::Ip(text.parse().unwrap());
    MemoryStream::pair(&end("192.0.2.1:1"), &end("192.0.2.2:2"))
}

#[tokio::test(start_paused = true)]
async fn handshakes_have_a_deadline() {
    let client = Client::builder().build().unwrap();
    for (url, expected) in [("tls://h:1", Stage::Tls), ("ws://h", Stage::Upgrade)] {
        let (socket, _silent) = pair();
        let began = tokio::time::Instant::now();
        let client = match expected {
            Stage::Tls => trusting(&certificate().0).build().unwrap(),
            _ => client.clone(),
        };
        let error = client.connect_over(socket, url).await.unwrap_err();
        let ConnectError::Timeout { stage, limit } = error else {
            panic!("{error}");
        };
        assert_eq!((stage, limit), (expected, began.elapsed()));
        assert_eq!(client.stats().refused(Refusal::HandshakeTimeout), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_given_up_is_counted() {
    let client = Client::builder().build().unwrap();
    let (socket, _silent) = pair();
    let dialling = client.connect_over(socket, "ws://h");
    let given_up = tokio::time::timeout(Duration::from_secs(1), dialling).await;
    assert!(given_up.is_err());
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.refused(Refusal::Stopped)), (1, 1));
    is_conserved(&stats);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    for first in [true, false] {
        let (_handle, connector) = in_memory(Transport::Tcp);
        let limit = Some(Duration::from_secs(3));
        let timeouts = ClientTimeouts {
            first_byte: limit.filter(|_| first),
            read_idle: limit.filter(|_| !first),
            ..ClientTimeouts::default()
        };
        let client = Client::builder().timeouts(timeouts).build().unwrap();
        let socket = connector.connect_from("192.0.2.1:1").await.unwrap();
        let mut stream = client.connect_over(socket, "tcp://h:1").await.unwrap();
        if !first {
            ask(&mut stream).await;
        }
        let began = tokio::time::Instant::now();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        drop(stream);
        let why = if first {
            Closed::FirstByte
        } else {
            Closed::ReadIdle
        };
        assert_eq!(client.stats().closed(why), 1);
    }
}
