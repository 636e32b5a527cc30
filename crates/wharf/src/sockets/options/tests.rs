use super::*;
use crate::config::{KeepAlive, Transport, UnixOptions};
use crate::sockets::{BindError, Listening, bind, connect_socket};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

fn try_listen(address: &str, options: &SocketOptions) -> Result<TcpListener, BindError> {
    let accept = AcceptOptions::default();
    let unix = UnixOptions::default();
    let address = address.parse().unwrap();
    let mut bound = bind(&address, Transport::Tcp, &accept, options, &unix)?;
    match bound.pop().unwrap() {
        Listening::Tcp(listener) => Ok(listener),
        other => panic!("an IP address was bound, not {other:?}"),
    }
}

fn listen(address: &str, options: &SocketOptions) -> TcpListener {
    try_listen(address, options).unwrap()
}

/// A connection that the listener accepted, with the client's end.
fn accepted(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

/// Every option of a connection, none at the kernel's default.
fn all() -> SocketOptions {
    SocketOptions {
        nodelay: true,
        keepalive: Some(KeepAlive {
            idle: Duration::from_secs(41),
            interval: Duration::from_secs(7),
            count: 5,
        }),
        user_timeout: Some(Duration::from_millis(12_345)),
        receive_buffer: Some(70_000),
        send_buffer: Some(90_000),
        notsent_lowat: Some(16_384),
        dscp: Some(46),
        linger: Some(Duration::from_millis(2_500)),
        ..SocketOptions::default()
    }
}

/// The options of a connection as the kernel tells them: buffers doubled, lingering in seconds.
#[derive(Debug, PartialEq)]
struct Seen {
    nodelay: bool,
    keepalive: Option<(u64, u64, u32)>,
    user_timeout: Option<Duration>,
    buffers: (usize, usize),
    notsent_lowat: u32,
    tos: u32,
    linger: Option<Duration>,
}

fn seen(socket: &impl AsFd) -> Seen {
    let socket = SockRef::from(socket);
    let v6 = socket.domain().unwrap() == socket2::Domain::IPV6;
    let seconds = |time: io::Result<Duration>| time.unwrap().as_secs();
    Seen {
        nodelay: socket.tcp_nodelay().unwrap(),
        keepalive: socket.keepalive().unwrap().then(|| {
            (
                seconds(socket.tcp_keepalive_time()),
                seconds(socket.tcp_keepalive_interval()),
                socket.tcp_keepalive_retries().unwrap(),
            )
        }),
        user_timeout: socket
            .tcp_user_timeout()
            .unwrap()
            .filter(|time| !time.is_zero()),
        buffers: (
            socket.recv_buffer_size().unwrap(),
            socket.send_buffer_size().unwrap(),
        ),
        notsent_lowat: socket.tcp_notsent_lowat().unwrap(),
        tos: if v6 {
            socket.tclass_v6()
        } else {
            socket.tos_v4()
        }
        .unwrap(),
        linger: socket.linger().unwrap(),
    }
}

fn all_seen() -> Seen {
    Seen {
        nodelay: true,
        keepalive: Some((41, 7, 5)),
        user_timeout: Some(Duration::from_millis(12_345)),
        buffers: (140_000, 180_000),
        notsent_lowat: 16_384,
        tos: 46 << 2,
        linger: Some(Duration::from_secs(3)),
    }
}

#[test]
fn an_accepted_connection_inherits_every_option_of_its_listener() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = listen(address, &all());
        assert_eq!(seen(&listener), all_seen(), "{address}");
        assert_eq!(seen(&accepted(&listener).0), all_seen(), "{address}");
    }
    assert!(!needs_apply(&all(), &all(), true));
}

#[test]
fn options_that_change_live_are_set_on_the_next_connection_and_taken_back() {
    let plain = SocketOptions {
        nodelay: false,
        ..SocketOptions::default()
    };
    let listener = listen("127.0.0.1:0", &plain);
    let (connection, _client) = accepted(&listener);
    let kernel = seen(&connection);
    assert!(!kernel.nodelay && kernel.keepalive.is_none() && kernel.linger.is_none());
    assert!(needs_apply(&plain, &all(), true));
    apply_to_connection(&connection, &plain, &all(), true).unwrap();
    assert_eq!(seen(&connection), all_seen());
    apply_to_connection(&connection, &all(), &plain, true).unwrap();
    let back = Seen {
        buffers: all_seen().buffers,
        ..kernel
    };
    assert_eq!(seen(&connection), back);
}

