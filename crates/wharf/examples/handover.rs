//! A service that is replaced without losing a connection: started again, it takes the sockets over
//! from the process that runs, which then ends.
//!
//! ```text
//! cargo run --example handover -- [TCP] [UDP] [UNIX] [HANDOVER]
//! while nc 127.0.0.1 7000; do :; done    # and start it again in another terminal
//! ```
//!
//! With `--check` it prints `first, first, second, second: none was lost`.

mod support;

use support::{address, is_check};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::handover::Handover;
use wharf::{BoxError, Client, Message, Messages, Server, Stream, Tcp, Udp, Unix};

/// Where it listens, and where it hands over.
struct Places {
    tcp: String,
    udp: String,
    unix: String,
    handover: String,
}

/// A server that tells everybody `who` it is.
async fn start(who: &str, places: &Places) -> Result<Server, BoxError> {
    let (who, said) = (who.to_owned(), Message::binary(who.to_owned()));
    let greet = move |mut stream: Stream| {
        let who = who.clone();
        async move { stream.write_all(who.as_bytes()).await }
    };
    let answer = move |mut messages: Messages| {
        let said = said.clone();
        async move {
            while messages.recv().await.transpose()?.is_some() {
                messages.send(said.clone()).await?;
            }
            Ok::<_, BoxError>(())
        }
    };
    let predecessor = Handover::take(&places.handover).await?;
    let server = Server::builder()
        .inherit(predecessor)
        .listen("tcp", Tcp::bind(&places.tcp), greet.clone())
        .listen_messages("udp", Udp::bind(&places.udp), answer)
        .listen("unix", Unix::bind(&places.unix), greet)
        .build()?;
    server.handle().offer_handover(&places.handover)?;
    // Everything is there: from here on the predecessor accepts no more, and this one does.
    server.take_over().await?;
    Ok(server)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let places = Places {
        tcp: address(0, "127.0.0.1:7000"),
        udp: address(1, "127.0.0.1:7001"),
        unix: address(2, "/tmp/greet.sock"),
        handover: address(3, "/tmp/greet.handover"),
    };
    if !is_check() {
        let who = format!("{}\n", std::process::id());
        let server = start(&who, &places).await?;
        return support::run(server, async { Ok(()) }).await;
    }

    let client = Client::builder().build()?;
    let mut answers = Vec::new();
    let mut running = Vec::new();
    for who in ["first", "second"] {
        let server = start(who, &places).await?;
        let urls = [
            format!("tcp://{}", server.handle().address("tcp")?),
            format!("unix:{}", places.unix),
        ];
        running.push(tokio::spawn(server.run()));
        for url in urls {
            let mut answer = String::new();
            let mut stream = client.connect(&url).await?;
            stream.read_to_string(&mut answer).await?;
            answers.push(answer);
        }
    }
    // The first has ended by itself.
    println!("{}", running.remove(0).await?);
    println!("{}: none was lost", answers.join(", "));
    Ok(())
}
