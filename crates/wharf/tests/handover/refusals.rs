//! Handovers that fail leave the server that has the sockets as it was.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use wharf::handover::HandoverError;
use wharf::{BuildError, Unix};

use super::*;

/// A message with this text.
fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A predecessor, and that it serves after `meanwhile` as before and can still be replaced.
async fn survives(test: &str, expected: &str, meanwhile: impl AsyncFnOnce(&Path, &mut Running)) {
    let directory = Directory::new(test);
    let (socket, path) = (directory.socket(), directory.file("it"));
    let on = |who| on_tcp(who).listen("unix", Unix::bind(path.to_str().unwrap()), tell(who));
    let mut first = Running::offering(on("one"), &socket);
    meanwhile(&socket, &mut first).await;
    let failure = first.failure().await;
    assert!(failure.contains(expected), "{failure}");
    let urls = [first.url("it"), first.url("unix")];
    for url in &urls {
        assert_eq!(ask(url).await.1, "one");
    }
    let second = on("two").inherit(take(&socket).await);
    let second = Running::start(second.build().unwrap());
    first.ended().await;
    for url in &urls {
        assert_eq!(ask(url).await.1, "two");
    }
    drop(second);
}

#[tokio::test]
async fn a_successor_that_dies_before_it_is_ready_changes_nothing() {
    survives("dies", "end of file", async |socket, _| {
        drop(take(socket).await);
    })
    .await;
}

#[tokio::test]
async fn a_successor_that_is_never_run_changes_nothing() {
    survives("idle", "end of file", async |socket, first| {
        let path = first.handle.address("unix").unwrap().to_string();
        let successor = on_tcp("bad")
            .listen("unix", Unix::bind(path), tell("bad"))
            .inherit(take(socket).await);
        drop(successor.build().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_successor_that_cannot_be_built_changes_nothing() {
    survives("bad", "end of file", async |socket, first| {
        let path = first.handle.address("unix").unwrap().to_string();
        let successor = on_tcp("bad")
            .listen("unix", Unix::bind(path), tell("bad"))
            .listen("no", Tcp::bind("192.0.2.1:1"), tell("bad"))
            .inherit(take(socket).await);
        let error = successor.build().unwrap_err();
        assert!(matches!(error, BuildError::Configuration(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn garbage_is_an_error_and_no_more() {
    for (bytes, expected) in [
        (&b"\x00\x00\x00\x02{}"[..], "not understood"),
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
        (&frame(r#"{"say":"ready"}"#), "Ready is not due"),
        (&frame(r#"{"say":"take","version":2}"#), "version 2"),
        (b"\x00\x00", "end of file"),
        (b"", "end of file"),
    ] {
        survives("garbage", expected, async |socket, _| {
            let mut stranger = UnixStream::connect(socket).await.unwrap();
            stranger.write_all(bytes).await.unwrap();
            stranger.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stranger.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty() || answer.windows(4).any(|some| some == b"\"no\""));
        })
        .await;
    }
}

#[tokio::test]
async fn a_successor_that_is_too_late_is_told_so() {
    survives("late", "no readiness within 60 s", async |socket, first| {
        let server = on_tcp("bad").inherit(take(socket).await).build().unwrap();
        tokio::time::pause();
        let mut events = first.handle.events();
        let refused = events.recv().await.unwrap();
        assert!(matches!(refused, Event::HandoverFailed { .. }));
        tokio::time::resume();
        let error = server.take_over().await.unwrap_err();
        assert!(matches!(error, HandoverError::Refused(_)), "{error}");
        assert!(error.to_string().contains("60 s"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn listeners_that_change_meanwhile_end_the_handover() {
    survives("changed", "changed meanwhile", async |socket, first| {
        let server = on_tcp("bad").inherit(take(socket).await).build().unwrap();
        let more = Tcp::bind("127.0.0.1:0");
        let handler = wharf::Handler::stream(tell("one"));
        first.handle.add("more", more, handler).unwrap();
        let mut failed = Running::start(server);
        let why = failed.failure().await;
        assert!(why.contains("changed meanwhile"), "{why}");
        assert_eq!(failed.ended().await.finished(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_meanwhile_says_so() {
    let directory = Directory::new("stops");
    let socket = directory.socket();
    let first = Running::offering(on_tcp("one"), &socket);
    let server = on_tcp("two").inherit(take(&socket).await).build().unwrap();
    first.handle.drain(Duration::ZERO).await;
    let error = server.take_over().await.unwrap_err();
    assert!(error.to_string().contains("the server stops"), "{error}");
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_configuration_waits_until_the_sockets_are_taken_over() {
    let directory = Directory::new("apply");
    let socket = directory.socket();
    let first = Running::offering(on_tcp("one"), &socket);
    let server = on_tcp("two").inherit(take(&socket).await).build().unwrap();
    let (handle, config) = (server.handle(), server.handle().config());
    let error = handle.apply(config.clone(), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("taken over"), "{error}");
    server.take_over().await.unwrap();
    handle.apply(config, PATIENCE).unwrap();
    first.ended().await;
}

/// What `take` makes of a predecessor that says this.
async fn taken(test: &str, said: &[u8]) -> HandoverError {
    let directory = Directory::new(test);
    let listener = UnixListener::bind(directory.socket()).unwrap();
    let said = said.to_owned();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&said).await.unwrap();
        // Until the other end is gone.
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = Handover::take(directory.socket()).await.unwrap_err();
    answering.await.unwrap();
    error
}

#[tokio::test]
async fn what_a_predecessor_says_is_judged_too() {
    let hung_up = taken("silent", b"").await;
    let eof = |kind| kind == io::ErrorKind::UnexpectedEof;
    assert!(matches!(hung_up, HandoverError::Io { source, .. } if eof(source.kind())));
    let garbage = taken("nonsense", b"\x00\x00\x00\x03abc").await;
    assert!(matches!(garbage, HandoverError::Garbage(_)), "{garbage}");
    let huge = taken("huge", b"\x00\x04\x00\x01").await;
    assert!(huge.to_string().contains("262145 bytes"), "{huge}");
    let bare = r#"{"say":"sockets","more":false,"sockets":[{"listener":"it","address":null,"bound":"127.0.0.1:9","file":null}]}"#;
    let bare = taken("bare", &frame(bare)).await;
    assert!(
        bare.to_string().contains("0 descriptors for 1 sockets"),
        "{bare}"
    );
    let refusal = taken("no", &frame(r#"{"say":"no","reason":"not today"}"#)).await;
    assert!(
        refusal.to_string().contains("refuses: not today"),
        "{refusal}"
    );
}

#[tokio::test]
async fn where_nobody_offers_there_is_nothing_to_take() {
    let directory = Directory::new("nobody");
    assert!(Handover::take(directory.socket()).await.unwrap().is_none());
    drop(std::os::unix::net::UnixListener::bind(directory.socket()).unwrap());
    assert!(directory.socket().exists());
    assert!(Handover::take(directory.socket()).await.unwrap().is_none());
    // What is left over is replaced.
    Running::offering(on_tcp("one"), &directory.socket());
    // A second program by mistake, which does not take over, does not take the place either.
    let other = on_tcp("two").build().unwrap();
    let error = other
        .handle()
        .offer_handover(directory.socket())
        .unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
}
