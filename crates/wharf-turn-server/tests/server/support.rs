//! What the tests share: servers on loopback, peers, waiting with a deadline, processes of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use wharf_turn_server::{
    Config, Counter, Credentials, Handle, PeerRules, RelayAddress, Snapshot, TurnServer,
};

/// Nothing on loopback takes this long, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const REALM: &str = "wharf";
/// The relay ports of [`config`].
pub(crate) const PORTS: std::ops::RangeInclusive<u16> = 20_000..=20_399;

/// An address of 127.0.0.0/8 that no other test has: all its ports are free.
pub(crate) fn fresh_ip() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    // Test runs side by side differ in the second octet.
    let run = 0x80 | std::process::id() as u8;
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    Ipv4Addr::new(127, run, high, low).into()
}

/// One worker, one listener, one relay address, the users alice and bob, and loopback peers.
pub(crate) fn config() -> Config {
    Config {
        listen: vec![SocketAddr::new(fresh_ip(), 0)],
        relays: vec![RelayAddress::new(fresh_ip(), PORTS)],
        workers: 1,
        credentials: users(),
        peers: loopback_peers(),
        ..Config::default()
    }
}

pub(crate) fn users() -> Credentials {
    let mut credentials = Credentials::new(REALM);
    credentials.add_user("alice", "wonderland").unwrap();
    credentials.add_user("bob", "builder").unwrap();
    credentials
}

pub(crate) fn loopback_peers() -> PeerRules {
    PeerRules {
        allow_loopback: true,
        ..PeerRules::default()
    }
}

pub(crate) fn start(config: Config) -> TurnServer {
    TurnServer::start(config).expect("the server starts")
}

/// A peer on loopback, of the family of `like`.
pub(crate) fn peer(like: impl Into<IpAddr>) -> UdpSocket {
    let ip = match like.into() {
        IpAddr::V4(_) => fresh_ip(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn peer_v4() -> UdpSocket {
    peer(Ipv4Addr::LOCALHOST)
}

/// The next datagram and its sender.
pub(crate) fn read(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram arrives");
    buffer.truncate(length);
    (buffer, from)
}

/// Waits for what happens without a word to the test, such as a counter of another thread.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// Waits until a counter has a value, and for no longer than it may take.
#[track_caller]
pub(crate) fn wait_for(handle: &Handle, counter: Counter, value: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = handle.counters().get(counter);
        if now == value {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{counter:?} is {now}, not {value}"
        );
        std::thread::yield_now();
    }
}

/// Every reply that was counted, of all methods and codes.
pub(crate) fn all_replies(counters: &Snapshot) -> u64 {
    let methods = wharf_turn_server::METHODS.iter();
    let codes = |method| {
        let codes = wharf_turn_server::ERROR_CODES.iter();
        codes.map(move |code| counters.replies(method, *code))
    };
    methods.flat_map(|method| codes(*method)).sum()
}

/// Every datagram that was dropped for a reason.
pub(crate) fn all_drops(counters: &Snapshot) -> u64 {
    let reasons = wharf_turn_server::DropReason::ALL.iter();
    reasons.map(|reason| counters.drops(*reason)).sum()
}

/// Runs `test` again in a process of its own, under `wrapper` and after the shell command `prepare`.
/// True in that process, false in this one when the other has succeeded.
pub(crate) fn alone(test: &str, wrapper: &[&str], prepare: &str) -> bool {
    const ALONE: &str = "WHARF_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let script = format!("{prepare} && exec \"$0\" --exact {test} --nocapture");
    let mut words = wrapper.iter().copied().chain(["sh", "-c", &script]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .arg(std::env::current_exe().unwrap())
        .env(ALONE, "1")
        .output()
        .expect("a shell");
    let [out, err] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "no such test: {test}");
    false
}
