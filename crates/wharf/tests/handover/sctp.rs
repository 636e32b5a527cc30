//! SCTP over UDP: associations share the socket, and are aborted when another process reads it.

use wharf::config::SctpVia;
use wharf::{Messages, Sctp};
use wharf_sctp::{Closed, Options};

use super::sctp_peer::{Peer, message, now};
use super::*;

/// Tells everybody who it is for each message.
fn on_sctp(who: &'static str) -> Builder {
    let listen = Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Udp);
    let answer = move |mut messages: Messages| async move {
        while messages.recv().await.transpose()?.is_some() {
            messages.send(wharf::Message::binary(who)).await?;
        }
        Ok::<_, BoxError>(())
    };
    Server::builder().listen_messages("it", listen, answer)
}

/// Who answers on an association.
async fn who(peer: &mut Peer) -> String {
    peer.associations[0].send(now(), message(1, 2, 3)).unwrap();
    let mut answer = None;
    peer.until(|all| {
        answer = answer.take().or_else(|| all[0].recv(now()));
        answer.is_some()
    })
    .await;
    String::from_utf8(answer.unwrap().payload.to_vec()).unwrap()
}

#[tokio::test]
async fn associations_are_aborted_and_new_ones_are_the_successors() {
    let directory = Directory::new("sctp");
    let socket = directory.socket();
    let first = Running::offering(on_sctp("one"), &socket);
    let address = first.handle.address("it").unwrap().ip().unwrap();
    let dial = async || {
        let mut peer = Peer::new(address, &[5000], &Options::default()).await;
        peer.connected().await;
        peer
    };
    let mut old = dial().await;
    let second = on_sctp("two").inherit(take(&socket).await).build().unwrap();
    // It has the socket, but takes nothing from it yet.
    for _ in 0..10 {
        assert_eq!(who(&mut dial().await).await, "one");
        assert_eq!(who(&mut old).await, "one");
    }
    let second = Running::start(second);
    old.until(|all| all[0].closed().is_some()).await;
    let closed = old.associations[0].closed();
    assert!(matches!(closed, Some(Closed::ByPeer(_))), "{closed:?}");
    let report = first.ended().await;
    assert!(report.to_string().contains("drained=11"), "{report}");
    assert_eq!(second.handle.address("it").unwrap().ip(), Some(address));
    for _ in 0..10 {
        assert_eq!(who(&mut dial().await).await, "two");
    }
}
