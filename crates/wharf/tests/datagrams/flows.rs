//! Flows: one call of the handler for each peer.

use std::time::Duration;

use tokio::net::UnixDatagram;
use wharf::config::Limits;
use wharf::{Closed, Dropped, Refusal, Server, Udp, Unixgram};

use crate::support::{address, check_sums, client, echo, receive, run, until};

#[tokio::test]
async fn each_peer_has_a_flow_and_is_answered() {
    let server = Server::builder()
        .listen_messages("echo", Udp::bind("127.0.0.1:0").bind("[::1]:0"), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let addresses = handle.inspect("echo").unwrap().addresses;
    for to in addresses.iter().map(|one| one.ip().unwrap()) {
        let one = client(to, b"one").await;
        let two = client(to, b"").await;
        assert_eq!(receive(&one).await, (b"one".to_vec(), to));
        assert_eq!(receive(&two).await, (Vec::new(), to), "an empty one is one");
        one.send_to(b"again", to).await.unwrap();
        assert_eq!(receive(&one).await.0, b"again");
    }
    let stats = until(&handle, "echo", |stats| stats.live == 4).await;
    assert_eq!((stats.messages_received, stats.datagrams_delivered), (6, 6));
    let report = handle.drain(Duration::from_secs(5)).await;
    assert_eq!((report.finished(), report.forced()), (4, 0));
}

#[tokio::test]
async fn a_socket_of_both_families_answers_from_the_address_that_was_asked() {
    let server = Server::builder()
        .listen_messages("echo", Udp::bind("[::]:0"), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let port = address(&handle, "echo").port();
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let to = (ip.parse::<std::net::IpAddr>().unwrap(), port).into();
        let client = client(to, b"who").await;
        assert_eq!(receive(&client).await, (b"who".to_vec(), to));
    }
}

#[tokio::test]
async fn unix_peers_with_a_name_are_answered() {
    let directory = std::env::temp_dir().join(format!("wharf-flows-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("server");
    let server = Server::builder()
        .listen_messages("echo", Unixgram::bind(path.to_str().unwrap()), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let named = UnixDatagram::bind(directory.join("client")).unwrap();
    named.send_to(b"ahoy", &path).await.unwrap();
    let mut buffer = [0; 16];
    let (length, from) = named.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"ahoy");
    assert_eq!(from.as_pathname(), Some(path.as_path()));
    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.send_to(b"ahoy", &path).await.unwrap();
    let stats = until(&handle, "echo", |stats| stats.datagrams_received == 2).await;
    assert_eq!(stats.dropped(Dropped::Unnamed), 1);
    handle.drain(Duration::from_secs(5)).await;
    assert!(!path.exists(), "the file goes with its server");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_flow_ends() {
    let listen = Udp::bind("127.0.0.1:0").with(|config| {
        config.datagrams.idle = Some(Duration::from_secs(30));
    });
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "echo");
    let one = client(to, b"one").await;
    receive(&one).await;
    let stats = until(&handle, "echo", |stats| stats.closed(Closed::Idle) == 1).await;
    check_sums(&stats);
    // The peer may come back, as a new flow.
    one.send_to(b"two", to).await.unwrap();
    assert_eq!(receive(&one).await.0, b"two");
    until(&handle, "echo", |stats| stats.accepted == 2).await;
}

#[tokio::test]
async fn a_flow_too_many_is_refused_and_suspension_begins_none() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let listen = Udp::bind("127.0.0.1:0").limits(limits);
    let server = Server::builder()
        .listen_messages("echo", listen, echo)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "echo");
    let first = client(to, b"first").await;
    receive(&first).await;
    let _second = client(to, b"second").await;
    let stats = until(&handle, "echo", |stats| stats.datagrams_received == 2).await;
    assert_eq!(stats.refused(Refusal::ListenerFull), 1);
    assert_eq!(stats.dropped(Dropped::Refused), 1);

    handle.suspend("echo").unwrap();
    let _third = client(to, b"third").await;
    first.send_to(b"goes on", to).await.unwrap();
    assert_eq!(receive(&first).await.0, b"goes on");
    let stats = until(&handle, "echo", |stats| stats.datagrams_received == 4).await;
    assert_eq!(stats.dropped(Dropped::Suspended), 1);
    check_sums(&stats);
}
