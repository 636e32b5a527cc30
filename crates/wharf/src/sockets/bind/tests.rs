use super::*;
use crate::config::KeepAlive;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn bind_with(
    address: &Address,
    transport: Transport,
    accept: &AcceptOptions,
) -> Result<Vec<Listening>, BindError> {
    let socket = SocketOptions {
        keepalive: Some(KeepAlive {
            idle: Duration::from_secs(33),
            interval: Duration::from_secs(3),
            count: 3,
        }),
        ..SocketOptions::default()
    };
    bind(address, transport, accept, &socket, &UnixOptions::default())
}

fn bind_one(address: &str, transport: Transport) -> Result<Listening, BindError> {
    let address = address.parse().unwrap();
    let mut bound = bind_with(&address, transport, &AcceptOptions::default())?;
    assert_eq!(bound.len(), 1);
    Ok(bound.pop().unwrap())
}

fn tcp(listening: &Listening) -> &TcpListener {
    match listening {
        Listening::Tcp(listener) => listener,
        other => panic!("no TCP listener: {other:?}"),
    }
}

/// The number of a descriptor that is as `exec` would leave it.
fn inherited(socket: impl Into<OwnedFd>) -> Address {
    let socket = socket.into();
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    Address::Descriptor(socket.into_raw_fd())
}

#[test]
fn a_listener_is_nonblocking_and_closed_over_exec() {
    for address in ["127.0.0.1:0", "@wharf-test-flags"] {
        let listening = bind_one(address, Transport::Ws).unwrap();
        let fd = match &listening {
            Listening::Tcp(listener) => std::os::fd::AsFd::as_fd(listener),
            Listening::Unix(listener, _) => std::os::fd::AsFd::as_fd(listener),
            other => panic!("no listener of streams: {other:?}"),
        };
        let cloexec = rustix::io::FdFlags::CLOEXEC;
        assert_eq!(rustix::io::fcntl_getfd(fd).unwrap(), cloexec);
        let status = rustix::fs::fcntl_getfl(fd).unwrap();
        assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    }
}

#[test]
fn with_reuse_port_each_acceptor_has_a_socket_on_one_port() {
    let accept = AcceptOptions {
        acceptors: 3,
        reuse_port: true,
        ..AcceptOptions::default()
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let bound = bind_with(&address, Transport::Tcp, &accept).unwrap();
    assert_eq!(bound.len(), 3);
    let addresses: Vec<_> = bound.iter().map(|one| one.address().unwrap()).collect();
    assert_eq!(addresses, vec![addresses[0].clone(); 3]);
    // A socket that does not share is refused, so the three do share.
    let error = bind_one(&addresses[0].to_string(), Transport::Tcp).unwrap_err();
    assert!(error.to_string().contains("accept.reuse-port"), "{error}");
}

#[test]
fn the_backlog_is_as_long_as_asked_for() {
    let accept = AcceptOptions {
        backlog: 1,
        ..AcceptOptions::default()
    };
    let address = "@wharf-test-backlog".parse().unwrap();
    let _bound = bind_with(&address, Transport::Unix, &accept).unwrap();
    let name = socket2::SockAddr::unix("\0wharf-test-backlog").unwrap();
    // The kernel keeps one more than it is told.
    let mut waiting = Vec::new();
    let full = loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        match client.connect(&name) {
            Ok(()) => waiting.push(client),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10);
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(waiting.len(), 2);
}

#[test]
fn a_tcp_listener_has_the_backlog_too_with_and_without_reuse_port() {
    for reuse_port in [false, true] {
        let accept = AcceptOptions {
            backlog: 33,
            acceptors: 1,
            reuse_port,
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let bound = bind_with(&address, Transport::Tcp, &accept).unwrap();
        let port = tcp(&bound[0]).local_addr().unwrap().port();
        // ss(8) shows the backlog of a listener in the column of unsent bytes.
        let filter = format!("sport = :{port}");
        let command = std::process::Command::new("ss")
            .args(["-ltnH", &filter])
            .output();
        let line = String::from_utf8(command.unwrap().stdout).unwrap();
        assert_eq!(line.split_whitespace().nth(2), Some("33"), "{line}");
    }
}

#[test]
fn an_abstract_name_is_found_by_its_name_and_is_taken_once() {
    let listening = bind_one("@wharf-test-abstract", Transport::Unix).unwrap();
    let Listening::Unix(listener, None) = &listening else {
        panic!("no file is made: {listening:?}");
    };
    let name = std::os::unix::net::SocketAddr::from_abstract_name("wharf-test-abstract").unwrap();
    let _client = UnixStream::connect_addr(&name).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let peer = crate::sockets::peer_credentials(&connection).unwrap();
    assert_eq!(peer.pid, Some(std::process::id()));
    let shown = listening.address().unwrap().to_string();
    assert_eq!(shown, "@wharf-test-abstract");
    let error = bind_one("@wharf-test-abstract", Transport::Unix).unwrap_err();
    assert!(error.to_string().contains("another server listens there"));
}

#[test]
fn an_inherited_listener_serves_with_the_options_of_the_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let address = inherited(listener);
    let accept = AcceptOptions::default();
    let bound = bind_with(&address, Transport::Tcp, &accept).unwrap();
    let mut client = TcpStream::connect(at).unwrap();
    let (mut connection, _) = tcp(&bound[0]).accept().unwrap();
    let socket = socket2::SockRef::from(&connection);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 33);
    client.write_all(b"x").unwrap();
    connection.set_nonblocking(false).unwrap();
    assert_eq!(connection.read(&mut [0; 4]).unwrap(), 1);
    let again = bind_with(&address, Transport::Tcp, &accept).unwrap_err();
    assert!(again.to_string().contains("taken already"), "{again}");
}

