//! socat on Unix sockets, by path and by abstract name, with half-close in both directions; and
//! sockets from `systemd-socket-activate`.

use std::net::Ipv4Addr;
use std::sync::mpsc::Sender;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::{BoxError, Closed, Listen, Stream, Tcp, Unix};
use wharf_interop::{Finished, PortBlock, Process, tool};

use crate::served::{SOON, Seen, Served};

/// Runs socat between its standard streams, or `other`, and `address`.
fn socat(address: &str, other: &str, input: &[u8]) -> Finished {
    let mut command = tool("socat");
    // After one direction has ended, the other has this many seconds.
    command.args(["-t", "20", other, address]);
    Process::spawn_with_input(&command, input).finish(SOON)
}

/// Says where a server is, in socat's words.
type Where = Box<dyn Fn(&Served) -> String>;

/// Each way to listen.
fn places(directory: &TempDir) -> Vec<(Listen, Where)> {
    let path = directory.path().join("it.sock").display().to_string();
    let name = format!("wharf-interop-{}", directory.path().display());
    let connect = format!("UNIX-CONNECT:{path}");
    let by_name = format!("ABSTRACT-CONNECT:{name}");
    vec![
        (Unix::bind(path), Box::new(move |_| connect.clone())),
        (
            Unix::bind(format!("@{name}")),
            Box::new(move |_| by_name.clone()),
        ),
        (
            Tcp::bind("127.0.0.1:0"),
            Box::new(|served| format!("TCP:{}", served.address())),
        ),
    ]
}

/// Answers when the peer has ended its side.
async fn count(mut stream: Stream, seen: Sender<Seen>) -> Result<(), BoxError> {
    let mut all = String::new();
    stream.read_to_string(&mut all).await?;
    stream
        .write_all(format!("{} bytes\n", all.len()).as_bytes())
        .await?;
    let _ = seen.send(Seen::of(stream.connection(), all));
    Ok(stream.shutdown().await?)
}

/// Ends its side first, then listens.
async fn farewell(mut stream: Stream, seen: Sender<Seen>) -> Result<(), BoxError> {
    stream.write_all(b"farewell\n").await?;
    stream.shutdown().await?;
    let mut all = String::new();
    stream.read_to_string(&mut all).await?;
    let _ = seen.send(Seen::of(stream.connection(), all));
    Ok(())
}

#[test]
fn the_client_ends_its_side_first() {
    let directory = TempDir::new().expect("a directory");
    for (listen, place) in places(&directory) {
        let served = Served::start(|builder, seen| {
            builder.listen("it", listen, move |stream| count(stream, seen.clone()))
        });
        let client = socat(&place(&served), "STDIO", b"ahoy\n");
        assert_eq!(client.output, "5 bytes\n");
        assert_eq!(served.seen().said, "ahoy\n");
        assert_eq!(served.finish().closed(Closed::Finished), 1);
    }
}

#[test]
fn the_server_ends_its_side_first() {
    let directory = TempDir::new().expect("a directory");
    for (listen, place) in places(&directory) {
        let served = Served::start(|builder, seen| {
            builder.listen("it", listen, move |stream| farewell(stream, seen.clone()))
        });
        // It speaks only when it has heard the end.
        let client = socat(&place(&served), "SYSTEM:cat >&2; echo late", b"");
        assert_eq!(client.output, "farewell\n");
        assert_eq!(served.seen().said, "late\n");
        assert_eq!(served.finish().closed(Closed::Finished), 1);
    }
}

/// The program is started with the sockets when the first client comes, and takes each by its name.
#[test]
fn sockets_of_the_service_manager_are_taken_by_name() {
    let directory = TempDir::new().expect("a directory");
    let mut ports = PortBlock::claim();
    let tcp = format!("{}:{}", Ipv4Addr::LOCALHOST, ports.pair());
    let path = directory.path().join("it.sock").display().to_string();
    let mut command = tool("systemd-socket-activate");
    command.args(["--fdname=web:local", "-l", &tcp, "-l", &path]);
    command.arg(env!("CARGO_BIN_EXE_activated"));
    let server = Process::spawn(&command);
    server.wait_for_line(SOON, |line| line.contains(&path));
    for (place, answer) in [
        (format!("TCP:{tcp}"), "web: ahoy\n"),
        (format!("UNIX-CONNECT:{path}"), "local: ahoy\n"),
    ] {
        assert_eq!(
            socat(&place, "STDIO", b"ahoy\n").output,
            answer,
            "{}",
            server.output()
        );
    }
    server.signal("TERM");
    let server = server.finish(SOON);
    assert!(server.status.success(), "{}", server.output);
    assert!(server.output.contains("served 2\n"), "{}", server.output);
}

/// Likewise with datagrams: the first one starts the program, and is answered by it.
#[test]
fn datagram_sockets_of_the_service_manager_are_taken_by_name() {
    let directory = TempDir::new().expect("a directory");
    let mut ports = PortBlock::claim();
    let udp = format!("{}:{}", Ipv4Addr::LOCALHOST, ports.pair());
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (path, own) = (place("it.sock"), place("own.sock"));
    let mut command = tool("systemd-socket-activate");
    command.args(["-d", "--fdname=web:local", "-l", &udp, "-l", &path]);
    command.args([env!("CARGO_BIN_EXE_activated"), "datagrams"]);
    let server = Process::spawn(&command);
    server.wait_for_line(SOON, |line| line.contains(&path));
    for (place, answer) in [
        (format!("UDP:{udp}"), "web: ahoy\n"),
        (format!("UNIX-SENDTO:{path},bind={own}"), "local: ahoy\n"),
    ] {
        let mut command = tool("socat");
        // Datagrams have no end: this long after its own it listens for answers.
        command.args(["-t", "2", "STDIO", &place]);
        let client = Process::spawn_with_input(&command, b"ahoy\n").finish(SOON);
        assert_eq!(client.output, answer, "{}", server.output());
    }
    server.signal("TERM");
    let server = server.finish(SOON);
    assert!(server.status.success(), "{}", server.output);
    assert!(server.output.contains("served 2\n"), "{}", server.output);
}
