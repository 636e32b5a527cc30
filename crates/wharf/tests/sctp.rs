//! SCTP listeners over UDP on loopback, with clients that drive the engine themselves.

#![cfg(feature = "sctp")]

use std::net::SocketAddr;
use std::time::Duration;

use wharf::config::{OnFull, SctpVia};
use wharf::{BoxError, Handle, Listen, Messages, Refusal, Sctp, Server};
use wharf_sctp::Options;

use peer::{PATIENCE, Peer, message, now};

#[path = "common/sctp.rs"]
mod peer;

/// Sends each message back on its lane.
async fn echo(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

fn over_udp() -> Listen {
    Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Udp)
}

fn serve(listen: Listen) -> (Handle, SocketAddr) {
    let server = Server::builder()
        .listen_messages("it", listen, echo)
        .build()
        .unwrap();
    let handle = server.handle();
    let address = handle.address("it").unwrap().to_string();
    tokio::spawn(server.run());
    (handle, address.parse().unwrap())
}

#[tokio::test]
async fn messages_come_back_on_their_stream_with_their_identifier() {
    let (handle, address) = serve(over_udp());
    let mut peer = Peer::new(address, &[5000], &Options::default()).await;
    peer.connected().await;
    for (count, length) in [(1, 1), (2, 1000), (3, 5000), (63, 256 << 10)] {
        let sent = message(count, 1000 + u32::from(count), length);
        peer.associations[0].send(now(), sent.clone()).unwrap();
        let mut got = None;
        peer.until(|all| {
            got = got.take().or_else(|| all[0].recv(now()));
            got.is_some()
        })
        .await;
        assert_eq!(got, Some(sent));
    }
    peer.associations[0].shutdown(now());
    peer.until(|all| all[0].closed().is_some()).await;
    assert_eq!(
        peer.associations[0].closed(),
        Some(&wharf_sctp::Closed::Finished)
    );
    let report = handle.drain(PATIENCE).await;
    assert_eq!(report.forced(), 0);
    let stats = handle.stats().remove(0).1;
    assert_eq!((stats.arrived, stats.accepted, stats.live), (1, 1, 0));
    assert_eq!(stats.messages_received, 4);
}

#[tokio::test]
async fn associations_of_one_udp_endpoint_are_connections_of_their_own() {
    let (handle, address) = serve(over_udp());
    let mut peer = Peer::new(address, &[5000, 5001], &Options::default()).await;
    peer.connected().await;
    for (at, association) in peer.associations.iter_mut().enumerate() {
        association.send(now(), message(0, at as u32, 10)).unwrap();
    }
    let mut got = [None, None];
    peer.until(|all| {
        for (got, association) in got.iter_mut().zip(all) {
            *got = got.take().or_else(|| association.recv(now()));
        }
        got.iter().all(Option::is_some)
    })
    .await;
    assert_eq!(got.map(|got| got.unwrap().ppid), [0, 1]);
    assert_eq!(handle.inspect("it").unwrap().stats.live, 2);
}

#[tokio::test]
async fn a_drain_shuts_associations_down_in_order() {
    let (handle, address) = serve(over_udp());
    let mut peer = Peer::new(address, &[5000], &Options::default()).await;
    peer.connected().await;
    let drain = tokio::spawn(async move { handle.drain(PATIENCE).await });
    peer.until(|all| all[0].closed().is_some()).await;
    assert_eq!(
        peer.associations[0].closed(),
        Some(&wharf_sctp::Closed::Finished)
    );
    assert_eq!(drain.await.unwrap().forced(), 0);
}

#[tokio::test]
async fn closing_a_connection_aborts_its_association() {
    let (handle, address) = serve(over_udp());
    let mut peer = Peer::new(address, &[5000], &Options::default()).await;
    peer.connected().await;
    assert_eq!(handle.close(&wharf::Filter::default()), 1);
    peer.until(|all| all[0].closed().is_some()).await;
    let closed = peer.associations[0].closed();
    assert!(
        matches!(closed, Some(wharf_sctp::Closed::ByPeer(_))),
        "{closed:?}"
    );
}

#[tokio::test]
async fn one_association_too_many_is_refused_and_counted() {
    let (handle, address) = serve(over_udp().with(|config| {
        config.limits.max_connections = 1;
        config.limits.on_full = OnFull::Close;
    }));
    let mut first = Peer::new(address, &[5000], &Options::default()).await;
    first.connected().await;
    let options = Options {
        init_attempts: 1,
        init_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let mut second = Peer::new(address, &[5000], &options).await;
    second.until(|all| all[0].closed().is_some()).await;
    let stats = handle.inspect("it").unwrap().stats;
    assert_eq!((stats.accepted, stats.live), (1, 1));
    assert!(stats.refused(Refusal::ListenerFull) >= 1);
}

#[tokio::test]
async fn without_sctp_in_the_kernel_the_error_says_so_and_what_to_do() {
    let kernel = Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Kernel);
    let built = Server::builder()
        .listen_messages("it", kernel, echo)
        .build();
    match (wharf::sockets::has_kernel_sctp(), built) {
        (true, built) => drop(built.unwrap()),
        (false, built) => {
            let said = built.err().unwrap().to_string();
            assert!(said.contains("listeners.it.sctp.via"), "{said}");
            assert!(said.contains("this kernel has no SCTP"), "{said}");
            assert!(said.contains("sctp.via = \"udp\""), "{said}");
        }
    }
    // The default works on every host.
    let any = Sctp::bind("127.0.0.1:0");
    let built = Server::builder().listen_messages("it", any, echo).build();
    assert_eq!(built.unwrap().handle().listeners().len(), 1);
}

#[tokio::test]
async fn who_is_refused_by_the_hook_is_told() {
    let server = Server::builder()
        .listen_messages("it", over_udp(), echo)
        .admit(|arriving| {
            assert!(arriving.proven, "its cookie came back");
            wharf::Admit::Refuse
        })
        .build()
        .unwrap();
    let handle = server.handle();
    let address = handle.address("it").unwrap().ip().unwrap();
    tokio::spawn(server.run());
    let mut peer = Peer::new(address, &[5000], &Options::default()).await;
    peer.until(|all| all[0].closed().is_some()).await;
    let closed = peer.associations[0].closed();
    assert!(
        matches!(closed, Some(wharf_sctp::Closed::ByPeer(_))),
        "{closed:?}"
    );
    let stats = handle.inspect("it").unwrap().stats;
    assert_eq!((stats.refused(Refusal::Hook), stats.pending), (1, 0));
}
