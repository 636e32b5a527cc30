//! `udp://` and `unixgram:`: datagrams of a connection of our own, and what is told of them.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use wharf::client::{KeepEnd, ProxiedClient, SendProxy};
use wharf::config::{ProxyMode, Retry, Transport};
use wharf::events::Event;
use wharf::proxy::{Addresses, Version};
use wharf::{
    Client, Closed, ConnectError, Dropped, Endpoint, Filter, Handle, Listen, Message, MessageError,
    Messages, Server, Udp, Unixgram,
};

use crate::support::{echo_messages, is_conserved, run};

/// How long something may take.
pub(crate) const SOON: Duration = Duration::from_secs(5);

fn serve(listen: Listen) -> Handle {
    let server = Server::builder().listen_messages("it", listen, echo_messages);
    run(server.build().unwrap())
}

fn client() -> Client {
    Client::builder().build().unwrap()
}

/// Sends and receives once.
pub(crate) async fn ask(messages: &mut Messages, word: &[u8]) {
    messages.send(Message::binary(word.to_vec())).await.unwrap();
    let answer = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    assert_eq!(answer.unwrap().payload(), word);
}

/// An address on which datagrams are refused: its socket receives from one peer only, which is not us,
/// and nobody else can take it meanwhile.
pub(crate) async fn refusing() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect("127.0.0.2:9").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Whether it is that nobody receives there.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

#[tokio::test]
async fn datagrams_go_both_ways_and_keep_their_length() {
    let directory = tempfile("datagrams");
    let listeners = [
        Udp::bind("127.0.0.1:0"),
        Udp::bind("[::1]:0"),
        Unixgram::bind(format!("{directory}/it")),
        Unixgram::bind(format!("@{directory}")),
    ];
    for listen in listeners {
        let handle = serve(listen);
        let client = client();
        let address = handle.address("it").unwrap();
        let url = match &address {
            Endpoint::Ip(ip) => format!("udp://{ip}"),
            address => format!("unixgram:{address}"),
        };
        let mut messages = client.connect_messages(&url).await.unwrap();
        for length in [0, 1, 1200, 60_000] {
            ask(&mut messages, &vec![7; length]).await;
        }
        let path = messages.path();
        assert_eq!(path.peer, address);
        assert!(!path.reliable && !path.secure);
        let seen = handle.connections(&Filter::default()).remove(0);
        assert_eq!(seen.peer(), path.local, "{url}");
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.live), (1, 1));
        assert_eq!((stats.messages_sent, stats.messages_received), (4, 4));
        assert_eq!((stats.datagrams_received, stats.datagrams_sent), (4, 4));
        let report = client.drain(SOON);
        let (report, end) = tokio::join!(report, async {
            let end = messages.recv().await;
            drop(messages);
            end
        });
        assert!(end.is_none());
        assert_eq!((report.finished(), report.forced()), (1, 0));
        let stats = client.stats();
        assert_eq!((stats.received, stats.sent), (61_201, 61_201));
        is_conserved(&stats);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempfile(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("wharf-client-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn nobody_there_is_told_by_icmp() {
    let (_nobody, address) = refusing().await;
    let client = client();
    let mut events = client.events();
    let url = format!("udp://{address}");
    let mut messages = client.connect_messages(&url).await.unwrap();
    messages.send(Message::binary(&b"hello"[..])).await.unwrap();
    let told = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    let MessageError::Io(error) = told.unwrap_err() else {
        panic!("another error");
    };
    assert!(is_refused(&error), "{error}");
    // What was told is no error of the next datagram.
    messages.send(Message::binary(&b"again"[..])).await.unwrap();
    let told = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    assert!(told.is_err());
    drop(messages);
    let stats = client.stats();
    assert_eq!((stats.icmp_errors, stats.datagrams_sent), (2, 2));
    assert_eq!(stats.closed(Closed::Io), 1);
    is_conserved(&stats);
    let icmp = loop {
        if let Event::Icmp {
            peer,
            icmp_type,
            code,
            ..
        } = events.recv().await.unwrap()
        {
            break (peer, icmp_type, code);
        }
    };
    assert_eq!(icmp, (Endpoint::Ip(address), 3, 3));
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let (nobody, address) = refusing().await;
    let client = Client::builder()
        .with(|options| options.reconnect.min = Duration::from_millis(1))
        .with(|options| options.reconnect.max = Duration::from_millis(5))
        .build()
        .unwrap();
    let mut nobody = Some(nobody);
    let mut lost = 0;
    let mut keeper = client
        .keep_messages(&format!("udp://{address}"), move |mut messages| {
            lost += 1;
            // The server is there from the third connection on.
            if lost == 3 {
                drop(nobody.take());
                serve(Udp::bind(address.to_string()));
            }
            async move {
                let word = Message::binary(&b"hello"[..]);
                messages.send(word).await.unwrap();
                match timeout(SOON, messages.recv()).await.unwrap() {
                    Some(Ok(_)) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            }
        })
        .unwrap();
    let end = timeout(SOON, keeper.ended()).await.unwrap();
    assert!(matches!(end, KeepEnd::Done), "{end:?}");
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.closed(Closed::Io)), (3, 2));
}

