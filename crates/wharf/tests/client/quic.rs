//! `quic://`: streams, datagrams and whole connections of a client, over connections that are reused.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wharf::client::{AttemptError, ClientOptions, ConnectError};
use wharf::config::Retry;
use wharf::testkit::{Authority, Leaf};
use wharf::tls::ClientTlsOptions;
use wharf::{
    BoxError, Client, Closed, Filter, Handle, Handler, ListenerConfig, Message, Messages, Quic,
    Refusal, Server, Stream,
};

/// How long something may take.
const SOON: Duration = Duration::from_secs(5);

struct Site {
    handle: Handle,
    options: ClientOptions,
    url: String,
}

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    Ok(())
}

async fn echo_messages(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn site(change: impl FnOnce(&mut ListenerConfig)) -> Site {
    let ca = Authority::new("ca");
    let leaf = ca.issue(&Leaf::named("a", &["127.0.0.1"]));
    let listen = Quic::bind("127.0.0.1:0")
        .with(|config| config.tls.certificates.push(leaf.certificate()))
        .alpn(["it"])
        .with(change);
    let server = Server::builder().listen_with("it", listen, Handler::both(echo, echo_messages));
    let server = server.build().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let tls = ClientTlsOptions {
        ca: vec![ca.pem()],
        alpn: vec!["it".into()],
        ..ClientTlsOptions::default()
    };
    Site {
        url: format!("quic://{}", handle.address("it").unwrap()),
        handle,
        options: ClientOptions {
            tls,
            ..ClientOptions::default()
        },
    }
}

impl Site {
    fn client(&self) -> Client {
        let options = self.options.clone();
        Client::builder().options(options).build().unwrap()
    }
}

async fn ask(mut stream: Stream, word: &str) -> String {
    stream.write_all(word.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    back
}

#[tokio::test]
async fn streams_and_datagrams_share_one_connection() {
    let site = site(|_| {});
    let client = site.client();
    let connects = (0..8).map(|_| client.connect(&site.url));
    let streams = futures_util::future::join_all(connects).await;
    for (n, stream) in streams.into_iter().enumerate() {
        let word = format!("word {n}");
        assert_eq!(ask(stream.unwrap(), &word).await, word);
    }
    let mut messages = client.connect_messages(&site.url).await.unwrap();
    messages.send(Message::binary(&b"one"[..])).await.unwrap();
    let back = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    assert_eq!(back.unwrap().payload(), &b"one"[..]);
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.accepted, stats.live), (1, 1, 1));
    assert!(stats.received > 0 && stats.sent > 0);
    assert_eq!(site.handle.inspect("it").unwrap().stats.arrived, 1);
    let all = client.connections(&Filter::default());
    let path = all[0].path();
    assert!(path.secure && path.transport.label() == "quic");
    assert_eq!(all[0].tls().unwrap().alpn.as_deref(), Some(&b"it"[..]));
}

#[tokio::test]
async fn a_connection_that_has_ended_is_made_anew() {
    let site = site(|config| config.quic.retry = Retry::Always);
    let client = site.client();
    assert_eq!(
        ask(client.connect(&site.url).await.unwrap(), "a").await,
        "a"
    );
    let first = client.connect_quic(&site.url).await.unwrap();
    assert_eq!(site.handle.close(&Filter::default()), 1);
    let _ = timeout(SOON, first.quinn().closed()).await.unwrap();
    assert_eq!(
        ask(client.connect(&site.url).await.unwrap(), "b").await,
        "b"
    );
    let stats = client.stats();
    assert_eq!((stats.arrived, stats.closed(Closed::Finished)), (2, 0));
    drop(first);
    assert_eq!(site.handle.inspect("it").unwrap().stats.challenged, 2);
}

#[tokio::test]
async fn a_client_drains_and_a_dropped_one_lets_go() {
    let site = site(|_| {});
    let client = site.client();
    let stream = client.connect(&site.url).await.unwrap();
    let drainer = client.clone();
    let drain = tokio::spawn(async move { drainer.drain(SOON).await });
    assert_eq!(ask(stream, "last words").await, "last words");
    let report = timeout(SOON, drain).await.unwrap().unwrap();
    assert_eq!((report.finished(), report.forced()), (1, 0));
    let error = client.connect(&site.url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Draining));

    let client = site.client();
    let connection = client.connect_quic(&site.url).await.unwrap();
    drop(client);
    let stream = connection.open_stream().await.unwrap();
    assert_eq!(ask(stream, "goes on").await, "goes on");
    let quinn = connection.quinn().clone();
    drop(connection);
    let _ = timeout(SOON, quinn.closed()).await.unwrap();
}

#[tokio::test]
async fn why_there_is_no_connection_is_told() {
    let site = site(|config| config.access = vec!["deny all".parse().unwrap()]);
    let client = site.client();
    let error = client.connect(&site.url).await.unwrap_err();
    let ConnectError::Unreachable { attempts, .. } = error else {
        panic!("{error:?}");
    };
    let AttemptError::Io(error) = &attempts[0].error else {
        panic!("{attempts:?}");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(client.stats().refused(Refusal::Unreachable), 1);
    assert!(client.connect_quic("tcp://127.0.0.1:1").await.is_err());
    let wrong = Client::builder().with(|options| {
        options.quic.retry = Retry::Never;
        options.quic.stream_window = 1;
    });
    let problems = wrong.build().unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| &*problem.key).collect();
    assert_eq!(keys, ["quic.retry", "quic.stream-window"]);
}

#[tokio::test]
async fn the_options_of_a_client_hold_on_its_side() {
    let site = site(|config| config.quic.idle_timeout = None);
    let mut options = site.options.clone();
    options.quic.idle_timeout = Some(Duration::from_millis(200));
    let client = Client::builder().options(options).build().unwrap();
    let connection = client.connect_quic(&site.url).await.unwrap();
    let ended = timeout(SOON, connection.quinn().closed()).await.unwrap();
    assert_eq!(ended, wharf::quic::quinn::ConnectionError::TimedOut);
}
