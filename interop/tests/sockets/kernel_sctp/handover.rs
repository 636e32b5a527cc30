//! A listening socket of the kernel's SCTP passes to a successor.

use wharf::config::SctpVia;
use wharf::handover::Handover;
use wharf::{Handle, Server};

use super::association::Association;
use super::listener::{exchanges, listen};
use crate::served::{SOON, echo};

/// A server on the socket of the one before it, if there is one.
fn build(from: Option<Handover>) -> (Server, Handle) {
    let server = Server::builder()
        .inherit(from)
        .listen_messages("it", listen("127.0.0.1:0", SctpVia::Kernel), echo)
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let handle = server.handle();
    (server, handle)
}

#[tokio::test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
async fn who_connects_meanwhile_waits_in_the_backlog() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let place = directory.path().join("handover");
    let (first, handle) = build(None);
    handle.offer_handover(&place).expect("an offer");
    let first = tokio::spawn(first.run());
    let address = handle.address("it").expect("a listener");
    let from = Handover::take(&place).await.expect("the first's sockets");
    let (second, handle) = build(from);
    assert_eq!(handle.address("it").expect("a listener"), address);
    second.take_over().await.expect("an answer");
    first.await.expect("the first ends");
    let address = address.ip().expect("an address");
    let client = tokio::task::spawn_blocking(move || Association::connect(address));
    let client = client.await.expect("an association");
    tokio::spawn(second.run());
    let talk = tokio::task::spawn_blocking(move || exchanges(&client));
    talk.await.expect("echoes");
    assert_eq!(handle.drain(SOON).await.forced(), 0);
}