#[test]
fn each_option_alone_is_a_reason_to_apply() {
    let none = SocketOptions {
        nodelay: false,
        ..SocketOptions::default()
    };
    let one: [fn(&mut SocketOptions); 8] = [
        |o| o.nodelay = all().nodelay,
        |o| o.keepalive = all().keepalive,
        |o| o.user_timeout = all().user_timeout,
        |o| o.receive_buffer = all().receive_buffer,
        |o| o.send_buffer = all().send_buffer,
        |o| o.notsent_lowat = all().notsent_lowat,
        |o| o.dscp = all().dscp,
        |o| o.linger = all().linger,
    ];
    for (at, set) in one.iter().enumerate() {
        let mut wanted = none.clone();
        set(&mut wanted);
        assert!(needs_apply(&none, &wanted, true), "option {at}");
    }
}

#[test]
fn a_unix_connection_inherits_nothing_and_gets_its_buffers() {
    let (one, _other) = UnixStream::pair().unwrap();
    assert!(needs_apply(&all(), &all(), false));
    assert!(!needs_apply(&all(), &SocketOptions::default(), false));
    apply_to_connection(&one, &all(), &all(), false).unwrap();
    let socket = SockRef::from(&one);
    assert_eq!(socket.recv_buffer_size().unwrap(), 140_000);
    assert_eq!(socket.send_buffer_size().unwrap(), 180_000);
}

#[test]
fn the_client_side_has_the_same_options() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let local = Some("127.0.0.2:0".parse().unwrap());
    let socket = connect_socket(target, local, &all()).unwrap();
    assert_eq!(seen(&socket), all_seen());
    socket.set_nonblocking(false).unwrap();
    socket.connect(&target.into()).unwrap();
    let from = listener.accept().unwrap().1;
    assert_eq!(from.ip().to_string(), "127.0.0.2");
}

#[test]
fn dual_stack_takes_both_families_or_ipv6_alone() {
    for (dual_stack, only) in [(DualStack::Both, false), (DualStack::Ipv6Only, true)] {
        let options = SocketOptions {
            dual_stack,
            ..SocketOptions::default()
        };
        let listener = listen("[::]:0", &options);
        assert_eq!(SockRef::from(&listener).only_v6().unwrap(), only);
        let v4 = ("127.0.0.1", listener.local_addr().unwrap().port());
        assert_eq!(TcpStream::connect(v4).is_err(), only);
    }
}

#[test]
fn an_ipv6_socket_marks_its_ipv4_connections_too() {
    let listener = listen("[::]:0", &all());
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (connection, from) = listener.accept().unwrap();
    assert!(matches!(from.ip(), std::net::IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()));
    assert_eq!(SockRef::from(&connection).tos_v4().unwrap(), 46 << 2);
}

#[test]
fn defer_accept_is_set_in_whole_seconds() {
    let options = SocketOptions {
        defer_accept: Some(Duration::from_millis(2_100)),
        ..SocketOptions::default()
    };
    let listener = listen("127.0.0.1:0", &options);
    assert_eq!(wharf_udp::defer_accept(&listener).unwrap(), 3);
}

#[test]
fn a_foreign_address_is_bound_only_with_freebind() {
    for address in ["192.0.2.77:0", "[2001:db8::77]:0"] {
        let plain = try_listen(address, &SocketOptions::default()).unwrap_err();
        assert!(
            plain.to_string().contains("socket.freebind = true"),
            "{plain}"
        );
        let options = SocketOptions {
            freebind: true,
            ..SocketOptions::default()
        };
        listen(address, &options);
    }
}

#[test]
fn transparent_is_set_or_says_which_capability_it_takes() {
    let options = SocketOptions {
        transparent: true,
        ..SocketOptions::default()
    };
    match try_listen("127.0.0.1:0", &options) {
        Ok(v4) => {
            assert!(SockRef::from(&v4).ip_transparent_v4().unwrap());
            let v6 = listen("[::1]:0", &options);
            assert!(SockRef::from(&v6).ip_transparent_v6().unwrap());
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("socket.transparent = true: "), "{text}");
            assert!(text.contains("CAP_NET_ADMIN"), "{text}");
        }
    }
}

