//! Two ends of a connection in memory, and a peer that others wrote.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::client::{ClientRequest, HandshakeError, handshake};
use super::server::upgrade;
use super::{Error, Violation, WebSocket, WebSocketBytes, close};
use crate::config::WebSocketOptions;
use crate::message::Message;

mod keepalive;
mod oracle;

fn quiet() -> WebSocketOptions {
    WebSocketOptions {
        ping: None,
        ..WebSocketOptions::default()
    }
}

/// A client and a server on a pipe of `room` bytes each way.
fn pair(room: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(room);
    let client = WebSocket::client(near, b"", &quiet());
    (client, WebSocket::server(far, b"", &quiet()))
}

/// What a server says to raw frames of a client, until it ends.
async fn answer_to(frames: &[u8]) -> (Vec<Result<Message, Error>>, Vec<u8>) {
    let (mut near, far) = duplex(1 << 20);
    let mut server = WebSocket::server(far, b"", &quiet());
    near.write_all(frames).await.expect("room");
    near.shutdown().await.expect("open");
    let mut received = Vec::new();
    while let Some(message) = server.recv().await {
        received.push(message);
    }
    drop(server);
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.expect("an end");
    (received, answer)
}

#[tokio::test]
async fn the_upgrade_leads_to_messages_both_ways() {
    let options = WebSocketOptions {
        subprotocols: vec!["b".into(), "a".into()],
        ..quiet()
    };
    let (near, far) = duplex(64);
    let request = ClientRequest {
        subprotocols: vec!["a".into(), "b".into()],
        origin: Some("https://example.org".into()),
        ..ClientRequest::new("example.org", "/chat?room=1")
    };
    let ends = tokio::join!(handshake(near, &request), upgrade(far, b"", &options, true));
    let (connected, upgraded) = (ends.0.expect("agreed"), ends.1.expect("agreed"));
    assert_eq!(connected.subprotocol.as_deref(), Some("b"));
    assert_eq!(upgraded.subprotocol.as_deref(), Some("b"));
    assert_eq!(upgraded.request.path(), "/chat");
    assert_eq!(upgraded.request.query(), Some("room=1"));
    let mut client = WebSocket::client(connected.io, &connected.leftover, &options);
    let mut server = WebSocket::server(upgraded.io, &upgraded.leftover, &options);
    for message in [
        Message::text("ä".repeat(300)),
        Message::binary(vec![7; 200_000]),
    ] {
        let echo = async {
            let message = server.recv().await.expect("open").expect("whole");
            server.send(message).await.expect("sent");
        };
        let ask = async {
            client.send(message.clone()).await.expect("sent");
            client.recv().await.expect("open").expect("whole")
        };
        assert_eq!(tokio::join!(echo, ask).1, message);
    }
}

#[tokio::test]
async fn a_client_refuses_an_answer_that_does_not_fit() {
    let cases = [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        ("HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", "`Upgrade`"),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n",
            "`Connection`",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "`Sec-WebSocket-Accept`",
        ),
        ("SSH-2.0-x\r\n", "well-formed"),
        ("HTTP/1.1 101", "ended"),
    ];
    for (answer, says) in cases {
        let (near, mut far) = duplex(4096);
        far.write_all(answer.as_bytes()).await.expect("room");
        far.shutdown().await.expect("open");
        let error = handshake(near, &ClientRequest::new("h", "/"))
            .await
            .expect_err(answer);
        assert!(error.to_string().contains(says), "{answer}: {error}");
    }
    for path in ["", "x", "/a b", "/a\r\nX: y", "/#"] {
        let (near, _far) = duplex(4096);
        let refused = handshake(near, &ClientRequest::new("h", path)).await;
        assert!(
            matches!(refused, Err(HandshakeError::Request("path"))),
            "{path}"
        );
    }
}

#[tokio::test]
async fn each_breach_is_told_with_its_code() {
    // Masked with zero: `80 | length`, then four zeroes.
    let cases: [(&[u8], Violation, u16); 7] = [
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], Violation::Utf8, 1007),
        (&[0x81, 0x01, b'x'], Violation::Masking, 1002),
        (&[0x80, 0x80, 0, 0, 0, 0], Violation::Fragments, 1002),
        (&[0x88, 0x81, 0, 0, 0, 0, 3], Violation::CloseCode, 1002),
        (&[0xf1, 0x80, 0, 0, 0, 0], Violation::ReservedBits, 1002),
        (
            &[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            Violation::FrameTooLong,
            1009,
        ),
        (&[0x09, 0x80, 0, 0, 0, 0], Violation::ControlFrame, 1002),
    ];
    for (frames, violation, code) in cases {
        let (received, answer) = answer_to(frames).await;
        let [Err(Error::Violation(found))] = received.as_slice() else {
            panic!("{frames:x?}: {received:?}");
        };
        assert_eq!((*found, found.close_code()), (violation, code));
        let [high, low] = code.to_be_bytes();
        assert_eq!(answer, [0x88, 2, high, low], "{frames:x?}");
    }
}

