//! DTLS: the keys of a session stay with their process, and its peer is told to come again.

use wharf::testkit::Leaf;
use wharf::{Dtls, Handler, Message, Messages};

use super::dtls_site::{NAME, Site};
use super::*;

/// Answers each message with who it is.
fn answer(who: &'static str) -> Handler {
    Handler::messages(move |mut messages: Messages| async move {
        while messages.recv().await.transpose()?.is_some() {
            messages.send(Message::binary(who)).await?;
        }
        Ok::<_, BoxError>(())
    })
}

#[tokio::test]
async fn sessions_are_closed_and_new_ones_are_the_successors() {
    let directory = Directory::new("dtls");
    let socket = directory.socket();
    let first = Site::new(answer("one"), |_| {});
    first.handle.offer_handover(&socket).unwrap();
    let mut old = first.dial().await.unwrap();
    let mut events = first.handle.events();

    let leaf = first.ca.issue(&Leaf::named("b", &[NAME]));
    let listen = Dtls::bind(first.address().to_string())
        .with(|config| config.tls.certificates.push(leaf.certificate()));
    let second = Server::builder()
        .inherit(take(&socket).await)
        .listen_with("renamed", listen, answer("two"))
        .build()
        .unwrap();
    // It has the socket, but takes nothing from it yet.
    for peer in [&mut old, &mut first.dial().await.unwrap()] {
        for _ in 0..10 {
            peer.send(b"who?").await;
            assert_eq!(peer.recv().await.unwrap().as_deref(), Some(&b"one"[..]));
        }
    }
    let second = Running::start(second);
    // close_notify, long before the deadline of the drain.
    assert_eq!(old.recv().await, Ok(None));
    while !matches!(events.recv().await.unwrap(), Event::Drained { .. }) {}
    // The peer may come again from the port that it had.
    let options = first.options();
    let mut again = first.dial_on(old.socket, NAME, &options).await.unwrap();
    again.send(b"who?").await;
    assert_eq!(again.recv().await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(second.handle.inspect("renamed").unwrap().stats.live, 1);
}
