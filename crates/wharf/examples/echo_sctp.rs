//! Echo over SCTP: messages on streams of their own, over UDP (RFC 6951) so that any host will do.
//!
//! A message that is long does not hold up those of other streams, and each has a number for its
//! receiver, the payload protocol identifier.
//!
//! ```text
//! cargo run --example echo_sctp -- [SCTP]
//! ```
//!
//! With `--check` it prints `3 messages came back on their streams`.

mod support;

use support::{address, run};
use wharf::config::SctpVia;
use wharf::message::Lane;
use wharf::{BoxError, Client, Message, Messages, Sctp, Server};

/// Sends each message back on its own stream.
async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let listen =
        Sctp::bind(address(0, "127.0.0.1:7899")).with(|config| config.sctp.via = SctpVia::Udp);
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()?;
    let handle = server.handle();
    run(server, async {
        let client = Client::builder().with(|options| options.sctp.via = SctpVia::Udp);
        let url = format!("sctp://{}", handle.address("echo")?);
        let mut messages = client.build()?.connect_messages(&url).await?;
        let long = vec![b'x'; 100_000];
        for (stream, payload) in [(0, long), (1, b"ahoy".to_vec()), (2, b"bye".to_vec())] {
            let lane = Lane {
                stream,
                ppid: 7,
                unordered: false,
            };
            messages.send(Message::binary(payload).on(lane)).await?;
        }
        let mut streams = Vec::new();
        while streams.len() < 3 {
            let message = messages.recv().await.ok_or("closed")??;
            streams.push(message.lane().stream);
        }
        streams.sort_unstable();
        let right = streams == [0, 1, 2];
        let count = if right { streams.len() } else { 0 };
        println!("{count} messages came back on their streams");
        Ok(())
    })
    .await
}
