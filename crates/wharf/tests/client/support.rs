//! An echo server, and a certificate for it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::client::ClientBuilder;
use wharf::config::{Pem, Transport};
use wharf::tls::ClientTlsOptions;
use wharf::{BoxError, Client, Handle, Listen, Messages, Server, Stats, Stream, testkit};

pub(crate) async fn echo(mut stream: Stream) -> Result<(), BoxError> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

pub(crate) async fn echo_messages(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

/// PEM of a certificate for `localhost` and `127.0.0.1`, and of its key.
pub(crate) fn certificate() -> (String, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A client that trusts the certificate.
pub(crate) fn trusting(pem: &str) -> ClientBuilder {
    Client::builder().tls(ClientTlsOptions {
        ca: vec![Pem::Inline {
            pem: pem.to_owned(),
        }],
        ..ClientTlsOptions::default()
    })
}

/// Runs a server with one listener, named `it`.
pub(crate) fn serve(listen: Listen) -> Handle {
    run(Server::builder()
        .listen("it", listen, echo)
        .build()
        .unwrap())
}

pub(crate) fn run(server: Server) -> Handle {
    let handle = server.handle();
    tokio::spawn(server.run());
    handle
}

/// A listener in memory, with a function of bytes or messages.
pub(crate) fn in_memory(transport: Transport) -> (Handle, testkit::Connector) {
    let (listen, connector) = testkit::memory(transport);
    let builder = Server::builder();
    let server = if transport.is_websocket() {
        builder.listen_messages("it", listen, echo_messages)
    } else {
        builder.listen("it", listen, echo)
    };
    (run(server.build().unwrap()), connector)
}

/// Sends and receives once.
pub(crate) async fn ask(stream: &mut Stream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

/// What is true at rest.
pub(crate) fn is_conserved(stats: &Stats) {
    assert_eq!(
        stats.arrived,
        stats.pending + stats.accepted + stats.all_refused()
    );
    assert_eq!(stats.accepted, stats.live + stats.all_closed());
}
