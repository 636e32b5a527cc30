//! Programs of others over the kernel's SCTP, in both directions.

use std::sync::mpsc::Sender;

use tokio::time::timeout;
use wharf::config::SctpVia;
use wharf::message::Message;
use wharf::{BoxError, Closed, Messages};
use wharf_interop::{Process, tool};

use super::listener::listen;
use crate::sctp::client;
use crate::served::{SOON, Seen, Served, shout_messages};

fn shouting(address: &str) -> Served {
    Served::start(|builder, seen| {
        builder.listen_messages("it", listen(address, SctpVia::Kernel), move |messages| {
            shout_messages(messages, seen.clone())
        })
    })
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn socat_is_answered() {
    for (address, kind) in [("127.0.0.1:0", "SCTP4"), ("[::1]:0", "SCTP6")] {
        let served = shouting(address);
        let mut command = tool("socat");
        // Its end of input would shut the association down before there is an answer.
        command.args(["STDIO,ignoreeof", &format!("{kind}:{}", served.address())]);
        let client = Process::spawn_with_input(&command, b"ahoy bye\n").finish(SOON);
        assert_eq!(client.output, "AHOY BYE\n");
        assert_eq!(served.finish().closed(Closed::Finished), 1);
    }
}

#[tokio::test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
async fn socat_answers() {
    let mut command = tool("socat");
    command.args(["-d", "-d", "SCTP4-LISTEN:6000,bind=127.0.0.1", "PIPE"]);
    let server = Process::spawn(&command);
    server.wait_for_line(SOON, |line| line.contains("listening on"));
    let client = client(SctpVia::Kernel);
    let messages = client.connect_messages("sctp://127.0.0.1:6000").await;
    let mut messages = messages.expect("an association");
    messages.send(Message::binary("ahoy")).await.expect("room");
    let answer = timeout(SOON, messages.recv()).await.expect("an answer");
    let answer = answer.expect("an answer").expect("a message");
    assert_eq!(&answer.payload()[..], b"ahoy");
    drop(messages);
    assert!(server.finish(SOON).status.success());
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn sctp_darn_is_heard() {
    let served = shouting("127.0.0.1:0");
    let mut command = tool("sctp_darn");
    command.args([
        "-H",
        "127.0.0.1",
        "-P",
        "6001",
        "-h",
        "127.0.0.1",
        "-s",
        "-p",
    ]);
    command.arg(served.address().port().to_string());
    // It fails at the end of its input.
    let _ = Process::spawn_with_input(&command, b"hello\nworld\n").finish(SOON);
    for said in ["hello", "world"] {
        let seen = served.seen().said;
        assert!(seen.starts_with(said), "{seen}");
    }
    assert_eq!(served.finish().messages_received, 2);
}

/// What `sctp_test -c 4` sends, in this order.
const LENGTHS: [usize; 10] = [
    1, 1000, 2000, 3000, 5000, 10_000, 15_000, 20_000, 25_000, 32_768,
];

/// Tells length, identifier and order of each message, and answers nothing.
async fn note(mut messages: Messages, seen: Sender<Seen>) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        let message = message?;
        let (length, lane) = (message.payload().len(), message.lane());
        let said = format!("{length} {} {}", lane.ppid.swap_bytes(), lane.unordered);
        let _ = seen.send(Seen::of(messages.connection(), said));
    }
    Ok(())
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn messages_of_sctp_test_arrive_whole() {
    let listen = listen("127.0.0.1:0", SctpVia::Kernel);
    let served = Served::start(|builder, seen| {
        builder.listen_messages("it", listen, move |messages| note(messages, seen.clone()))
    });
    let mut command = tool("sctp_test");
    command.args([
        "-H",
        "127.0.0.1",
        "-P",
        "6002",
        "-h",
        "127.0.0.1",
        "-s",
        "-c",
        "4",
        "-x",
        "1",
        "-p",
    ]);
    command.arg(served.address().port().to_string());
    let client = Process::spawn(&command).finish(SOON);
    assert!(client.status.success(), "{}", client.output);
    // It puts its numbers into packets as they lie in memory.
    let identifiers = client.output.split(" ppid=").skip(1);
    let mut identifiers = identifiers.filter_map(|rest| rest.lines().next());
    let mut heard: Vec<_> = LENGTHS.map(|_| served.seen().said).into();
    let mut sent: Vec<_> = LENGTHS
        .map(|length| {
            format!(
                "{length} {} true",
                identifiers.next().expect("one for each")
            )
        })
        .into();
    // Unordered ones may overtake each other.
    heard.sort_unstable();
    sent.sort_unstable();
    assert_eq!(heard, sent);
    assert_eq!(served.finish().messages_received, LENGTHS.len() as u64);
}

#[tokio::test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
async fn sctp_test_hears_our_client() {
    let mut command = tool("sctp_test");
    command.args(["-H", "127.0.0.1", "-P", "6003", "-l", "-x", "1"]);
    let server = Process::spawn(&command);
    server.wait_for_line(SOON, |line| line.starts_with("Server: Receiving packets"));
    let client = client(SctpVia::Kernel);
    let messages = client.connect_messages("sctp://127.0.0.1:6003").await;
    let mut messages = messages.expect("an association");
    for length in LENGTHS {
        let message = Message::binary(vec![1; length]);
        messages.send(message).await.expect("room");
    }
    for length in LENGTHS {
        let wanted = format!("Data {length} bytes");
        server.wait_for_line(SOON, |line| line.contains(&wanted));
    }
    drop(messages);
    server.wait_for_line(SOON, |line| line.contains("SHUTDOWN_COMPLETE"));
}
