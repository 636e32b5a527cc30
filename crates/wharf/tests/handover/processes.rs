//! Real processes, one after the other, under traffic: the example `handover`.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use super::{Directory, Path, PathBuf};

/// Where cargo puts the example: beside the directory of this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/handover")
}

/// A process of the service.
struct Service {
    child: Child,
    /// Where its TCP listener is.
    tcp: String,
    /// And its UDP listener.
    udp: String,
}

impl Service {
    fn start(tcp: &str, directory: &Directory) -> Self {
        let mut child = Command::new(program())
            .args([tcp, "127.0.0.1:0"])
            .args([directory.file("unix"), directory.socket()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Said once the predecessor has stopped.
        let output = child.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines().map(Result::unwrap);
        let mut address = |of| lines.find_map(|line| line.strip_prefix(of).map(str::to_owned));
        let tcp = address("tcp on ").expect("its address");
        let udp = address("udp on ").expect("its address");
        // What it says at its end must not fill the pipe, nor find it closed.
        thread::spawn(move || lines.for_each(drop));
        Self { child, tcp, udp }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself, and well.
    fn ended(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    fn interrupt(self) {
        let pid = Pid::from_raw(self.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        self.ended();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only after a test has failed is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who answers on a new connection.
fn ask(mut stream: impl Read) -> u32 {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.trim().parse().unwrap()
}

/// Who answers a datagram from a new port, and the next one from there.
fn ask_datagrams(address: &str) -> u32 {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(super::PATIENCE)).unwrap();
    client.connect(address).unwrap();
    let mut last = 0;
    for _ in 0..2 {
        client.send(b"who?").unwrap();
        let mut answer = [0; 16];
        let length = client.recv(&mut answer).expect("no datagram is lost");
        last = ask(&answer[..length]);
    }
    last
}

/// Asks again and again until `stop`; says who answered, in order. A connection that is refused,
/// reset or not answered is a panic.
fn clients(stop: &AtomicBool, ask: impl Fn() -> u32) -> Vec<u32> {
    let mut who = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = ask();
        if who.last() != Some(&answer) {
            who.push(answer);
        }
    }
    who
}

#[test]
fn three_processes_follow_each_other_and_no_client_is_lost() {
    let directory = Directory::new("processes");
    let first = Service::start("127.0.0.1:0", &directory);
    let (tcp, udp) = (first.tcp.clone(), first.udp.clone());
    let unix = directory.file("unix");
    let stop = AtomicBool::new(false);
    let mut order = vec![first.id()];
    thread::scope(|scope| {
        let on_tcp = || clients(&stop, || ask(TcpStream::connect(&tcp).unwrap()));
        let on_udp = || clients(&stop, || ask_datagrams(&udp));
        let on_unix = || clients(&stop, || ask(UnixStream::connect(&unix).unwrap()));
        let traffic = [
            scope.spawn(on_tcp),
            scope.spawn(on_tcp),
            scope.spawn(on_udp),
            scope.spawn(on_udp),
            scope.spawn(on_unix),
        ];
        let mut serving = first;
        for _ in 0..2 {
            // Each has clients of its own before it is replaced.
            while ask(TcpStream::connect(&tcp).unwrap()) != serving.id() {}
            let next = Service::start("127.0.0.1:0", &directory);
            assert_eq!((&next.tcp, &next.udp), (&tcp, &udp));
            order.push(next.id());
            std::mem::replace(&mut serving, next).ended();
        }
        assert_eq!(ask(UnixStream::connect(&unix).unwrap()), serving.id());
        assert_eq!(ask_datagrams(&udp), serving.id());
        stop.store(true, Ordering::Relaxed);
        for clients in traffic {
            let who = clients.join().unwrap();
            assert!(who.iter().all(|id| order.contains(id)), "{who:?} {order:?}");
        }
        serving.interrupt();
    });
    assert!(!unix.exists() && !directory.socket().exists());
}

#[test]
fn a_successor_takes_what_the_first_inherited_under_the_same_name() {
    let directory = Directory::new("inherited");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let name = format!("fd:{}", listener.as_raw_fd());
    fcntl_setfd(listener.as_fd(), FdFlags::empty()).unwrap();
    let first = Service::start(&name, &directory);
    fcntl_setfd(listener.as_fd(), FdFlags::CLOEXEC).unwrap();
    drop(listener);
    // This one has no such descriptor.
    let second = Service::start(&name, &directory);
    assert_eq!(second.tcp, address);
    first.ended();
    assert_eq!(ask(TcpStream::connect(&address).unwrap()), second.id());
    second.interrupt();
}

#[test]
fn another_user_gets_nothing() {
    // Only root can be somebody else.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = Directory::new("user");
    let first = Service::start("127.0.0.1:0", &directory);
    let found = std::fs::metadata(directory.socket()).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    // The file keeps others out, and so does the look at who asks.
    let (copy, run) = (directory.file("program"), |copy: &Path| {
        let mut other = Command::new(copy);
        other.args(["127.0.0.1:0"; 2]);
        other.args([directory.file("mine"), directory.socket()]);
        let other = other.uid(65534).gid(65534).output();
        let other = other.unwrap();
        assert!(!other.status.success());
        String::from_utf8(other.stderr).unwrap()
    });
    std::fs::copy(program(), &copy).unwrap();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&directory.0, 0o777);
    open(&copy, 0o755);
    let kept_out = run(&copy);
    assert!(kept_out.contains("PermissionDenied"), "{kept_out}");
    open(&directory.socket(), 0o666);
    let refused = run(&copy);
    assert!(refused.contains("runs as user 65534"), "{refused}");
    assert_eq!(ask(TcpStream::connect(&first.tcp).unwrap()), first.id());
    first.interrupt();
}