#[tokio::test]
async fn a_bad_text_fails_before_its_frame_is_whole() {
    let (mut near, far) = duplex(1024);
    let mut server = WebSocket::server(far, b"", &quiet());
    near.write_all(&[0x81, 0x8a, 0, 0, 0, 0, b'a', 0xc0])
        .await
        .expect("room");
    let error = server.recv().await.expect("told").expect_err("bad text");
    assert!(matches!(error, Error::Violation(Violation::Utf8)));
}

#[tokio::test]
async fn a_message_above_the_limit_is_told_over_its_fragments() {
    let options = WebSocketOptions {
        max_frame: 125,
        max_message: 200,
        ..quiet()
    };
    let fragment = |first: u8| [&[first, 0xe5, 0, 0, 0, 0][..], &[b'x'; 101]].concat();
    let (mut near, far) = duplex(1024);
    let mut server = WebSocket::server(far, b"", &options);
    let both = [fragment(0x02), fragment(0x80)].concat();
    near.write_all(&both).await.expect("room");
    let error = server.recv().await.expect("told").expect_err("too long");
    assert!(matches!(error, Error::Violation(Violation::MessageTooLong)));
}

#[tokio::test]
async fn control_frames_between_fragments_are_answered() {
    let frames: &[u8] = &[
        0x01, 0x82, 0, 0, 0, 0, b'a',
        0xc3, // the first half of a text, ending within a character
        0x89, 0x81, 0, 0, 0, 0, b'p', // a ping
        0x00, 0x80, 0, 0, 0, 0, // an empty continuation
        0x80, 0x81, 0, 0, 0, 0, 0xa4, // the rest
        0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8,
    ];
    let (received, answer) = answer_to(frames).await;
    let texts: Vec<_> = received
        .iter()
        .map(|one| one.as_ref().ok().and_then(Message::as_text))
        .collect();
    assert_eq!(texts, [Some("aä")]);
    assert_eq!(answer, [0x8a, 1, b'p', 0x88, 2, 0x03, 0xe8]);
}

#[tokio::test]
async fn of_a_flood_of_unread_pongs_the_last_waits() {
    let (near, far) = duplex(64);
    let mut server = WebSocket::server(far, b"", &quiet());
    let (mut read, mut write) = tokio::io::split(near);
    let flood = async {
        for number in 0..5000_u16 {
            let [high, low] = number.to_be_bytes();
            let ping = [&[0x89, 0xfd, 0, 0, 0, 0, high, low][..], &[0; 123]].concat();
            write.write_all(&ping).await.expect("taken");
        }
        let close = [0x88, 0x80, 0, 0, 0, 0];
        write.write_all(&close).await.expect("taken");
    };
    let mut answer = Vec::new();
    let peer = async {
        flood.await;
        read.read_to_end(&mut answer).await.expect("an end");
    };
    let (end, ()) = tokio::join!(server.recv(), peer);
    assert!(end.is_none());
    let last = [&[0x8a, 125, 0x13, 0x87][..], &[0; 123], &[0x88, 0]].concat();
    assert!(
        answer.ends_with(&last),
        "the last ping is answered, then the Close"
    );
    assert!(answer.len() < 18_000, "{} bytes waited", answer.len());
}

#[tokio::test]
async fn pings_are_answered_one_by_one_while_there_is_room() {
    let pings = [0x89, 0x81, 0, 0, 0, 0, 1, 0x89, 0x81, 0, 0, 0, 0, 2];
    let (_, answer) = answer_to(&pings).await;
    assert_eq!(answer, [0x8a, 1, 1, 0x8a, 1, 2]);
}

#[tokio::test]
async fn the_closing_handshake_runs_from_either_side() {
    let (mut client, mut server) = pair(1024);
    let serve = async {
        assert!(server.recv().await.is_none());
        let close = server.peer_close().expect("a Close").clone();
        assert_eq!((close.code, &*close.reason), (Some(3000), "bye"));
        let refused = server.send(Message::text("late")).await;
        assert!(matches!(refused, Err(Error::Closing)));
        drop(server);
    };
    let (closed, ()) = tokio::join!(client.close(3000, "bye"), serve);
    closed.expect("closed in order");
    assert_eq!(client.peer_close().expect("the answer").code, Some(3000));

    let (mut client, mut server) = pair(1024);
    let (closed, end) = tokio::join!(server.close(close::NORMAL, ""), client.recv());
    closed.expect("closed in order");
    assert!(end.is_none());
}

#[tokio::test]
async fn after_a_started_close_the_rest_still_comes() {
    let (mut client, mut server) = pair(1024);
    client.send(Message::text("under way")).await.expect("sent");
    server.start_close(close::GOING_AWAY, "").expect("a code");
    let message = server.recv().await.expect("open").expect("whole");
    assert_eq!(message.as_text(), Some("under way"));
    let (server_end, client_end) = tokio::join!(server.recv(), client.recv());
    assert!(server_end.is_none() && client_end.is_none());
    let code = client.peer_close().expect("a Close").code;
    assert_eq!(code, Some(close::GOING_AWAY));
    assert!(matches!(
        server.start_close(1006, ""),
        Err(Error::CloseCode(1006))
    ));
}

