//! `accept.*`.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::Instant;
use wharf::{BuildError, Handle, Server, Tcp, Unix};

use super::{Answer, IT, arrive, echo, knock, rebind, start, tcp};

#[tokio::test(start_paused = true)]
async fn acceptors() {
    let (handle, connector) = tcp(|it| it.accept.acceptors = 1);
    // While one acceptor pauses for want of descriptors, another goes on.
    let without_one = async || {
        let exhausted = io::Error::from_raw_os_error(libc::EMFILE);
        connector.fail_accept(exhausted).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let began = Instant::now();
        let mut client = super::connect(&connector, "192.0.2.1").await;
        while knock(&mut client).await != Answer::Served {}
        began.elapsed()
    };
    assert!(without_one().await >= Duration::from_millis(99));
    rebind(&handle, |it| it.accept.acceptors = 2);
    assert_eq!(arrive(&connector, "192.0.2.1").await.0, Answer::Served);
    assert!(without_one().await < Duration::from_millis(1));
}

/// Connections that the kernel keeps for a listener that takes none.
fn fit(name: &str) -> Vec<Socket> {
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let path = format!(
        "\0{}",
        String::from_utf8_lossy(address.as_abstract_name().unwrap())
    );
    let address = SockAddr::unix(path).unwrap();
    let mut there = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&address) {
            Ok(()) => there.push(socket),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return there;
            }
        }
    }
}

#[tokio::test]
async fn backlog() {
    let name = format!("wharf-backlog-{}", std::process::id());
    let listen = Unix::bind(format!("@{name}")).with(|it| it.accept.backlog = 3);
    let handle = start(Server::builder().listen(IT, listen, echo));
    handle.suspend(IT).unwrap();
    // Linux keeps one more than it was told.
    let there = fit(&name);
    assert_eq!(there.len(), 4);
    rebind(&handle, |it| it.accept.backlog = 20);
    let more = fit(&name);
    assert_eq!(there.len() + more.len(), 21);
    // All of them are served once the listener goes on.
    handle.resume(IT).unwrap();
    for socket in there.into_iter().chain(more) {
        let stream = std::os::unix::net::UnixStream::from(socket);
        let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
        assert_eq!(knock_at_leisure(&mut stream).await, *b"?");
    }
}

async fn knock_at_leisure(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
) -> [u8; 1] {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut answer = [0; 1];
    stream.write_all(b"?").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn reuse_port() {
    let listen = |address: &str, reuse_port| {
        let listen = Tcp::bind(address).with(|it| {
            it.accept.reuse_port = reuse_port;
            it.accept.acceptors = 4;
        });
        Server::builder().listen(IT, listen, echo).build()
    };
    let sockets = |handle: &Handle| handle.inspect(IT).unwrap().addresses.len();
    let shared = listen("127.0.0.1:0", true).unwrap();
    let address = shared.handle().address(IT).unwrap().to_string();
    assert_eq!(sockets(&shared.handle()), 4, "one for each acceptor");
    let second = listen(&address, true).unwrap();
    let refused = listen(&address, false).unwrap_err();
    assert!(matches!(refused, BuildError::Configuration(_)), "{refused}");
    let handles = [shared, second].map(|server| {
        let handle = server.handle();
        tokio::spawn(server.run());
        handle
    });
    // The kernel spreads connections over all sockets; each is accepted on.
    let mut clients = Vec::new();
    for _ in 0..64 {
        let mut client = TcpStream::connect(&address).await.unwrap();
        assert_eq!(knock_at_leisure(&mut client).await, *b"?");
        clients.push(client);
    }
    let accepted = handles.map(|handle| handle.inspect(IT).unwrap().stats.accepted);
    assert!(accepted.iter().all(|accepted| *accepted > 0));
    assert_eq!(accepted.iter().sum::<u64>(), 64);
    let alone = listen("127.0.0.1:0", false).unwrap();
    assert_eq!(sockets(&alone.handle()), 1, "one for all acceptors");
}
