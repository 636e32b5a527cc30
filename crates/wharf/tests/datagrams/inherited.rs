//! Datagram sockets that the process was started with (`fd:N`), by every transport that uses them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;

use rustix::io::{FdFlags, fcntl_setfd};
use tokio::net::UnixDatagram;
use wharf::batch::{BatchHandler, Burst, Seat, Turn};
use wharf::{Builder, Listen, Server, Udp, Unixgram};

use super::support::{PATIENCE, address, client, echo, receive, run, stats};

/// The name of a socket that is left as `exec` leaves it: open, nobody's, and not closed by an `exec`.
fn left(socket: impl Into<OwnedFd>) -> String {
    let socket = socket.into();
    fcntl_setfd(socket.as_fd(), FdFlags::empty()).unwrap();
    format!("fd:{}", socket.into_raw_fd())
}

/// A bound UDP socket as the process inherits it, and its address.
fn udp() -> (String, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr().unwrap();
    (left(socket), local)
}

struct Echo;

impl BatchHandler for Echo {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            turn.reply_with(&datagram, b"", 0..datagram.payload.len());
        }
    }
}

#[tokio::test]
async fn a_udp_socket_is_taken_with_what_waits_in_it() {
    let shapes: [fn(Builder, Listen) -> Builder; 2] = [
        |builder, listen| builder.listen_messages("it", listen, echo),
        |builder, listen| {
            let listen = listen.with(|config| config.datagrams.workers = 4);
            builder.listen_batch("it", listen, |seat: &Seat| {
                // The sockets that there are, whatever was asked for.
                assert_eq!((seat.index, seat.count), (0, 1));
                Echo
            })
        },
    ];
    for shape in shapes {
        let (name, local) = udp();
        let early = client(local, b"early").await;
        let server = shape(Server::builder(), Udp::bind(&name)).build().unwrap();
        // It is taken once.
        let again = shape(Server::builder(), Udp::bind(&name)).build();
        let again = again.err().unwrap().to_string();
        assert!(again.contains("is taken already"), "{again}");
        let handle = run(server);
        assert_eq!(address(&handle, "it"), local);
        assert_eq!(receive(&early).await, (b"early".to_vec(), local));
        let late = client(local, b"late").await;
        assert_eq!(receive(&late).await, (b"late".to_vec(), local));
        assert_eq!(stats(&handle, "it").datagrams_received, 2);
    }
}

#[tokio::test]
async fn a_unix_datagram_socket_is_taken_and_its_file_left_to_its_maker() {
    let directory = std::env::temp_dir().join(format!("wharf-inherited-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let (path, own) = (directory.join("it"), directory.join("own"));
    let name = left(StdUnixDatagram::bind(&path).unwrap());
    let client = UnixDatagram::bind(&own).unwrap();
    client.connect(&path).unwrap();
    client.send(b"early").await.unwrap();
    let server = Server::builder().listen_messages("it", Unixgram::bind(name), echo);
    let handle = run(server.build().unwrap());
    for word in ["early", "late"] {
        if word == "late" {
            client.send(word.as_bytes()).await.unwrap();
        }
        let mut buffer = [0; 16];
        let received = tokio::time::timeout(PATIENCE, client.recv(&mut buffer)).await;
        assert_eq!(&buffer[..received.unwrap().unwrap()], word.as_bytes());
    }
    handle.drain(PATIENCE).await;
    assert!(path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[cfg(feature = "dtls")]
#[tokio::test]
async fn dtls_takes_a_udp_socket() {
    let (name, local) = udp();
    let site = super::dtls_site::Site::new(wharf::Handler::messages(echo), |config| {
        config.bind = vec![name.parse().unwrap()];
    });
    assert_eq!(site.address(), local);
    site.dial().await.unwrap().ask().await;
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn quic_takes_a_udp_socket() {
    let (name, local) = udp();
    let site = super::quic_site::Site::new(wharf::Handler::messages(echo), |config| {
        config.bind = vec![name.parse().unwrap()];
    });
    assert_eq!(site.address(), local);
    let connection = site.dial().await.unwrap();
    connection.send_datagram("ahoy".into()).unwrap();
    let answer = tokio::time::timeout(PATIENCE, connection.read_datagram()).await;
    assert_eq!(&answer.unwrap().unwrap()[..], b"ahoy");
}

#[cfg(feature = "sctp")]
#[tokio::test]
async fn sctp_takes_a_udp_socket() {
    use super::sctp_peer::{Peer, message, now};
    let (name, local) = udp();
    let server = Server::builder().listen_messages("it", wharf::Sctp::bind(name), echo);
    let handle = run(server.build().unwrap());
    assert_eq!(address(&handle, "it"), local);
    let mut peer = Peer::new(local, &[5000], &wharf_sctp::Options::default()).await;
    peer.connected().await;
    peer.associations[0].send(now(), message(1, 2, 3)).unwrap();
    let mut answer = None;
    peer.until(|all| {
        answer = answer.take().or_else(|| all[0].recv(now()));
        answer.is_some()
    })
    .await;
    assert_eq!(answer, Some(message(1, 2, 3)));
}

#[tokio::test]
async fn what_is_no_bound_datagram_socket_is_an_error_that_says_what_it_is() {
    let unbound = || {
        let kind = socket2::Type::DGRAM;
        left(socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap())
    };
    let tcp = || left(TcpListener::bind("127.0.0.1:0").unwrap());
    let unix = || left(StdUnixDatagram::unbound().unwrap());
    let file = || left(std::fs::File::open("/dev/null").unwrap());
    let cases = [
        (Udp::bind(tcp()), "not a stream socket"),
        (Udp::bind(file()), "not a file that is no socket"),
        (Udp::bind(unbound()), "not a bound socket"),
        (
            Udp::bind(unix()),
            "needs an IP address, but this is a Unix socket",
        ),
        (Unixgram::bind(udp().0), "but this is an IP socket"),
        (
            wharf::Sctp::bind(tcp()),
            "expected an SCTP socket after listen, or a bound UDP socket",
        ),
        (
            wharf::Sctp::bind(unix()),
            "expected an SCTP socket after listen, or a bound UDP socket",
        ),
        (
            wharf::Sctp::bind(file()),
            "expected an SCTP socket after listen, or a bound UDP socket",
        ),
        (wharf::Sctp::bind(unbound()), "not a bound socket"),
    ];
    for (listen, expected) in cases {
        let built = Server::builder()
            .listen_messages("it", listen, echo)
            .build();
        let said = built.err().unwrap().to_string();
        assert!(
            said.contains("listeners.it.bind") && said.contains(expected),
            "{said}"
        );
    }
}
