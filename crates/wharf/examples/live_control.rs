//! A server that is changed while it runs, by commands on a Unix socket.
//!
//! ```text
//! cargo run --example live_control -- [TCP] [UNIX]
//! nc 127.0.0.1 7000
//! echo 'limit 1' | socat - UNIX:/tmp/control.sock
//! echo stats | socat - UNIX:/tmp/control.sock
//! ```
//!
//! With `--check` it prints `limit 1: ok, deny 127.0.0.0/8: ok, then 1 was full and 1 denied`.

mod support;

use support::{address, run};
use tokio::io::{AsyncReadExt, copy, split};
use tokio_util::codec::LinesCodec;
use wharf::{BoxError, Client, Handle, Refusal, Server, Session, Stream, Tcp, Unix};

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    Ok(())
}

/// One command; the error says what is wrong with it.
fn obey(handle: &Handle, line: &str) -> Result<String, BoxError> {
    let (command, value) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "limit" => {
            let max_connections = value.parse()?;
            handle.change("echo", |config| {
                config.limits.max_connections = max_connections;
            })?;
        }
        "allow" | "deny" => handle.prepend_access("echo", line.parse()?)?,
        "suspend" => handle.suspend("echo")?,
        "resume" => handle.resume("echo")?,
        "stats" => {
            let stats = handle.inspect("echo")?.stats;
            return Ok(format!(
                "{} live, {} refused",
                stats.live,
                stats.all_refused()
            ));
        }
        _ => return Ok("limit N, allow RANGE, deny RANGE, suspend, resume, stats".into()),
    }
    Ok("ok".to_owned())
}

async fn control(stream: Stream, handle: Handle) -> Result<(), BoxError> {
    let mut session = Session::new(stream, LinesCodec::new_with_max_length(1024));
    while let Some(line) = session.recv().await.transpose()? {
        let answer = obey(&handle, &line).unwrap_or_else(|error| error.to_string());
        session.send(answer).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder()
        .listen("echo", Tcp::bind(address(0, "127.0.0.1:7000")), echo)
        .build()?;
    let handle = server.handle();
    let (path, commanded) = (address(1, "/tmp/control.sock"), handle.clone());
    let control = wharf::Handler::stream(move |stream| control(stream, commanded.clone()));
    handle.add("control", Unix::bind(&path), control)?;

    run(server, async {
        let client = Client::builder().build()?;
        let url = format!("tcp://{}", handle.address("echo")?);
        let stream = client.connect(&format!("unix:{path}")).await?;
        let mut session = Session::new(stream, LinesCodec::new());
        let mut answers = Vec::new();
        let mut echoes = Vec::new();
        for command in ["limit 1", "deny 127.0.0.0/8"] {
            session.send(command).await?;
            let answer = session.recv().await.transpose()?.unwrap_or_default();
            answers.push(format!("{command}: {answer}"));
            // The first after the limit has room; who is refused reads the end.
            for _ in echoes.len()..2 {
                echoes.push(client.connect(&url).await?);
            }
        }
        echoes[1].read_u8().await.unwrap_err();
        client.connect(&url).await?.read_u8().await.unwrap_err();
        let stats = handle.inspect("echo")?.stats;
        let (full, denied) = (
            stats.refused(Refusal::ListenerFull),
            stats.refused(Refusal::Access),
        );
        println!(
            "{}, then {full} was full and {denied} denied",
            answers.join(", ")
        );
        Ok(())
    })
    .await
}
