//! A protocol of lines, written once for TCP and WebSocket: on the one a line ends with a line feed,
//! on the other each message is a line.
//!
//! ```text
//! cargo run --example line_protocol -- [TCP] [WS]
//! nc 127.0.0.1 7000
//! websocat ws://127.0.0.1:7002
//! ```
//!
//! With `--check` it prints `tcp said AHOY, ws said AHOY`.

mod support;

use support::{address, run};
use tokio_util::codec::LinesCodec;
use wharf::{BoxError, Carrier, Client, Server, Session, Tcp, Ws};

async fn shout(carrier: impl Into<Carrier>) -> Result<(), BoxError> {
    let mut session = Session::new(carrier, LinesCodec::new());
    while let Some(line) = session.recv().await {
        session.send(line?.to_uppercase()).await?;
    }
    Ok(())
}

/// One line there, and one back.
async fn ask(carrier: impl Into<Carrier>) -> Result<String, BoxError> {
    let mut session = Session::new(carrier, LinesCodec::new());
    session.send("ahoy").await?;
    Ok(session.recv().await.transpose()?.unwrap_or_default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder()
        .listen("tcp", Tcp::bind(address(0, "127.0.0.1:7000")), shout)
        .listen_messages("ws", Ws::bind(address(1, "127.0.0.1:7002")), shout)
        .build()?;

    let handle = server.handle();
    run(server, async {
        let client = Client::builder().build()?;
        let tcp = format!("tcp://{}", handle.address("tcp")?);
        let ws = format!("ws://{}", handle.address("ws")?);
        let tcp = ask(client.connect(&tcp).await?).await?;
        let ws = ask(client.connect_messages(&ws).await?).await?;
        println!("tcp said {tcp}, ws said {ws}");
        Ok(())
    })
    .await
}