#[tokio::test]
async fn each_datagram_begins_with_the_header_that_was_asked_for() {
    let directory = tempfile("proxied");
    let (source, destination) = ("192.0.2.1:1000", "192.0.2.9:53");
    let ends = Addresses::Ip {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    };
    let proxied = |listen: Listen| listen.proxy(ProxyMode::Required, ["127.0.0.0/8"]);
    for listen in [
        proxied(Udp::bind("127.0.0.1:0")),
        Unixgram::bind(format!("{directory}/it"))
            .with(|config| config.proxy.mode = ProxyMode::Required),
    ] {
        let handle = serve(listen);
        let client = Client::builder().proxy(SendProxy {
            of: ProxiedClient::Other(ends.clone()),
            ..SendProxy::new(Version::V2)
        });
        let client = client.build().unwrap();
        let address = handle.address("it").unwrap();
        let url = match &address {
            Endpoint::Ip(ip) => format!("udp://{ip}"),
            address => format!("unixgram:{address}"),
        };
        let mut messages = client.connect_messages(&url).await.unwrap();
        ask(&mut messages, b"one").await;
        ask(&mut messages, b"").await;
        let seen = handle.connections(&Filter::default()).remove(0);
        assert_eq!(seen.peer(), Endpoint::Ip(source.parse().unwrap()));
        let local = Endpoint::Ip(destination.parse().unwrap());
        assert_eq!(seen.path().local, local);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn the_longest_datagram_that_is_received_is_an_option() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = Client::builder().with(|options| options.max_datagram = 64);
    let client = client.build().unwrap();
    let url = format!("udp://{}", server.local_addr().unwrap());
    let mut messages = client.connect_messages(&url).await.unwrap();
    let us = messages.path().local.ip().unwrap();
    for length in [65, 64] {
        server.send_to(&vec![1; length], us).await.unwrap();
    }
    let got = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    assert_eq!(got.unwrap().payload().len(), 64);
    let stats = client.stats();
    assert_eq!(stats.dropped(Dropped::Oversized), 1);
    assert_eq!(
        (stats.datagrams_received, stats.datagrams_delivered),
        (2, 1)
    );
    // To others it does not listen.
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(b"from elsewhere", us).await.unwrap();
    server.send_to(b"last", us).await.unwrap();
    let got = timeout(SOON, messages.recv()).await.unwrap().unwrap();
    assert_eq!(got.unwrap().payload(), &b"last"[..]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_where_that_is_asked_for() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = client();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let mut messages = client.connect_messages(&url).await.unwrap();
    // Also for a connection that is there already.
    let limit = Duration::from_mins(5);
    client
        .change(|options| options.timeouts.read_idle = Some(limit))
        .unwrap();
    let began = Instant::now();
    let told = messages.recv().await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), limit);
    assert!(matches!(told, MessageError::Io(error) if error.kind() == io::ErrorKind::TimedOut));
    drop(messages);
    assert_eq!(client.stats().closed(Closed::ReadIdle), 1);
}

#[tokio::test]
async fn what_a_transport_has_not_is_refused_before_anything_is_dialled() {
    let client = Client::builder()
        .proxy(SendProxy::new(Version::V1))
        .build()
        .unwrap();
    let told = |error: ConnectError| {
        assert!(matches!(error, ConnectError::Url(_)), "{error}");
        error.to_string()
    };
    for transport in [Transport::Udp, Transport::Dtls, Transport::Sctp] {
        let url = format!("{}://127.0.0.1:1", transport.label());
        let bytes = "expected a transport of bytes";
        assert!(told(client.connect(&url).await.unwrap_err()).contains(bytes));
        assert!(told(client.pool(&url).unwrap_err()).contains(bytes));
        let nothing = async |_| ControlFlow::Break(());
        assert!(told(client.keep(&url, nothing).unwrap_err()).contains(bytes));
        let refused = told(client.connect_messages(&url).await.unwrap_err());
        let why = match transport {
            Transport::Sctp => "proxy: is not for sctp",
            _ => "proxy.version: expected 2",
        };
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(client.stats().arrived, 0);
    let wrong = Client::builder().with(|options| {
        options.max_datagram = 63;
        options.dtls.cookie = Retry::Never;
        options.dtls.cookie_lifetime = Duration::from_secs(5);
        options.dtls.mtu = 1;
        options.sctp.streams_in = 0;
    });
    let problems = wrong.build().unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| &*problem.key).collect();
    assert_eq!(
        keys,
        [
            "dtls.cookie",
            "dtls.cookie-lifetime",
            "dtls.mtu",
            "sctp.streams-in",
            "max-datagram"
        ]
    );
}
