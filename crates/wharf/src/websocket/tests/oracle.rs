//! Against tokio-websockets, an implementation that others wrote.

use tokio_websockets as peer;

use super::*;

async fn with_their_client(
    room: usize,
) -> (peer::WebSocketStream<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(room);
    let uri = "ws://localhost/chat".parse().expect("a URI");
    let options = quiet();
    let builder = peer::ClientBuilder::from_uri(uri);
    let (theirs, ours) = tokio::join!(builder.connect_on(near), upgrade(far, b"", &options, false));
    let ours = ours.expect("upgraded");
    let (theirs, _) = theirs.expect("agreed");
    (theirs, WebSocket::server(ours.io, &ours.leftover, &options))
}

async fn with_their_server(
    room: usize,
) -> (peer::WebSocketStream<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(room);
    let builder = peer::ServerBuilder::new();
    let request = ClientRequest::new("localhost", "/chat");
    let (theirs, ours) = tokio::join!(builder.accept(far), handshake(near, &request));
    let (_, theirs) = theirs.expect("upgraded");
    let ours = ours.expect("agreed");
    (theirs, WebSocket::client(ours.io, &ours.leftover, &quiet()))
}

async fn talk(
    theirs: &mut peer::WebSocketStream<DuplexStream>,
    ours: &mut WebSocket<DuplexStream>,
) {
    for length in [0, 1, 125, 126, 4096, 4097, 65_535, 65_536, 300_000] {
        let bytes = Bytes::from((0..length).map(|i: u32| i as u8).collect::<Vec<u8>>());
        let text = "é".repeat(length as usize / 2);
        let echo = async {
            for _ in 0..2 {
                let message = ours.recv().await.expect("open").expect("whole");
                ours.send(message).await.expect("sent");
            }
        };
        let ask = async {
            for sent in [peer::Message::binary(bytes), peer::Message::text(text)] {
                theirs.send(sent.clone()).await.expect("sent");
                let back = theirs.next().await.expect("open").expect("whole");
                assert!(
                    back.is_text() == sent.is_text()
                        && back.as_payload()[..] == sent.as_payload()[..]
                );
            }
        };
        tokio::join!(echo, ask);
    }
    theirs.send(peer::Message::ping("?")).await.expect("sent");
    theirs
        .send(peer::Message::text("after"))
        .await
        .expect("sent");
    let after = ours.recv().await.expect("open").expect("whole");
    ours.send(after).await.expect("sent");
    let pong = theirs.next().await.expect("open").expect("whole");
    assert!(pong.is_pong() && pong.as_payload()[..] == b"?"[..]);
    assert_eq!(
        theirs.next().await.expect("open").expect("whole").as_text(),
        Some("after")
    );
}

#[tokio::test]
async fn their_client_talks_to_our_server() {
    let (mut theirs, mut ours) = with_their_client(1000).await;
    talk(&mut theirs, &mut ours).await;
    let (closed, end) = tokio::join!(theirs.close(), ours.recv());
    closed.expect("closed in order");
    assert!(end.is_none());
}

#[tokio::test]
async fn their_server_talks_to_our_client() {
    let (mut theirs, mut ours) = with_their_server(64).await;
    talk(&mut theirs, &mut ours).await;
    let their_end = async {
        let close = theirs.next().await.expect("a Close").expect("whole");
        let code = close.as_close().map(|(code, _)| u16::from(code));
        assert_eq!(code, Some(close::NORMAL));
        assert!(theirs.next().await.is_none());
        drop(theirs);
    };
    let (closed, ()) = tokio::join!(ours.close(close::NORMAL, "done"), their_end);
    closed.expect("closed in order");
}
