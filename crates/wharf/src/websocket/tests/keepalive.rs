//! Keep-alive, in virtual time.

use tokio::time::Instant;

use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

fn server(io: DuplexStream) -> WebSocket<DuplexStream> {
    let options = WebSocketOptions {
        ping: Some(INTERVAL),
        ..WebSocketOptions::default()
    };
    WebSocket::server(io, b"", &options)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_given_up() {
    let (mut near, far) = duplex(1024);
    let mut server = server(far);
    let start = Instant::now();
    let watch = async {
        let mut ping = [0; 2];
        near.read_exact(&mut ping).await.expect("a ping");
        assert_eq!(ping, [0x89, 0]);
        start.elapsed()
    };
    let (pinged, ended) = tokio::join!(watch, server.recv());
    assert_eq!(pinged, INTERVAL);
    assert!(matches!(ended, Some(Err(Error::PingTimeout))));
    assert_eq!(start.elapsed(), 2 * INTERVAL);
    assert!(server.recv().await.is_none());
    let mut close = [0; 4];
    near.read_exact(&mut close).await.expect("a Close");
    assert_eq!(close, [0x88, 2, 0x03, 0xf3]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_stays() {
    let (near, far) = duplex(1024);
    let mut server = server(far);
    let mut client = WebSocket::client(near, b"", &quiet());
    let hours = Duration::from_hours(3);
    let idle = async {
        tokio::select! {
            ended = server.recv() => panic!("{ended:?}"),
            _ = client.recv() => panic!("nothing was sent"),
            () = tokio::time::sleep(hours) => {}
        }
    };
    idle.await;
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_last_bytes() {
    let (mut near, far) = duplex(1024);
    let mut server = server(far);
    let start = Instant::now();
    let talk = async {
        // A pong that nobody asked for, 20 s in: the ping comes 30 s later.
        tokio::time::sleep(Duration::from_secs(20)).await;
        near.write_all(&[0x8a, 0x80, 0, 0, 0, 0])
            .await
            .expect("room");
        let mut ping = [0; 2];
        near.read_exact(&mut ping).await.expect("a ping");
        start.elapsed()
    };
    tokio::select! {
        ended = server.recv() => panic!("{ended:?}"),
        pinged = talk => assert_eq!(pinged, Duration::from_secs(50)),
    }
}
