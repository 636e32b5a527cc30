//! `websocket.*`, with our client and with one that others wrote.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_websockets as peer;
use wharf::config::{Transport, WebSocketOptions};
use wharf::message::Message;
use wharf::testkit::{self, Connector, MemoryStream};
use wharf::websocket::WebSocket;
use wharf::websocket::client::{ClientRequest, HandshakeError, handshake};
use wharf::{BoxError, Closed, Handle, Messages, Refusal, Server};

use super::{IT, closed, connect, refused, settle, start};

/// A WebSocket listener in memory whose handler echoes.
struct Listening {
    handle: Handle,
    connector: Connector,
}

/// Tells the subprotocol, then echoes.
async fn tell(mut messages: Messages) -> Result<(), BoxError> {
    let subprotocol = messages
        .connection()
        .subprotocol()
        .unwrap_or("none")
        .to_owned();
    messages.send(Message::text(subprotocol)).await?;
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

impl Listening {
    fn new(set: impl FnOnce(&mut WebSocketOptions)) -> Self {
        let (listen, connector) = testkit::memory(Transport::Ws);
        let listen = listen.with(|config| set(&mut config.websocket));
        let handle = start(Server::builder().listen_messages(IT, listen, tell));
        Self { handle, connector }
    }

    fn change(&self, set: impl FnOnce(&mut WebSocketOptions)) {
        self.handle
            .change(IT, |config| set(&mut config.websocket))
            .unwrap();
    }

    /// Upgrades with this request: the subprotocol that the handler sees, or the status of the
    /// refusal.
    async fn ask(&self, request: ClientRequest) -> Result<String, u16> {
        let near = connect(&self.connector, "192.0.2.1").await;
        let connected = match handshake(near, &request).await {
            Ok(connected) => connected,
            Err(HandshakeError::Status(status)) => return Err(status),
            Err(error) => panic!("{error}"),
        };
        let options = WebSocketOptions::default();
        let mut socket = WebSocket::client(connected.io, &connected.leftover, &options);
        let told = socket.recv().await.unwrap().unwrap();
        assert_eq!(
            connected.subprotocol.as_deref().unwrap_or("none"),
            told.as_text().unwrap()
        );
        Ok(told.as_text().unwrap().to_owned())
    }

    async fn status(&self, request: ClientRequest) -> u16 {
        self.ask(request).await.err().unwrap_or(101)
    }

    /// The other implementation's client, which sends frames of so many bytes.
    async fn theirs(&self, frame: usize) -> peer::WebSocketStream<MemoryStream> {
        let near = connect(&self.connector, "192.0.2.1").await;
        let uri = "ws://a.example/chat".parse().unwrap();
        let builder =
            peer::ClientBuilder::from_uri(uri).config(peer::Config::default().frame_size(frame));
        let mut socket = builder.connect_on(near).await.unwrap().0;
        assert_eq!(
            socket.next().await.unwrap().unwrap().as_text(),
            Some("none")
        );
        socket
    }

    /// Sends a message in frames of so many bytes; the code of the Close that comes for an answer,
    /// if it does not come back.
    async fn send(&self, message: usize, frame: usize) -> Option<u16> {
        let mut socket = self.theirs(frame).await;
        socket
            .send(peer::Message::binary(vec![7; message]))
            .await
            .unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        if let Some((code, _)) = answer.as_close() {
            return Some(code.into());
        }
        assert_eq!(answer.as_payload().len(), message);
        None
    }
}

fn request() -> ClientRequest {
    ClientRequest::new("a.example", "/chat")
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn paths() {
    let listening = Listening::new(|options| options.paths = list(&["/chat"]));
    let other = || ClientRequest::new("a.example", "/other");
    let query = ClientRequest::new("a.example", "/chat?room=1");
    assert_eq!(listening.status(request()).await, 101);
    assert_eq!(listening.status(query).await, 101);
    assert_eq!(listening.status(other()).await, 404);
    settle().await;
    assert_eq!(refused(&listening.handle, Refusal::Upgrade), 1);
    listening.change(|options| options.paths.clear());
    assert_eq!(listening.status(other()).await, 101);
}

#[tokio::test(start_paused = true)]
async fn hosts() {
    let listening = Listening::new(|options| options.hosts = list(&["a.example"]));
    let other = || ClientRequest::new("b.example", "/chat");
    assert_eq!(listening.status(request()).await, 101);
    assert_eq!(
        listening
            .status(ClientRequest::new("A.Example:80", "/"))
            .await,
        101
    );
    assert_eq!(listening.status(other()).await, 421);
    listening.change(|options| options.hosts = list(&["b.example"]));
    assert_eq!(listening.status(other()).await, 101);
    assert_eq!(listening.status(request()).await, 421);
}

#[tokio::test(start_paused = true)]
async fn origins() {
    let listening = Listening::new(|options| options.origins = list(&["https://a.example"]));
    let from = |origin: &str| ClientRequest {
        origin: Some(origin.to_owned()),
        ..request()
    };
    assert_eq!(listening.status(from("https://a.example")).await, 101);
    assert_eq!(listening.status(from("https://b.example")).await, 403);
    assert_eq!(listening.status(request()).await, 403);
    listening.change(|options| options.origins.clear());
    assert_eq!(listening.status(from("https://b.example")).await, 101);
    assert_eq!(listening.status(request()).await, 101);
}

#[tokio::test(start_paused = true)]
async fn subprotocols() {
    let listening = Listening::new(|options| options.subprotocols = list(&["b", "a"]));
    let offering = || ClientRequest {
        subprotocols: list(&["a", "b"]),
        ..request()
    };
    // The server's preference.
    assert_eq!(listening.ask(offering()).await.as_deref(), Ok("b"));
    listening.change(|options| options.subprotocols = list(&["a"]));
    assert_eq!(listening.ask(offering()).await.as_deref(), Ok("a"));
    listening.change(|options| options.subprotocols.clear());
    assert_eq!(listening.ask(offering()).await.as_deref(), Ok("none"));
}

#[tokio::test(start_paused = true)]
async fn subprotocol_required() {
    let listening = Listening::new(|options| {
        options.subprotocols = list(&["a"]);
        options.subprotocol_required = true;
    });
    let offering = |name: &str| ClientRequest {
        subprotocols: list(&[name]),
        ..request()
    };
    assert_eq!(listening.ask(offering("a")).await.as_deref(), Ok("a"));
    assert_eq!(listening.ask(offering("x")).await, Err(400));
    assert_eq!(listening.ask(request()).await, Err(400));
    listening.change(|options| options.subprotocol_required = false);
    assert_eq!(listening.ask(offering("x")).await.as_deref(), Ok("none"));
}

#[tokio::test(start_paused = true)]
async fn max_head() {
    let listening = Listening::new(|options| options.max_head = 512);
    let padded = |bytes: usize| ClientRequest {
        headers: vec![("X-Padding".to_owned(), "x".repeat(bytes))],
        ..request()
    };
    assert_eq!(listening.status(padded(100)).await, 101);
    assert_eq!(listening.status(padded(600)).await, 431);
    listening.change(|options| options.max_head = 2048);
    assert_eq!(listening.status(padded(600)).await, 101);
    assert_eq!(listening.status(padded(2048)).await, 431);
}

/// 1009, RFC 6455 §7.4.1.
const TOO_BIG: Option<u16> = Some(1009);

#[tokio::test(start_paused = true)]
async fn max_frame() {
    let listening = Listening::new(|options| options.max_frame = 125);
    assert_eq!(listening.send(500, 125).await, None);
    assert_eq!(listening.send(500, 126).await, TOO_BIG);
    settle().await;
    assert_eq!(closed(&listening.handle, Closed::Oversized), 1);
    listening.change(|options| options.max_frame = 126);
    assert_eq!(listening.send(500, 126).await, None);
}

#[tokio::test(start_paused = true)]
async fn max_message() {
    let listening = Listening::new(|options| options.max_message = 500);
    assert_eq!(listening.send(500, 100).await, None);
    assert_eq!(listening.send(501, 100).await, TOO_BIG);
    assert_eq!(listening.send(501, 4096).await, TOO_BIG);
    settle().await;
    let stats = listening.handle.inspect(IT).unwrap().stats;
    assert_eq!(stats.messages_oversized, 2);
    listening.change(|options| options.max_message = 501);
    assert_eq!(listening.send(501, 100).await, None);
}

/// When a silent client is pinged, and when it is given up, in seconds. It answers nothing.
async fn silence(listening: &Listening) -> (u64, u64) {
    let near = connect(&listening.connector, "192.0.2.1").await;
    let mut near = handshake(near, &request()).await.unwrap();
    let began = Instant::now();
    let mut frame = near.leftover.to_vec();
    // The handler's word: a text of four bytes.
    while frame.len() < 6 {
        frame.push(near.io.read_u8().await.unwrap());
    }
    assert_eq!(frame, *b"\x81\x04none");
    // RFC 6455 §5.5.2: a ping.
    assert_eq!(near.io.read_u8().await.unwrap(), 0x89);
    let pinged = began.elapsed().as_secs();
    let mut rest = Vec::new();
    near.io.read_to_end(&mut rest).await.unwrap();
    (pinged, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn ping() {
    let never = |config: &mut wharf::ListenerConfig| config.timeouts.first_byte = None;
    let listening = Listening::new(|options| options.ping = Some(Duration::from_secs(8)));
    listening.handle.change(IT, never).unwrap();
    let (pinged, given_up) = silence(&listening).await;
    assert!((8..=10).contains(&pinged), "{pinged}");
    assert_eq!(given_up, pinged + 8);
    settle().await;
    assert_eq!(closed(&listening.handle, Closed::PingTimeout), 1);
    listening.change(|options| options.ping = Some(Duration::from_secs(40)));
    let (pinged, given_up) = silence(&listening).await;
    assert!((40..=50).contains(&pinged), "{pinged}");
    assert_eq!(given_up, pinged + 40);
    // Who answers stays: this client does, while it is read.
    let mut theirs = listening.theirs(4096).await;
    for _ in 0..5 {
        assert!(theirs.next().await.unwrap().unwrap().is_ping());
    }
    theirs.send(peer::Message::text("still")).await.unwrap();
    let back = theirs.next().await.unwrap().unwrap();
    assert_eq!(back.as_text(), Some("still"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_upgrade_is_answered_with_a_status() {
    let listening = Listening::new(|_| ());
    let cases = [
        ("GET /chat HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "),
        ("POST /chat HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 "),
        ("\x16\x03\x01", "HTTP/1.1 400 "),
    ];
    for (count, (said, answer)) in (1..).zip(cases) {
        let mut client = connect(&listening.connector, "192.0.2.1").await;
        client.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with(answer), "{heard}");
        settle().await;
        assert_eq!(refused(&listening.handle, Refusal::Upgrade), count);
    }
}
