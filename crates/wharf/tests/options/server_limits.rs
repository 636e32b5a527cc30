//! `limits.*` of the server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{Buffers, ServerLimits, SlowPeer, Transport};
use wharf::{Refusal, SendError, Server, ServerConfig, testkit};

use super::buffers::lines;
use super::{Answer, IT, arrive, connect, echo, knock, refused, settle, start};

#[tokio::test(start_paused = true)]
async fn max_connections() {
    let limits = |max_connections| ServerLimits {
        max_connections,
        ..ServerLimits::default()
    };
    let (one, to_one) = testkit::memory(Transport::Tcp);
    let (other, to_other) = testkit::memory(Transport::Tcp);
    let builder = Server::builder().limits(limits(2)).listen(IT, one, echo);
    let handle = start(builder.listen("other", other, echo));
    let (first, mut there) = arrive(&to_one, "192.0.2.1").await;
    let (second, _second) = arrive(&to_other, "192.0.2.2").await;
    let (third, _) = arrive(&to_one, "192.0.2.3").await;
    assert_eq!(
        (first, second, third),
        (Answer::Served, Answer::Served, Answer::Closed)
    );
    assert_eq!(refused(&handle, Refusal::ServerFull), 1);
    handle.set_limits(limits(3)).unwrap();
    let (third, _third) = arrive(&to_one, "192.0.2.3").await;
    assert_eq!(third, Answer::Served);
    // Who is there stays when there are too many.
    handle.set_limits(limits(1)).unwrap();
    assert_eq!(knock(&mut there).await, Answer::Served);
    assert_eq!(arrive(&to_other, "192.0.2.4").await.0, Answer::Closed);
    handle.set_limits(limits(0)).unwrap();
    assert_eq!(arrive(&to_other, "192.0.2.4").await.0, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn memory() {
    let limits = |memory| ServerLimits {
        memory,
        ..ServerLimits::default()
    };
    let config = ServerConfig {
        limits: limits(Some(4 << 10)),
        ..ServerConfig::default()
    };
    let buffers = Buffers {
        slow_peer: SlowPeer::Drop,
        ..Buffers::default()
    };
    let (handle, connector, mut senders) = lines(config, buffers);
    let mut idle = connect(&connector, "192.0.2.1").await;
    let sender = senders.recv().await.unwrap();
    assert_eq!(handle.memory(), 0, "an idle connection keeps nothing");
    // Half a message is kept.
    let mut half = connect(&connector, "192.0.2.2").await;
    half.write_all(&[b'x'; 4 << 10]).await.unwrap();
    settle().await;
    assert_eq!(handle.memory(), 4 << 10);
    // Nobody else comes in, …
    let mut third = connect(&connector, "192.0.2.3").await;
    assert_eq!(third.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(refused(&handle, Refusal::Memory), 1);
    // … write buffers are full, and no more is read.
    let sent = sender.send(vec![7; 16].into()).await;
    assert_eq!(sent, Err(SendError::Dropped));
    idle.write_all(b"half").await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(handle.memory(), 4 << 10);
    // What is no good changes nothing.
    let refused = handle.set_limits(limits(Some(1))).unwrap_err();
    assert_eq!(refused.0[0].key, "limits.memory");
    assert_eq!(handle.memory(), 4 << 10);
    // With more memory all of this is possible.
    handle.set_limits(limits(Some(1 << 20))).unwrap();
    let mut idle = connect(&connector, "192.0.2.1").await;
    senders.recv().await.unwrap();
    let sender = senders.recv().await.unwrap();
    sender.send(vec![7; 16].into()).await.unwrap();
    idle.read_exact(&mut [0; 16]).await.unwrap();
    half.write_all(b"\n").await.unwrap();
    half.read_exact(&mut [0; (4 << 10) + 1]).await.unwrap();
    drop((idle, half));
    settle().await;
    assert_eq!(handle.memory(), 0);
    handle.set_limits(limits(None)).unwrap();
    let mut client = connect(&connector, "192.0.2.1").await;
    client.write_all(b"line\n").await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
}