#[test]
fn device_binds_to_it_or_is_an_error() {
    let on = |device: &str| SocketOptions {
        device: Some(device.to_owned()),
        ..SocketOptions::default()
    };
    let listener = listen("127.0.0.1:0", &on("lo"));
    let device = SockRef::from(&listener).device().unwrap();
    assert_eq!(device.as_deref(), Some(b"lo".as_slice()));
    let error = try_listen("127.0.0.1:0", &on("no-such0")).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("socket.device = \"no-such0\": "), "{text}");
}

#[test]
fn mptcp_listens_with_that_protocol_or_says_that_the_host_lacks_it() {
    let options = SocketOptions {
        mptcp: true,
        ..SocketOptions::default()
    };
    match try_listen("127.0.0.1:0", &options) {
        Ok(listener) => {
            let protocol = SockRef::from(&listener).protocol().unwrap();
            assert_eq!(protocol, Some(socket2::Protocol::MPTCP));
            let nodelay = |socket: &TcpStream| socket.nodelay().unwrap();
            assert!(nodelay(&accepted(&listener).0));
            // Of what the kernel does not pass on to a client of plain TCP.
            let wanted = SocketOptions {
                notsent_lowat: Some(16_384),
                ..options
            };
            let listener = listen("127.0.0.1:0", &wanted);
            let (connection, _client) = accepted(&listener);
            assert!(needs_apply(&wanted, &wanted, true));
            apply_to_connection(&connection, &wanted, &wanted, true).unwrap();
            let lowat = SockRef::from(&connection).tcp_notsent_lowat().unwrap();
            assert_eq!(lowat, 16_384);
            // And what it does not have at all is said, in the words of the configuration.
            let error = try_listen(
                "127.0.0.1:0",
                &SocketOptions {
                    user_timeout: all().user_timeout,
                    ..wanted
                },
            );
            if let Err(error) = error {
                let text = error.to_string();
                assert!(
                    text.starts_with("socket.user-timeout = 12345ms: "),
                    "{text}"
                );
            }
        }
        Err(error) => assert!(error.to_string().starts_with("socket.mptcp = true: ")),
    }
}

#[test]
fn closing_after_reset_on_close_sends_a_reset() {
    let listener = listen("127.0.0.1:0", &SocketOptions::default());
    let (connection, mut client) = accepted(&listener);
    reset_on_close(&connection).unwrap();
    drop(connection);
    let error = io::Read::read(&mut client, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// What the host permits is a setting of its network namespace: runs the test of this thread once
/// more, in a namespace of its own where `setting` (below `/proc/sys/net`) has `value`. Inside,
/// `WHARF_SETTING` is the value.
fn run_where(setting: &str, value: &str) {
    let script = "echo $WHARF_SETTING > /proc/sys/net/$2 && ip link set lo up && \
                  exec \"$0\" --exact \"$1\"";
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(std::thread::current().name().unwrap())
        .arg(setting)
        .env("WHARF_SETTING", value)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{setting} = {value}: {output:?}");
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
fn fast_open_is_set_where_the_host_lets_servers_use_it() {
    let options = SocketOptions {
        fast_open: Some(17),
        ..SocketOptions::default()
    };
    match std::env::var("WHARF_SETTING").as_deref() {
        Ok("1") => {
            let error = try_listen("127.0.0.1:0", &options).unwrap_err().to_string();
            assert!(error.starts_with("socket.fast-open = 17: "), "{error}");
            assert!(error.contains("net.ipv4.tcp_fastopen"), "{error}");
        }
        Ok(_) => {
            let listener = listen("127.0.0.1:0", &options);
            assert_eq!(wharf_udp::fast_open(&listener).unwrap(), 17);
        }
        Err(_) => {
            run_where("ipv4/tcp_fastopen", "1");
            run_where("ipv4/tcp_fastopen", "3");
        }
    }
}

#[test]
fn mptcp_is_an_error_where_the_host_has_it_off() {
    if std::env::var_os("WHARF_SETTING").is_none() {
        // A kernel that was built without it refuses in the same words.
        if std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
            return run_where("mptcp/enabled", "0");
        }
    }
    let options = SocketOptions {
        mptcp: true,
        ..SocketOptions::default()
    };
    let error = try_listen("127.0.0.1:0", &options).unwrap_err().to_string();
    assert!(error.starts_with("socket.mptcp = true: "), "{error}");
    assert!(error.contains("net.mptcp.enabled = 1"), "{error}");
}
