//! `socket.*`: read back on the connections that the server accepted, or seen from the peer.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wharf::config::{DualStack, KeepAlive, SocketOptions};
use wharf::{BuildError, Handle, IntoInner, Lease, ListenerConfig, Server, Stream, Tcp};

use super::IT;

/// A listener whose handler hands its sockets to the test.
struct Listening {
    handle: Handle,
    sockets: mpsc::UnboundedReceiver<(TcpStream, Lease)>,
}

impl Listening {
    fn try_at(address: &str, set: impl FnOnce(&mut ListenerConfig)) -> Result<Self, BuildError> {
        let (hand_out, sockets) = mpsc::unbounded_channel();
        let handler = move |stream: Stream| {
            let hand_out = hand_out.clone();
            async move {
                let Ok((IntoInner::Socket(wharf::Socket::Tcp(socket), _), lease)) =
                    stream.into_inner()
                else {
                    panic!("not a TCP socket");
                };
                hand_out.send((socket, lease)).unwrap();
            }
        };
        let listen = Tcp::bind(address).with(set);
        let server = Server::builder().listen(IT, listen, handler).build()?;
        let handle = server.handle();
        tokio::spawn(server.run());
        Ok(Self { handle, sockets })
    }

    fn with(set: impl FnOnce(&mut SocketOptions)) -> Self {
        Self::try_at("127.0.0.1:0", |config| set(&mut config.socket)).unwrap()
    }

    fn change(&self, set: impl FnOnce(&mut SocketOptions)) {
        let changed = self.handle.change(IT, |config| set(&mut config.socket));
        changed.unwrap();
    }

    fn address(&self) -> SocketAddr {
        self.handle.address(IT).unwrap().ip().unwrap()
    }

    async fn taken(&mut self) -> TcpStream {
        self.sockets.recv().await.unwrap().0
    }

    /// What the kernel says of a new connection.
    async fn ask<T>(&mut self, what: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> T {
        let _client = TcpStream::connect(self.address()).await.unwrap();
        let socket = self.taken().await;
        what(SockRef::from(&socket)).unwrap()
    }
}

#[tokio::test]
async fn nodelay() {
    let mut listening = Listening::with(|socket| socket.nodelay = false);
    assert!(!listening.ask(|socket| socket.tcp_nodelay()).await);
    listening.change(|socket| socket.nodelay = true);
    assert!(listening.ask(|socket| socket.tcp_nodelay()).await);
}

#[tokio::test]
async fn keepalive() {
    let probes = KeepAlive {
        idle: Duration::from_secs(41),
        interval: Duration::from_secs(7),
        count: 5,
    };
    let seen = |socket: SockRef<'_>| {
        Ok(socket.keepalive()?.then_some(KeepAlive {
            idle: socket.tcp_keepalive_time()?,
            interval: socket.tcp_keepalive_interval()?,
            count: socket.tcp_keepalive_retries()?,
        }))
    };
    let mut listening = Listening::with(|socket| socket.keepalive = Some(probes));
    assert_eq!(listening.ask(seen).await, Some(probes));
    listening.change(|socket| socket.keepalive = None);
    assert_eq!(listening.ask(seen).await, None);
    listening.change(|socket| socket.keepalive = Some(probes));
    assert_eq!(listening.ask(seen).await, Some(probes));
}

#[tokio::test]
async fn user_timeout() {
    let time = Some(Duration::from_millis(12_345));
    let seen = |socket: SockRef<'_>| {
        let found = socket.tcp_user_timeout()?;
        Ok(found.filter(|time| !time.is_zero()))
    };
    let mut listening = Listening::with(|socket| socket.user_timeout = time);
    assert_eq!(listening.ask(seen).await, time);
    listening.change(|socket| socket.user_timeout = None);
    assert_eq!(listening.ask(seen).await, None);
}

/// The kernel doubles what is asked for, for its own book-keeping (socket(7)).
#[tokio::test]
async fn receive_buffer() {
    let mut listening = Listening::with(|socket| socket.receive_buffer = Some(70_000));
    assert_eq!(
        listening.ask(|socket| socket.recv_buffer_size()).await,
        140_000
    );
}

#[tokio::test]
async fn send_buffer() {
    let mut listening = Listening::with(|socket| socket.send_buffer = Some(90_000));
    assert_eq!(
        listening.ask(|socket| socket.send_buffer_size()).await,
        180_000
    );
}

#[tokio::test]
async fn notsent_lowat() {
    let mut listening = Listening::with(|socket| socket.notsent_lowat = Some(16_384));
    assert_eq!(
        listening.ask(|socket| socket.tcp_notsent_lowat()).await,
        16_384
    );
    listening.change(|socket| socket.notsent_lowat = Some(32_768));
    assert_eq!(
        listening.ask(|socket| socket.tcp_notsent_lowat()).await,
        32_768
    );
}

#[tokio::test]
async fn dscp() {
    for (address, v6) in [("127.0.0.1:0", false), ("[::1]:0", true)] {
        let mut listening =
            Listening::try_at(address, |config| config.socket.dscp = Some(46)).unwrap();
        let octet = listening
            .ask(|socket| {
                if v6 {
                    socket.tclass_v6()
                } else {
                    socket.tos_v4()
                }
            })
            .await;
        assert_eq!(octet, 46 << 2, "{address}");
    }
}

