//! Echo over DTLS, and a client that is known by a key.
//!
//! The server has a certificate, and the key of one meter besides. A client with a certificate's
//! authority and one with the key both get in; another meter does not.
//!
//! ```text
//! cargo run --example echo_dtls -- [DTLS]
//! openssl s_client -dtls1_2 -connect 127.0.0.1:7433 -psk_identity meter-17 -psk 0011aabb0011aabb0011aabb0011aabb
//! ```
//!
//! With `--check` it prints `by certificate: ahoy, by key: ahoy, a stranger was refused`.

mod support;

use support::{address, certificate, run, trusting};
use wharf::config::Psk;
use wharf::{BoxError, Client, Dtls, Message, Messages, Refusal, Server};

/// A message is a record: it may be lost, and comes once and whole if it comes.
async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn key_of(meter: &str) -> Psk {
    Psk {
        identity: meter.to_owned(),
        key: "0011aabb".repeat(4),
    }
}

/// Who trusts a key alone needs no authority.
fn keyed(meter: &str) -> Result<Client, BoxError> {
    let client = Client::builder().with(|options| options.dtls.psk = vec![key_of(meter)]);
    Ok(client.build()?)
}

/// A datagram may be lost: it is sent again until the answer is there.
async fn ask(client: &Client, url: &str) -> Result<String, BoxError> {
    let mut messages = client.connect_messages(url).await?;
    let mut again = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = again.tick() => {}
            answer = messages.recv() => {
                let answer = answer.ok_or("closed")??;
                return Ok(String::from_utf8_lossy(answer.payload()).into_owned());
            }
        }
        messages.send(Message::binary(&b"ahoy"[..])).await?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (cert, key) = certificate(&["127.0.0.1"])?;
    let listen = Dtls::bind(address(0, "127.0.0.1:7433"))
        .cert(cert.clone(), key)
        .with(|config| config.dtls.psk = vec![key_of("meter-17")]);
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()?;
    let handle = server.handle();
    run(server, async {
        let url = format!("dtls://{}", handle.address("echo")?);
        let by_certificate = ask(&trusting(&cert)?, &url).await?;
        let by_key = ask(&keyed("meter-17")?, &url).await?;
        let stranger = keyed("meter-18")?.connect_messages(&url).await;
        let refused = match stranger.map_err(|error| error.reason()) {
            Err(Some(Refusal::Tls)) => "refused",
            _ => "let in",
        };
        println!("by certificate: {by_certificate}, by key: {by_key}, a stranger was {refused}");
        Ok(())
    })
    .await
}
