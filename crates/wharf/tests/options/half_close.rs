//! Each direction of a connection ends by itself, on every kind of stream.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wharf::config::Transport;
use wharf::testkit::{self, Authority, Leaf};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::{BoxError, Handle, Listen, Server, Stream, Tcp, Tls};

use super::unix::Directory;
use super::{IT, connect, start};

/// A server whose handler ends its side last, or after a `!` first; it tells all it has heard.
fn half_closing(listen: Listen) -> (Handle, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let handler = move |stream: Stream| end_by_halves(stream, tell.clone());
    (start(Server::builder().listen(IT, listen, handler)), heard)
}

async fn end_by_halves(
    mut stream: Stream,
    tell: mpsc::UnboundedSender<Vec<u8>>,
) -> Result<(), BoxError> {
    let ends_first = stream.read_u8().await? == b'!';
    if ends_first {
        stream.write_all(b"first").await?;
        stream.shutdown().await?;
    }
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    if !ends_first {
        stream.write_all(b"last").await?;
        stream.shutdown().await?;
    }
    tell.send(heard)?;
    Ok(())
}

/// What is sent after the other side has ended its own arrives, whoever is first.
async fn half_close(
    clients: [impl AsyncRead + AsyncWrite + Unpin; 2],
    mut heard: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    let [mut one, mut other] = clients;
    let mut said = Vec::new();
    one.write_all(b"!").await.unwrap();
    one.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"first");
    one.write_all(b"then").await.unwrap();
    one.shutdown().await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), b"then");

    said.clear();
    other.write_all(b"?all").await.unwrap();
    other.shutdown().await.unwrap();
    other.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"last");
    assert_eq!(heard.recv().await.unwrap(), b"all");
}

async fn dial(handle: &Handle) -> TcpStream {
    let address = handle.address(IT).unwrap().ip().unwrap();
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn of_tcp() {
    let (handle, heard) = half_closing(Tcp::bind("127.0.0.1:0"));
    half_close([dial(&handle).await, dial(&handle).await], heard).await;
}

#[tokio::test]
async fn of_tls() {
    let ca = Authority::new("ca");
    let leaf = ca.issue(&Leaf::named("a", &["a.example"]));
    let listen = Tls::bind("127.0.0.1:0").with(|config| {
        config.tls.certificates.push(leaf.certificate());
    });
    let (handle, heard) = half_closing(listen);
    let client = ClientTls::new(&ClientTlsOptions {
        ca: vec![ca.pem()],
        ..ClientTlsOptions::default()
    });
    let client = client.unwrap();
    let one = client.connect(dial(&handle).await, "a.example");
    let other = client.connect(dial(&handle).await, "a.example");
    half_close([one.await.unwrap(), other.await.unwrap()], heard).await;
}

#[tokio::test]
async fn of_unix() {
    let directory = Directory::new("half");
    let (_handle, heard) = half_closing(directory.listen(|_| ()));
    half_close(
        [directory.connect().await, directory.connect().await],
        heard,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_memory() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let (_handle, heard) = half_closing(listen);
    let one = connect(&connector, "192.0.2.1").await;
    let other = connect(&connector, "192.0.2.2").await;
    half_close([one, other], heard).await;
}