#[tokio::test]
async fn linger() {
    let mut listening = Listening::with(|socket| socket.linger = Some(Duration::ZERO));
    let mut client = TcpStream::connect(listening.address()).await.unwrap();
    drop(listening.taken().await);
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    listening.change(|socket| socket.linger = None);
    let mut client = TcpStream::connect(listening.address()).await.unwrap();
    drop(listening.taken().await);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn device() {
    let on = |device: &str| {
        let device = Some(device.to_owned());
        Listening::try_at("127.0.0.1:0", |config| config.socket.device = device)
    };
    // A connection is bound to the device of its listener.
    let device = on("lo").unwrap().ask(|socket| socket.device()).await;
    assert_eq!(device.as_deref(), Some(b"lo".as_slice()));
    let error = on("no-such0").err().unwrap().to_string();
    assert!(error.contains("socket.device"), "{error}");
}

#[tokio::test]
async fn freebind() {
    let with =
        |freebind| Listening::try_at("192.0.2.77:0", |config| config.socket.freebind = freebind);
    let error = with(false).err().unwrap().to_string();
    assert!(error.contains("socket.freebind"), "{error}");
    assert_eq!(with(true).unwrap().address().ip().to_string(), "192.0.2.77");
}

#[tokio::test]
async fn transparent() {
    let built = Listening::try_at("127.0.0.1:0", |config| config.socket.transparent = true);
    match built {
        Ok(mut listening) => assert!(listening.ask(|socket| socket.ip_transparent_v4()).await),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("socket.transparent"), "{error}");
            assert!(error.contains("CAP_NET_ADMIN"), "{error}");
        }
    }
}

#[tokio::test]
async fn dual_stack() {
    for (dual_stack, takes_v4) in [(DualStack::Both, true), (DualStack::Ipv6Only, false)] {
        let set = |config: &mut ListenerConfig| config.socket.dual_stack = dual_stack;
        let listening = Listening::try_at("[::]:0", set).unwrap();
        let v4 = ("127.0.0.1", listening.address().port());
        assert_eq!(TcpStream::connect(v4).await.is_ok(), takes_v4);
        let v6 = ("::1", listening.address().port());
        assert!(TcpStream::connect(v6).await.is_ok());
    }
}

/// A client that offers Multipath TCP gets it; without the option the connection is plain TCP.
#[tokio::test]
async fn mptcp() {
    for wanted in [false, true] {
        let built = Listening::try_at("127.0.0.1:0", |config| config.socket.mptcp = wanted);
        let mut listening = match built {
            Ok(listening) => listening,
            Err(error) => {
                let error = error.to_string();
                assert!(wanted && error.contains("net.mptcp.enabled = 1"), "{error}");
                return;
            }
        };
        let Ok(client) = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)) else {
            // The host has none; the round above with the option has yet to say so.
            continue;
        };
        client.connect(&listening.address().into()).unwrap();
        let socket = listening.taken().await;
        let protocol = SockRef::from(&socket.as_fd()).protocol().unwrap();
        let multipath = protocol == Some(Protocol::MPTCP);
        assert_eq!(multipath, wanted, "{protocol:?}");
    }
}

/// Who connects and is silent is not there yet: a later one that speaks is accepted first.
#[tokio::test]
async fn defer_accept() {
    for (wait, first) in [(None, 0), (Some(Duration::from_mins(1)), 1)] {
        let set = |config: &mut ListenerConfig| {
            config.socket.defer_accept = wait;
            config.accept.acceptors = 1;
        };
        let mut listening = Listening::try_at("127.0.0.1:0", set).unwrap();
        let silent = TcpStream::connect(listening.address()).await.unwrap();
        let mut speaking = TcpStream::connect(listening.address()).await.unwrap();
        speaking.write_all(b"?").await.unwrap();
        let both = [silent.local_addr().unwrap(), speaking.local_addr().unwrap()];
        let accepted = listening.taken().await;
        assert_eq!(accepted.peer_addr().unwrap(), both[first]);
    }
}

/// Says in which namespace the test below runs.
const INSIDE: &str = "WHARF_FAST_OPEN";

/// What the host lets servers do is a setting of its network namespace, so the test runs once more
/// in namespaces of its own: where data in a SYN is taken without a cookie (1 + 2 + 4 + 0x200), and
/// where servers may not use the option.
#[test]
fn fast_open() {
    let name = std::thread::current().name().unwrap().to_owned();
    if std::env::var_os(INSIDE).is_some() {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(with_data_in_the_syn());
    }
    for setting in ["519", "1"] {
        let script = "echo $WHARF_FAST_OPEN > /proc/sys/net/ipv4/tcp_fastopen && \
                      ip link set lo up && exec \"$0\" --exact \"$1\"";
        let output = std::process::Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(&name)
            .env(INSIDE, setting)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains("1 passed"),
            "{setting}: {output:?}"
        );
    }
}

async fn with_data_in_the_syn() {
    let with = |queue| Listening::try_at("127.0.0.1:0", |config| config.socket.fast_open = queue);
    if std::env::var(INSIDE).as_deref() == Ok("1") {
        let error = with(Some(16)).err().unwrap().to_string();
        assert!(error.contains("socket.fast-open"), "{error}");
        return;
    }
    for (queue, opened) in [(None, 0), (Some(16), 1)] {
        let mut listening = with(queue).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let address = listening.address().into();
        client
            .send_to_with_flags(b"early", &address, libc::MSG_FASTOPEN)
            .unwrap();
        let mut said = [0; 5];
        listening.taken().await.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"early");
        assert_eq!(passive_fast_opens(), opened);
    }
}

/// How often this namespace has taken data from a SYN.
fn passive_fast_opens() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut both = names.split(' ').zip(values.split(' '));
    let found = both
        .find(|(name, _)| *name == "TCPFastOpenPassive")
        .unwrap();
    found.1.parse().unwrap()
}