#[test]
fn what_is_no_listening_stream_socket_is_named() {
    let stream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let wrong: [(OwnedFd, &str); 3] = [
        (stream.into(), "does not listen"),
        (datagrams.into(), "a datagram socket"),
        (file.into(), "no socket"),
    ];
    for (fd, said) in wrong {
        let address = inherited(fd);
        let error = bind_with(&address, Transport::Tcp, &AcceptOptions::default()).unwrap_err();
        assert!(matches!(error, BindError::NotListening { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("bind {address}: ")) && text.contains(said),
            "{text}"
        );
    }
}

#[test]
fn a_transport_listens_on_its_own_family_only() {
    let wrong = |address: &str, transport| {
        let error = bind_one(address, transport).unwrap_err();
        assert!(matches!(error, BindError::Family { .. }), "{error}");
    };
    wrong("127.0.0.1:0", Transport::Unix);
    wrong("@wharf-test-family", Transport::Tcp);
    wrong("/nonexistent/family", Transport::Tcp);
    let unix = UnixListener::bind_addr(
        &std::os::unix::net::SocketAddr::from_abstract_name("wharf-test-inherited").unwrap(),
    );
    let address = inherited(unix.unwrap());
    let error = bind_with(&address, Transport::Tcp, &AcceptOptions::default()).unwrap_err();
    assert!(
        matches!(error, BindError::Family { is_unix: true, .. }),
        "{error}"
    );
    for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
        bind_one("127.0.0.1:0", transport).unwrap();
        // A name each: a child that another test starts may hold a closed listener until it runs.
        let name = format!("@wharf-test-{}", transport.label());
        bind_one(&name, transport).unwrap();
    }
}

#[test]
fn a_taken_address_is_an_error_that_says_so() {
    let first = bind_one("127.0.0.1:0", Transport::Tcp).unwrap();
    let taken = first.address().unwrap().to_string();
    let error = bind_one(&taken, Transport::Tcp).unwrap_err().to_string();
    assert!(error.starts_with(&format!("bind {taken}: ")), "{error}");
    assert!(error.contains("another socket listens there"), "{error}");
}

/// The service manager's side of the contract needs the process's number in its environment, so the
/// test runs once more as such a process.
#[test]
fn sockets_are_taken_by_the_service_managers_name() {
    if std::env::var_os("LISTEN_FDNAMES").is_some() {
        let address = "systemd:web".parse().unwrap();
        let bound = bind_with(&address, Transport::Tcp, &AcceptOptions::default()).unwrap();
        assert_eq!(bound.len(), 1);
        let at = tcp(&bound[0]).local_addr().unwrap();
        TcpStream::connect(at).unwrap();
        tcp(&bound[0]).accept().unwrap();
        let other = "systemd:other".parse().unwrap();
        let error = bind_with(&other, Transport::Tcp, &AcceptOptions::default()).unwrap_err();
        assert!(error.to_string().contains("passed are: web"), "{error}");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    // The shell puts the listener, which is its standard input, where a service manager would.
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; \
                  exec \"$0\" --exact \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(&name)
        .stdin(OwnedFd::from(listener))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
}
