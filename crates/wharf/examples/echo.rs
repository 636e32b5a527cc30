//! Echo over TCP, TLS, a Unix socket, WebSocket and WSS at once.
//!
//! ```text
//! cargo run --example echo -- [TCP] [TLS] [UNIX] [WS] [WSS]
//! nc 127.0.0.1 7000
//! openssl s_client -quiet -connect 127.0.0.1:7001
//! socat - UNIX:/tmp/echo.sock
//! websocat --binary ws://127.0.0.1:7002
//! ```
//!
//! With `--check` it prints `5 transports answered`.

mod support;

use support::{address, certificate, run, trusting};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use wharf::{BoxError, Server, Stream, Tcp, Tls, Unix, Ws, Wss};

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    Ok(writer.shutdown().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (cert, key) = certificate(&["localhost", "127.0.0.1"])?;
    let tls = Tls::bind(address(1, "127.0.0.1:7001")).cert(cert.clone(), key.clone());
    let wss = Wss::bind(address(4, "127.0.0.1:7003")).cert(cert.clone(), key);
    let server = Server::builder()
        .listen("tcp", Tcp::bind(address(0, "127.0.0.1:7000")), echo)
        .listen("tls", tls, echo)
        .listen("unix", Unix::bind(address(2, "/tmp/echo.sock")), echo)
        .listen("ws", Ws::bind(address(3, "127.0.0.1:7002")), echo)
        .listen("wss", wss, echo)
        .build()?;

    let handle = server.handle();
    run(server, async {
        let client = trusting(&cert)?;
        let mut answered = 0;
        for transport in handle.listeners() {
            let url = format!("{transport}://{}", handle.address(&transport)?);
            let mut stream = client.connect(&url).await?;
            stream.write_all(b"ahoy").await?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await?;
            answered += usize::from(&answer == b"ahoy");
        }
        println!("{answered} transports answered");
        Ok(())
    })
    .await
}
