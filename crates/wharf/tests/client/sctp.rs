//! `sctp://` over UDP: associations with our listeners, and what is told when there is none.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use wharf::client::{AttemptError, ClientBuilder, KeepEnd};
use wharf::config::SctpVia;
use wharf::message::Lane;
use wharf::{
    Client, Closed, ConnectError, Endpoint, Filter, Handle, Message, MessageError, Refusal, Sctp,
    Server,
};

use crate::datagrams::{SOON, ask, is_refused, refusing};
use crate::support::{echo_messages, is_conserved, run};

fn serve() -> (Handle, String) {
    let listen = Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Udp);
    let server = Server::builder().listen_messages("it", listen, echo_messages);
    let handle = run(server.build().unwrap());
    let url = format!("sctp://{}", handle.address("it").unwrap());
    (handle, url)
}

fn over_udp() -> ClientBuilder {
    Client::builder().with(|options| options.sctp.via = SctpVia::Udp)
}

/// Messages on several streams, long ones too, and the end in order.
#[tokio::test]
async fn messages_go_both_ways_on_their_streams() {
    let (handle, url) = serve();
    let client = over_udp().build().unwrap();
    let mut messages = client.connect_messages(&url).await.unwrap();
    for (stream, length) in [(0, 1), (5, 1000), (63, 100_000)] {
        let lane = Lane {
            stream,
            ppid: 1000 + u32::from(stream),
            unordered: false,
        };
        let sent = Message::binary(vec![7; length]).on(lane);
        messages.send(sent.clone()).await.unwrap();
        let got = timeout(SOON, messages.recv()).await.unwrap().unwrap();
        let got = got.unwrap();
        assert_eq!((got.lane(), got.payload()), (lane, sent.payload()));
    }
    assert!(messages.path().reliable && !messages.path().secure);
    let seen = handle.connections(&Filter::default()).remove(0);
    assert_eq!(seen.peer(), messages.path().local);
    let other = Lane {
        stream: 64,
        ..Lane::default()
    };
    let refused = messages.send(Message::binary(&b"x"[..]).on(other)).await;
    assert!(matches!(refused, Err(MessageError::NoSuchStream { .. })));
    drop(messages);
    let report = handle.drain(SOON).await;
    assert_eq!((report.finished(), report.forced()), (1, 0));
    let report = client.drain(SOON).await;
    assert_eq!(report.forced(), 0);
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.live), (1, 0));
    assert_eq!(stats.closed(Closed::Finished), 1);
    assert!(stats.received > 100_000 && stats.sent > 100_000);
    is_conserved(&stats);
}

fn attempt(error: ConnectError) -> AttemptError {
    match error {
        ConnectError::Unreachable { mut attempts, .. } => attempts.remove(0).error,
        error => panic!("{error}"),
    }
}

fn io_error(error: ConnectError) -> std::io::Error {
    match attempt(error) {
        AttemptError::Io(error) => error,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let (_nobody, address) = refusing().await;
    let client = over_udp().with(|options| options.timeouts.connect = None);
    let client = client.build().unwrap();
    let url = format!("sctp://{address}");
    let dialling = client.connect_messages(&url);
    let error = timeout(SOON, dialling).await.unwrap().unwrap_err();
    assert!(is_refused(&io_error(error)));
    assert_eq!(client.stats().refused(Refusal::Unreachable), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_runs_into_the_timeout() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = over_udp().build().unwrap();
    let url = format!("sctp://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let error = client.connect_messages(&url).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let error = attempt(error);
    assert!(
        matches!(error, AttemptError::Timeout(limit) if limit.as_secs() == 10),
        "{error}"
    );
}

#[tokio::test]
async fn half_of_the_addresses_may_be_dead() {
    let (_handle, url) = serve();
    let live: SocketAddr = url.strip_prefix("sctp://").unwrap().parse().unwrap();
    let (_nobody, refusing) = refusing().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let found = vec![refusing, silent.local_addr().unwrap(), live];
    let client = over_udp()
        .resolver(move |_, _| std::future::ready(Ok(found.clone())))
        .with(|options| options.timeouts.attempt_delay = Some(Duration::from_millis(20)))
        .build()
        .unwrap();
    let mut messages = client.connect_messages("sctp://it:1").await.unwrap();
    ask(&mut messages, b"hello").await;
    assert_eq!(messages.path().peer, Endpoint::Ip(live));
    let tried = client.attempts();
    assert_eq!((tried.begun, tried.reached), (3, 1));
    assert_eq!((tried.failed, tried.abandoned), (1, 1));
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let (handle, url) = serve();
    let client = over_udp()
        .with(|options| options.reconnect.min = Duration::from_millis(1))
        .with(|options| options.reconnect.max = Duration::from_millis(5))
        .build()
        .unwrap();
    let mut count = 0;
    let mut keeper = client
        .keep_messages(&url, move |mut messages| {
            count += 1;
            let handle = handle.clone();
            async move {
                ask(&mut messages, b"hello").await;
                if count == 3 {
                    return ControlFlow::Break(());
                }
                assert_eq!(handle.close(&Filter::default()), 1);
                let end = timeout(SOON, messages.recv()).await.unwrap();
                assert!(!matches!(end, Some(Ok(_))), "{end:?}");
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    let end = timeout(SOON, keeper.ended()).await.unwrap();
    assert!(matches!(end, KeepEnd::Done), "{end:?}");
    assert_eq!(client.stats().accepted, 3);
}

#[tokio::test]
async fn a_drain_ends_associations_in_order_and_a_dropped_client_lets_go() {
    let (handle, url) = serve();
    let client = over_udp().build().unwrap();
    let mut messages = client.connect_messages(&url).await.unwrap();
    ask(&mut messages, b"hello").await;
    let (report, end) = tokio::join!(client.drain(SOON), async {
        let end = messages.recv().await;
        drop(messages);
        end
    });
    assert!(end.is_none(), "{end:?}");
    assert_eq!((report.finished(), report.forced()), (1, 0));
    let error = client.connect_messages(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Draining), "{error}");

    let client = over_udp().build().unwrap();
    let mut messages = client.connect_messages(&url).await.unwrap();
    drop(client);
    ask(&mut messages, b"goes on").await;
    drop(messages);
    assert_eq!(handle.drain(SOON).await.forced(), 0);
}
