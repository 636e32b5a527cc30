//! The bodies of the WebSocket targets: the upgrade request, and frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wharf::config::WebSocketOptions;
use wharf::websocket::{WebSocket, server};

/// What is granted is a request that RFC 6455 §4.2.1 describes, and is answered in one piece.
pub(crate) fn ws_upgrade(data: &[u8]) {
    let options = WebSocketOptions {
        subprotocols: vec!["chat".into()],
        ..WebSocketOptions::default()
    };
    match server::decide(Bytes::copy_from_slice(data), &options, true) {
        Ok(accept) => {
            let request = &accept.request;
            assert!(data.starts_with(b"GET ") && data.ends_with(b"\r\n\r\n"));
            assert!(request.path().starts_with('/') && !request.path().contains('?'));
            assert_eq!(request.header("SEC-WEBSOCKET-VERSION"), Some("13"));
            assert!(!request.host().is_empty());
            let chat = request.subprotocols().any(|name| name == "chat");
            assert_eq!(accept.subprotocol.is_some(), chat);
            assert_eq!(accept.response().matches("\r\n\r\n").count(), 1);
        }
        Err(refusal) => assert!(refusal.status() >= 400),
    }
}

/// The messages and the end are the same however the frames are cut, and no message is above the
/// limit. The first byte says the role and the size of the pieces.
pub(crate) fn ws_frames(data: &[u8]) {
    let Some((&first, frames)) = data.split_first() else {
        return;
    };
    let client = first & 0x80 != 0;
    let whole = outcome(frames, frames.len().max(1), client);
    assert_eq!(
        outcome(frames, usize::from(first & 0x7f) + 1, client),
        whole
    );
}

const LIMIT: usize = 60_000;

fn outcome(frames: &[u8], piece: usize, client: bool) -> Vec<String> {
    let options = WebSocketOptions {
        max_frame: 50_000,
        max_message: LIMIT as u64,
        ping: None,
        ..WebSocketOptions::default()
    };
    let input = Input { frames, piece };
    let mut websocket = if client {
        WebSocket::client(input, b"", &options)
    } else {
        WebSocket::server(input, b"", &options)
    };
    let mut outcome = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match websocket.poll_recv(&mut cx) {
            Poll::Pending => panic!("the input never waits"),
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(message))) => {
                assert!(message.payload().len() <= LIMIT);
                outcome.push(format!("{message:?}"));
            }
            Poll::Ready(Some(Err(error))) => outcome.push(error.to_string()),
        }
    }
    outcome.push(format!("{:?}", websocket.peer_close()));
    outcome
}

/// Gives its bytes in pieces and takes whatever is written.
struct Input<'a> {
    frames: &'a [u8],
    piece: usize,
}

impl AsyncRead for Input<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.piece.min(self.frames.len()).min(buffer.remaining());
        let (now, later) = self.frames.split_at(count);
        buffer.put_slice(now);
        self.frames = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Input<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
