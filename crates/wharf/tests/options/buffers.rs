//! `buffers.*`.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::LinesCodec;
use wharf::config::{Buffers, SlowPeer, Transport};
use wharf::testkit::{self, Connector, MemoryStream};
use wharf::{
    BoxError, Closed, Handle, SendError, Server, ServerConfig, Session, SessionSender, Stream,
};

use super::{Answer, IT, PATIENCE, closed, connect, settle, start, until_closed};

/// A server of lines that hands out a sender for each connection.
pub(crate) fn lines(
    config: ServerConfig,
    buffers: Buffers,
) -> (Handle, Connector, mpsc::UnboundedReceiver<SessionSender>) {
    let (senders, receiver) = mpsc::unbounded_channel();
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let handler = move |stream: Stream| {
        let mut session = Session::new(stream, LinesCodec::new());
        let _ = senders.send(session.sender());
        async move {
            while let Some(line) = session.recv().await {
                session.send(line?).await?;
            }
            Ok::<_, BoxError>(())
        }
    };
    let listen = listen.with(|it| it.buffers = buffers);
    let builder = Server::builder().config(config).listen(IT, listen, handler);
    (start(builder), connector, receiver)
}

/// Sends a line of `length` bytes, its end included, and says what comes back.
async fn line(client: &mut MemoryStream, length: usize) -> Answer {
    let mut sent = vec![b'x'; length - 1];
    sent.push(b'\n');
    client.write_all(&sent).await.unwrap();
    let mut answer = vec![0; length];
    match client.read_exact(&mut answer).await {
        Ok(_) => Answer::Served,
        Err(_) => Answer::Closed,
    }
}

#[tokio::test(start_paused = true)]
async fn max_message() {
    let buffers = Buffers {
        max_message: 16,
        ..Buffers::default()
    };
    let (handle, connector, _senders) = lines(ServerConfig::default(), buffers);
    let mut client = connect(&connector, "192.0.2.1").await;
    assert_eq!(line(&mut client, 16).await, Answer::Served);
    assert_eq!(line(&mut client, 17).await, Answer::Closed);
    // It is not waited for the end of what is too long already.
    let mut client = connect(&connector, "192.0.2.1").await;
    client.write_all(&[b'x'; 17]).await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(handle.inspect(IT).unwrap().stats.messages_oversized, 2);
    assert_eq!(closed(&handle, Closed::Oversized), 2);
    // A connection that is there obeys the new bound.
    let mut client = connect(&connector, "192.0.2.1").await;
    assert_eq!(line(&mut client, 16).await, Answer::Served);
    handle
        .change(IT, |it| it.buffers.max_message = 4096)
        .unwrap();
    assert_eq!(line(&mut client, 4096).await, Answer::Served);
    assert_eq!(line(&mut client, 4097).await, Answer::Closed);
}

/// Sends messages of 512 bytes to a peer that takes none, until one is not taken.
async fn fill(sender: &SessionSender) -> usize {
    let mut taken = 0;
    loop {
        match timeout(PATIENCE, sender.send(Bytes::from_static(&[7; 512]))).await {
            Ok(Ok(())) => taken += 1,
            Ok(Err(_)) | Err(_) => return taken,
        }
        // The connection writes what its socket takes.
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn write() {
    let buffers = |write| Buffers {
        write,
        slow_peer: SlowPeer::Drop,
        ..Buffers::default()
    };
    let (handle, connector, mut senders) = lines(ServerConfig::default(), buffers(1 << 10));
    let _client = connect(&connector, "192.0.2.1").await;
    let sender = senders.recv().await.unwrap();
    let small = fill(&sender).await;
    // The bound can be raised while messages wait.
    handle
        .change(IT, |it| it.buffers = buffers(4 << 10))
        .unwrap();
    assert_eq!(fill(&sender).await, 6, "as many as the difference holds");
    let _other = connect(&connector, "192.0.2.1").await;
    let sender = senders.recv().await.unwrap();
    assert_eq!(fill(&sender).await, small + 6);
    // A single larger message is taken when nothing waits.
    let mut reading = connect(&connector, "192.0.2.1").await;
    let sender = senders.recv().await.unwrap();
    sender.send(vec![7; 32 << 10].into()).await.unwrap();
    reading.read_exact(&mut vec![0; 32 << 10]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slow_peer() {
    let (handle, connector, mut senders) = lines(ServerConfig::default(), Buffers::default());
    let mut client = connect(&connector, "192.0.2.1").await;
    let sender = senders.recv().await.unwrap();
    let message = Bytes::from_static(&[7; 512]);
    let taken = fill(&sender).await;
    // The sender waits until the peer takes something.
    let waiting = tokio::spawn({
        let (sender, message) = (sender.clone(), message.clone());
        async move { sender.send(message).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    client.read_exact(&mut [0; 4096]).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(handle.inspect(IT).unwrap().stats.messages_dropped, 0);
    // Dropped and counted; the connection stays.
    fill(&sender).await;
    handle
        .change(IT, |it| it.buffers.slow_peer = SlowPeer::Drop)
        .unwrap();
    let error = sender.send(message.clone()).await.unwrap_err();
    assert_eq!(error, SendError::Dropped);
    assert_eq!(handle.inspect(IT).unwrap().stats.messages_dropped, 1);
    client.read_exact(&mut vec![0; taken * 512]).await.unwrap();
    sender.send(message.clone()).await.unwrap();
    // Closed.
    fill(&sender).await;
    handle
        .change(IT, |it| it.buffers.slow_peer = SlowPeer::Close)
        .unwrap();
    let error = sender.send(message.clone()).await.unwrap_err();
    assert_eq!(error, SendError::SlowPeer);
    let took = until_closed(&mut client).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(closed(&handle, Closed::SlowPeer), 1);
    assert_eq!(sender.send(message).await, Err(SendError::Closed));
}
