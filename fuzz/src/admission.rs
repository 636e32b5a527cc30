//! The body of the target for the first bytes of a connection: whatever they are, the server decides
//! within its deadlines, with its books in balance and nothing left.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use wharf::config::{ProxyMode, Transport};
use wharf::testkit::{Authority, Harness, Issued, Leaf, memory};
use wharf::{Server, Stream};

static CERTIFICATE: LazyLock<Issued> =
    LazyLock::new(|| Authority::new("fuzz").issue(&Leaf::named("a.example", &["a.example"])));

/// More than the deadlines of a PROXY header and of the handshakes together.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that a server answers to who is not let in, and to one echo of nothing.
const ANSWER: u64 = 32 << 10;

/// The first byte says the transport, how PROXY headers are read, whether the client ends its side,
/// and the size of the pieces that the others come in.
pub(crate) fn first_bytes(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(connection(first, bytes));
}

async fn connection(first: u8, bytes: &[u8]) {
    let transport = [
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ];
    let transport = transport[usize::from(first & 3)];
    let mode = [ProxyMode::Off, ProxyMode::Optional, ProxyMode::Required];
    let mode = mode[usize::from(first >> 2 & 3) % 3];
    let piece = usize::from(first >> 5) * 9 + 1;
    let (listen, connector) = memory(transport);
    let mut listen = listen.proxy(mode, ["192.0.2.0/24"]);
    if transport.is_secure() {
        listen = listen.with(|config| config.tls.certificates.push(CERTIFICATE.certificate()));
    }
    let handler = async |mut stream: Stream| copy(&mut stream, &mut sink()).await.map(drop);
    let harness = Harness::start(Server::builder().listen("first", listen, handler));
    let harness = harness.expect("a server");
    let client = connector.connect_from("192.0.2.1:1").await;
    let mut client = client.expect("a backlog");
    for piece in bytes.chunks(piece) {
        if client.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    if first & 0x10 != 0 {
        let _ = client.shutdown().await;
    }
    let mut answer = Vec::new();
    let mut client = client.take(ANSWER + 1);
    // The handler of one that was let in waits for more, unless the client has ended its side.
    let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    assert!(answer.len() as u64 <= ANSWER, "{} bytes", answer.len());
    let stats = harness.stats("first");
    assert_eq!(
        (stats.arrived, stats.pending),
        (1, 0),
        "undecided: {stats:?}"
    );
    assert!(stats.received <= bytes.len() as u64);
    drop(client);
    harness.finish(Duration::from_secs(5)).await;
}
