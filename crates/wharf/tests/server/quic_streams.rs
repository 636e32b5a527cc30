//! Streams of QUIC that wait for their peer, and connections whose clients move between several endpoints.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wharf::quic::quinn::{Connection, ReadError, ReadToEndError, VarInt};
use wharf::{Closed, ClosedByServer, Handler, Server, Stream};

use super::quic_site::Site;

/// How long something may take.
const SOON: Duration = Duration::from_secs(20);

/// Tells the test how its streams end: by the first byte it floods its peer, or answers what it gets.
fn handler() -> (Handler, mpsc::UnboundedReceiver<Option<Closed>>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let handler = Handler::stream(move |mut stream: Stream| {
        let sender = sender.clone();
        async move {
            let done = serve(&mut stream).await;
            let why = done.as_ref().err().and_then(io::Error::get_ref);
            let why = why.and_then(|why| why.downcast_ref::<ClosedByServer>());
            // Not every test listens.
            let _ = sender.send(why.map(|why| why.0));
            done
        }
    });
    (handler, ends)
}

async fn serve(stream: &mut Stream) -> io::Result<()> {
    let mut first = [0];
    stream.read_exact(&mut first).await?;
    if &first == b"f" {
        loop {
            stream.write_all(&[7; 4096]).await?;
        }
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await?;
    stream.write_all(&said).await?;
    stream.shutdown().await
}

async fn ask(connection: &Connection) {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(b"?word").await.unwrap();
    send.finish().unwrap();
    let answer = timeout(SOON, recv.read_to_end(100)).await.unwrap();
    assert_eq!(answer.unwrap(), b"word");
}

#[tokio::test]
async fn a_stream_that_waits_too_long_is_reset_and_its_connection_goes_on() {
    for (first, reason) in [(b"?", Closed::ReadIdle), (b"f", Closed::WriteTimeout)] {
        let (handler, mut ends) = handler();
        let site = Site::new(handler, |config| {
            let limit = Some(Duration::from_millis(200));
            match reason {
                Closed::ReadIdle => config.timeouts.read_idle = limit,
                _ => config.timeouts.write = limit,
            }
            config.quic.drain_code = 7;
        });
        let client = site.client_with(|transport, _| {
            transport.stream_receive_window(VarInt::from_u32(10_000));
        });
        let connection = client.begin(&site).await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(first).await.unwrap();
        let end = timeout(SOON, ends.recv()).await.unwrap();
        assert_eq!(end, Some(Some(reason)));
        let code = VarInt::from_u32(7);
        let stopped = timeout(SOON, send.stopped()).await.unwrap();
        assert_eq!(stopped.unwrap(), Some(code));
        let read = timeout(SOON, recv.read_to_end(1 << 20)).await.unwrap();
        let reset = ReadToEndError::Read(ReadError::Reset(code));
        assert_eq!(read.err(), Some(reset));
        ask(&connection).await;
        assert_eq!(ends.recv().await, Some(None));
        assert_eq!(site.stats().live, 1);
        // The connection ends for this reason where it has no other.
        connection.close(VarInt::from_u32(0), b"");
        site.until(|stats| stats.closed(reason) == 1).await;
    }
}

#[tokio::test]
async fn clients_that_move_stay_with_the_endpoint_that_has_their_connection() {
    let site = Site::new(handler().0, |config| {
        config.accept.reuse_port = true;
        config.accept.acceptors = 4;
    });
    assert_eq!(site.handle.inspect("it").unwrap().addresses.len(), 4);
    let mut clients = Vec::new();
    for _ in 0..12 {
        let client = site.client();
        let connection = client.begin(&site).await.unwrap();
        ask(&connection).await;
        clients.push((client, connection));
    }
    // The kernel would hash one in four moves to the right endpoint by chance.
    for _ in 0..4 {
        for (client, connection) in &clients {
            let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.endpoint.rebind(elsewhere).unwrap();
            ask(connection).await;
        }
    }
    assert_eq!((site.stats().accepted, site.stats().live), (12, 12));
}

#[tokio::test]
async fn nobody_else_may_share_the_port_of_several_endpoints() {
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    other.bind(&any.into()).unwrap();
    let taken = other.local_addr().unwrap().as_socket().unwrap();
    let ca = wharf::testkit::Authority::new("ca");
    let leaf = ca.issue(&wharf::testkit::Leaf::named("a", &["a.example"]));
    let listen = wharf::Quic::bind(taken.to_string())
        .with(|config| {
            config.tls.certificates.push(leaf.certificate());
            config.accept.reuse_port = true;
        })
        .alpn(["it"]);
    let built = Server::builder()
        .listen_with("it", listen, handler().0)
        .build();
    let said = built.err().unwrap().to_string();
    assert!(said.contains("Address already in use"), "{said}");
}