#[tokio::test]
async fn an_end_without_a_close_is_an_error_unless_one_was_sent() {
    let (client, mut server) = pair(1024);
    drop(client);
    let error = server.recv().await.expect("told").expect_err("no Close");
    assert!(matches!(error, Error::NoClose));
    assert!(server.recv().await.is_none());

    let (client, mut server) = pair(1024);
    server.start_close(close::GOING_AWAY, "").expect("a code");
    let flushed = std::future::poll_fn(|cx| server.poll_flush(cx)).await;
    flushed.expect("room");
    drop(client);
    assert!(server.recv().await.is_none());
}

#[tokio::test]
async fn a_goodbye_is_a_whole_close_behind_what_waits() {
    let (_client, mut server) = pair(1024);
    server.start_send(Message::text("x")).expect("open");
    let goodbye = server
        .goodbye_frame(close::GOING_AWAY)
        .expect("nothing sent");
    assert_eq!(goodbye[..], [0x81, 1, b'x', 0x88, 2, 0x03, 0xe9]);
    assert_eq!(server.goodbye_frame(close::GOING_AWAY), None);
    let (_client, mut server) = pair(1024);
    let long = Message::binary(vec![0; 100_000]);
    server.start_send(long).expect("open");
    assert_eq!(server.goodbye_frame(close::GOING_AWAY), None);
}

#[tokio::test]
async fn a_sender_is_held_back_until_the_peer_reads() {
    let (mut client, mut server) = pair(256);
    let message = Message::binary(vec![1; 10_000]);
    let mut sent = 0;
    let stuck = async {
        for _ in 0..1000 {
            std::future::poll_fn(|cx| server.poll_ready(cx)).await?;
            server.start_send(message.clone())?;
            sent += 1;
        }
        Ok::<(), Error>(())
    };
    assert!(futures_util::poll!(std::pin::pin!(stuck)).is_pending());
    // One waits with its payload apart, and none may be queued behind it.
    assert_eq!(sent, 1);
    let (flushed, received) = tokio::join!(
        std::future::poll_fn(|cx| server.poll_flush(cx)),
        client.recv()
    );
    flushed.expect("written");
    assert_eq!(received.expect("open").expect("whole"), message);
}

#[tokio::test]
async fn receiving_and_sending_may_wait_in_two_tasks() {
    use std::sync::{Arc, Mutex};
    let (mut client, server) = pair(64);
    let server = Arc::new(Mutex::new(server));
    let (writer, reader) = (server.clone(), server);
    writer
        .lock()
        .expect("no panic")
        .start_send(Message::binary(vec![3; 50_000]))
        .expect("open");
    let write = tokio::spawn(async move {
        std::future::poll_fn(|cx| writer.lock().expect("no panic").poll_flush(cx)).await
    });
    let read = tokio::spawn(async move {
        std::future::poll_fn(|cx| reader.lock().expect("no panic").poll_recv(cx)).await
    });
    client.send(Message::text("up")).await.expect("sent");
    let down = client.recv().await.expect("open").expect("whole");
    assert_eq!(down.payload().len(), 50_000);
    write.await.expect("no panic").expect("written");
    let up = read.await.expect("no panic").expect("open").expect("whole");
    assert_eq!(up.as_text(), Some("up"));
}

#[tokio::test]
async fn bytes_travel_in_binary_messages() {
    let (client, server) = pair(4096);
    let (mut client, mut server) = (WebSocketBytes::new(client), WebSocketBytes::new(server));
    let data: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    let write = async {
        client.write_all(&data).await.expect("written");
        client.shutdown().await.expect("closed");
        client
    };
    let mut read = Vec::new();
    let (_client, count) = tokio::join!(write, server.read_to_end(&mut read));
    assert_eq!(count.expect("an end in order"), data.len());
    assert!(read == data);
}

#[tokio::test]
async fn a_write_of_bytes_is_one_message_of_16_kib_at_most() {
    let (client, mut server) = pair(1 << 20);
    let mut client = WebSocketBytes::new(client);
    assert_eq!(client.write(&vec![1; 20_000]).await.expect("room"), 16_384);
    assert_eq!(client.write(b"xyz").await.expect("room"), 3);
    for length in [16_384, 3] {
        let message = server.recv().await.expect("open").expect("whole");
        assert_eq!(message.payload().len(), length);
    }
}

#[tokio::test]
async fn a_text_among_bytes_is_refused_with_1003() {
    let (mut client, server) = pair(4096);
    let mut server = WebSocketBytes::new(server);
    client.send(Message::text("no")).await.expect("sent");
    let error = server.read_u8().await.expect_err("a text");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(client.recv().await.is_none());
    let code = client.peer_close().expect("a Close").code;
    assert_eq!(code, Some(close::UNSUPPORTED));
}
