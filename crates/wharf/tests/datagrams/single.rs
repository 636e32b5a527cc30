//! Handlers of single datagrams.

use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};
use wharf::{BoxError, Closed, DatagramError, Datagrams, Dropped, Endpoint, Server, Udp, Unixgram};

use wharf::events::Event;

use crate::support::{address, check_sums, client, receive, run, stats, until};

async fn echo(mut datagrams: Datagrams) -> Result<(), BoxError> {
    while let Some(datagram) = datagrams.recv().await {
        datagrams.reply(&datagram, datagram.payload()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn datagrams_are_answered_from_the_address_that_was_asked() {
    let server = Server::builder()
        .listen_datagrams("echo", Udp::bind("[::]:0"), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let port = address(&handle, "echo").port();
    for ip in ["127.0.0.1", "127.0.0.9", "::1"] {
        let to = (ip.parse::<std::net::IpAddr>().unwrap(), port).into();
        let client = client(to, b"who").await;
        assert_eq!(receive(&client).await, (b"who".to_vec(), to));
        client.send_to(b"", to).await.unwrap();
        assert_eq!(
            receive(&client).await,
            (Vec::new(), to),
            "an empty one is one"
        );
    }
    let now = until(&handle, "echo", |stats| stats.datagrams_sent == 6).await;
    check_sums(&now);
    assert_eq!((now.datagrams_delivered, now.live), (6, 1));
    let report = handle.drain(Duration::from_secs(5)).await;
    assert_eq!((report.finished(), report.forced()), (1, 0));
}

#[tokio::test]
async fn what_the_kernel_knows_of_a_datagram_is_told() {
    let (told, mut tells) = tokio::sync::mpsc::channel(1);
    let server = Server::builder()
        .listen_datagrams(
            "it",
            Udp::bind("127.0.0.1:0"),
            move |mut datagrams: Datagrams| {
                let told = told.clone();
                async move {
                    while let Some(datagram) = datagrams.recv().await {
                        let _ = told.send(datagram).await;
                    }
                }
            },
        )
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "it");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.set_ttl(42).unwrap();
    client.set_tos_v4(46 << 2 | 1).unwrap();
    client.send_to(b"x", to).await.unwrap();
    let datagram = tells.recv().await.unwrap();
    assert_eq!((datagram.dscp(), datagram.ecn()), (46, 1));
    assert_eq!(datagram.ttl(), Some(42));
    assert_eq!(datagram.timestamp(), None);
    assert_eq!(datagram.peer(), Endpoint::Ip(client.local_addr().unwrap()));
    assert_eq!(datagram.local(), &Endpoint::Ip(to));
}

#[tokio::test]
async fn unix_peers_are_answered_by_their_name() {
    let name = format!("wharf-single-{}", std::process::id());
    let (told, mut tells) = tokio::sync::mpsc::channel(1);
    let handler = move |mut datagrams: Datagrams| {
        let told = told.clone();
        async move {
            while let Some(datagram) = datagrams.recv().await {
                let credentials = datagram.credentials().unwrap();
                assert_eq!(credentials.pid, Some(std::process::id()));
                let sent = datagrams.reply(&datagram, b"yes").await;
                let _ = told.send((datagram.has_return_address(), sent)).await;
            }
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Unixgram::bind(format!("@{name}")), handler)
        .build()
        .unwrap();
    let _handle = run(server);
    let to = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let unnamed = std::os::unix::net::UnixDatagram::unbound().unwrap();
    unnamed.send_to_addr(b"?", &to).unwrap();
    let (can, sent) = tells.recv().await.unwrap();
    assert!(!can && matches!(sent, Err(DatagramError::Unnamed)));

    let own = std::os::unix::net::SocketAddr::from_abstract_name(format!("{name}-client"));
    let named = std::os::unix::net::UnixDatagram::bind_addr(&own.unwrap()).unwrap();
    named.set_nonblocking(true).unwrap();
    named.send_to_addr(b"?", &to).unwrap();
    let (can, sent) = tells.recv().await.unwrap();
    assert!(can && sent.is_ok());
    let named = UnixDatagram::from_std(named).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(named.recv(&mut buffer).await.unwrap(), 3);
}

#[tokio::test]
async fn a_unix_peer_that_does_not_read_holds_up_nobody() {
    let name = format!("wharf-deaf-{}", std::process::id());
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |mut datagrams: Datagrams| {
        let told = told.clone();
        async move {
            while let Some(datagram) = datagrams.recv().await {
                if let Err(error) = datagrams.reply(&datagram, b"yes").await {
                    let _ = told.send(error);
                }
            }
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Unixgram::bind(format!("@{name}")), handler)
        .build()
        .unwrap();
    let _handle = run(server);
    let to = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let client = |own: &str| {
        let own = std::os::unix::net::SocketAddr::from_abstract_name(format!("{name}-{own}"));
        let client = std::os::unix::net::UnixDatagram::bind_addr(&own.unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        client
    };
    let deaf = client("deaf");
    // Until its queue is full, whatever the system's bound is.
    let full = loop {
        // One that the server has no room for is sent later.
        let _ = deaf.send_to_addr(b"?", &to);
        tokio::task::yield_now().await;
        if let Ok(error) = tells.try_recv() {
            break error;
        }
    };
    assert!(matches!(full, DatagramError::Full), "{full}");
    let other = client("other");
    while other.send_to_addr(b"?", &to).is_err() {
        tokio::task::yield_now().await;
    }
    let other = UnixDatagram::from_std(other).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(other.recv(&mut buffer).await.unwrap(), 3);
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_called_again() {
    let turns = Arc::new(AtomicU32::new(0));
    let counted = turns.clone();
    let handler = move |mut datagrams: Datagrams| {
        let turn = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            while let Some(datagram) = datagrams.recv().await {
                assert!(turn > 0, "the first turn does not work");
                datagrams.reply(&datagram, b"ok").await.unwrap();
            }
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Udp::bind("127.0.0.1:0"), handler)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "it");
    let client = client(to, b"one").await;
    let now = until(&handle, "it", |stats| stats.closed(Closed::Panic) == 1).await;
    check_sums(&now);
    client.send_to(b"two", to).await.unwrap();
    assert_eq!(receive(&client).await.0, b"ok");
    assert_eq!(turns.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_icmp_error_is_told_and_the_socket_goes_on() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let handler = move |mut datagrams: Datagrams| async move {
        while let Some(datagram) = datagrams.recv().await {
            datagrams
                .send_to(&Endpoint::Ip(nobody), b"there?")
                .await
                .unwrap();
            datagrams.reply(&datagram, b"ok").await.unwrap();
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Udp::bind("127.0.0.1:0"), handler)
        .build()
        .unwrap();
    let handle = server.handle();
    let mut events = handle.events();
    tokio::spawn(server.run());
    let to = address(&handle, "it");
    let one = client(to, b"1").await;
    assert_eq!(receive(&one).await.0, b"ok");
    let (peer, icmp_type) = loop {
        if let Event::Icmp {
            peer, icmp_type, ..
        } = events.recv().await.unwrap()
        {
            break (peer, icmp_type);
        }
    };
    // Destination unreachable (RFC 792).
    assert_eq!((peer, icmp_type), (Endpoint::Ip(nobody), 3));
    assert_eq!(stats(&handle, "it").icmp_errors, 1);
    let two = client(to, b"2").await;
    assert_eq!(receive(&two).await.0, b"ok");
}

#[tokio::test]
async fn a_burst_arrives_as_its_pieces() {
    let handler = |mut datagrams: Datagrams| async move {
        let sender = datagrams.sender();
        while let Some(datagram) = datagrams.recv().await {
            let bytes = vec![7; 100_050];
            sender.reply_burst(&datagram, 1000, &bytes).await.unwrap();
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Udp::bind("127.0.0.1:0"), handler)
        .build()
        .unwrap();
    let handle = run(server);
    let client = client(address(&handle, "it"), b"go").await;
    for _ in 0..100 {
        assert_eq!(receive(&client).await.0.len(), 1000);
    }
    assert_eq!(receive(&client).await.0.len(), 50);
}

#[tokio::test]
async fn suspended_datagrams_are_dropped_and_counted() {
    let server = Server::builder()
        .listen_datagrams("echo", Udp::bind("127.0.0.1:0"), echo)
        .build()
        .unwrap();
    let handle = run(server);
    let to = address(&handle, "echo");
    let client = client(to, b"1").await;
    receive(&client).await;
    handle.suspend("echo").unwrap();
    client.send_to(b"2", to).await.unwrap();
    until(&handle, "echo", |stats| {
        stats.dropped(Dropped::Suspended) == 1
    })
    .await;
    handle.resume("echo").unwrap();
    client.send_to(b"3", to).await.unwrap();
    assert_eq!(receive(&client).await.0, b"3");
}

#[tokio::test]
async fn what_was_taken_is_handed_on_when_the_listener_drains() {
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |mut datagrams: Datagrams| {
        let told = told.clone();
        async move {
            let mut count = 0;
            while datagrams.recv().await.is_some() {
                count += 1;
                datagrams.connection().draining().await;
            }
            let _ = told.send(count);
        }
    };
    let server = Server::builder()
        .listen_datagrams("it", Udp::bind("127.0.0.1:0"), handler)
        .build()
        .unwrap();
    // They wait in the socket, and are taken from it at once.
    let to = address(&server.handle(), "it");
    let client = client(to, b"1").await;
    for _ in 0..4 {
        client.send_to(b"more", to).await.unwrap();
    }
    let handle = run(server);
    until(&handle, "it", |stats| stats.datagrams_delivered == 1).await;
    handle.drain(Duration::from_secs(30)).await;
    assert_eq!(tells.recv().await, Some(5));
}

#[tokio::test]
async fn a_handler_of_bytes_is_no_handler_of_datagrams() {
    let refused = Server::builder()
        .listen("it", Udp::bind("127.0.0.1:0"), |_: wharf::Stream| async {})
        .build()
        .unwrap_err();
    assert!(refused.to_string().contains("has no bytes"), "{refused}");
    let refused = Server::builder()
        .listen_datagrams("it", wharf::Tcp::bind("127.0.0.1:0"), echo)
        .build()
        .unwrap_err();
    assert!(
        refused.to_string().contains("no single datagrams"),
        "{refused}"
    );
}
