//! aioquic, a QUIC implementation that shares no code with ours, through a script in `python/`.

use std::path::Path;
use std::time::Duration;

use wharf::config::Retry;
use wharf::{BoxError, Closed, Handler, Listen, Messages, Quic, QuicConnection, Refusal, Stream};
use wharf_interop::{Finished, Process, python};

use crate::pki::Authority;
use crate::served::{Seen, Served};

/// More than the script allows itself, so that its own message comes first.
const RUN: Duration = Duration::from_secs(50);

fn run(served: &Served, ca: &Authority, arguments: &[&str]) -> Finished {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = python();
    command
        .arg(directory.join("quic.py"))
        .args(["--name", "a.example"])
        .args(["--port", &served.address().port().to_string()]);
    command.arg("--ca").arg(ca.file()).args(arguments);
    Process::spawn(&command).finish(RUN)
}

async fn echo(stream: Stream) -> Result<(), BoxError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    Ok(())
}

async fn echo_messages(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn serve(ca: &Authority, change: impl FnOnce(Listen) -> Listen) -> Served {
    let leaf = ca.issue("a.example");
    let listen = change(
        Quic::bind("127.0.0.1:0")
            .cert(leaf.cert, leaf.key)
            .alpn(["echo"]),
    );
    Served::start(|builder, seen| {
        let messages = move |messages: Messages| {
            // Its receiver is there as long as the test.
            let _ = seen.send(Seen::of(messages.connection(), ""));
            echo_messages(messages)
        };
        builder.listen_with("it", listen, Handler::both(echo, messages))
    })
}

#[test]
fn streams_and_datagrams_come_back() {
    let ca = Authority::new();
    let served = serve(&ca, |listen| listen);
    let finished = run(&served, &ca, &[]);
    assert!(finished.status.success(), "{}", finished.output);
    for line in ["streams 5\n", "datagrams 4\n", "retries 0\n"] {
        assert!(finished.output.contains(line), "{}", finished.output);
    }
    let seen = served.seen();
    assert_eq!(seen.tls().alpn.as_deref(), Some(&b"echo"[..]));
    assert_eq!(seen.tls().server_name.as_deref(), Some("a.example"));
    let stats = served.finish();
    assert_eq!((stats.arrived, stats.challenged), (1, 0));
    assert_eq!(stats.closed(Closed::Finished), 1);
    assert_eq!((stats.messages_received, stats.messages_sent), (4, 4));
}

#[test]
fn a_client_proves_its_address_by_a_retry() {
    let ca = Authority::new();
    let served = serve(&ca, |listen| {
        listen.with(|config| config.quic.retry = Retry::Always)
    });
    let finished = run(&served, &ca, &[]);
    assert!(finished.status.success(), "{}", finished.output);
    assert!(
        finished.output.contains("retries 1\n"),
        "{}",
        finished.output
    );
    let stats = served.finish();
    assert_eq!((stats.challenged, stats.arrived, stats.accepted), (1, 1, 1));
}

#[test]
fn a_client_of_another_protocol_is_refused() {
    let ca = Authority::new();
    let served = serve(&ca, |listen| listen);
    let finished = run(&served, &ca, &["--alpn", "other"]);
    assert!(!finished.status.success(), "{}", finished.output);
    assert_eq!(served.finish().refused(Refusal::Tls), 1);
}

/// HTTP/3 on the connection as a whole, with `h3`.
async fn http3(connection: QuicConnection) -> Result<(), BoxError> {
    let quinn = h3_quinn::Connection::new(connection.quinn().clone());
    let mut h3 = h3::server::Connection::<_, bytes::Bytes>::new(quinn).await?;
    loop {
        let request = match h3.accept().await {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.is_h3_no_error() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (request, mut stream) = request.resolve_request().await?;
        stream.send_response(http::Response::new(())).await?;
        let body = format!("hello from {}", request.uri().path());
        stream.send_data(body.into()).await?;
        stream.finish().await?;
    }
}

#[test]
fn http3_is_spoken_over_a_whole_connection() {
    let ca = Authority::new();
    let leaf = ca.issue("a.example");
    let listen = Quic::bind("127.0.0.1:0")
        .cert(leaf.cert, leaf.key)
        .alpn(["h3"]);
    let served =
        Served::start(|builder, _| builder.listen_with("it", listen, Handler::quic(http3)));
    let finished = run(&served, &ca, &["--h3", "/ahoy"]);
    assert!(finished.status.success(), "{}", finished.output);
    assert!(
        finished.output.contains("200 hello from /ahoy\n"),
        "{}",
        finished.output
    );
    assert_eq!(served.finish().closed(Closed::Finished), 1);
}
