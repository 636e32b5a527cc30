//! A service that finishes what it has begun: on Ctrl-C no connection is accepted, each handler is
//! told, and what has not ended within ten seconds is closed.
//!
//! ```text
//! cargo run --example graceful_drain -- [TCP]
//! (echo 2000; sleep 3) | nc 127.0.0.1 7000     # and Ctrl-C meanwhile
//! ```
//!
//! With `--check` it prints `the job was done, then: goodbye`.

mod support;

use std::time::Duration;

use support::{address, is_check};
use tokio_util::codec::LinesCodec;
use wharf::{BoxError, Client, Server, Session, Stream, Tcp};

/// Each line is a job: so many milliseconds of work.
async fn work(stream: Stream) -> Result<(), BoxError> {
    let mut session = Session::new(stream, LinesCodec::new());
    let connection = session.connection().clone();
    loop {
        let line = tokio::select! {
            line = session.recv() => line,
            () = connection.draining() => break,
        };
        let Some(line) = line.transpose()? else {
            return Ok(());
        };
        // A job that has begun is done, drain or not.
        session.send("begun").await?;
        tokio::time::sleep(Duration::from_millis(line.parse()?)).await;
        session.send("done").await?;
    }
    Ok(session.send("goodbye").await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder()
        .listen("work", Tcp::bind(address(0, "127.0.0.1:7000")), work)
        .drain_deadline(Duration::from_secs(10))
        .build()?;
    if !is_check() {
        return support::run(server, async { Ok(()) }).await;
    }

    let handle = server.handle();
    let url = format!("tcp://{}", handle.address("work")?);
    let running = tokio::spawn(server.run());
    let stream = Client::builder().build()?.connect(&url).await?;
    let mut session = Session::new(stream, LinesCodec::new());
    session.send("50").await?;
    let begun = session.recv().await.transpose()?;
    let drain = tokio::spawn(async move { handle.drain(Duration::from_secs(10)).await });
    let done = session.recv().await.transpose()?;
    let goodbye = session.recv().await.transpose()?;
    if begun.as_deref() == Some("begun") && done.as_deref() == Some("done") {
        println!("the job was done, then: {}", goodbye.unwrap_or_default());
    }
    drop(session);
    println!("{}", drain.await?);
    running.await?;
    Ok(())
}
