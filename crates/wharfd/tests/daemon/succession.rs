//! A daemon that is started with the file of one that runs takes its place.

use crate::client::Client;
use crate::harness::{DEADLINE, Daemon, File, ask, config, free_port};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wharf::handover::Handover;
use wharf::{BoxError, Server, Stream, Tcp, Unix};

/// A directory of one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(crate::harness::socket_name());
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.display().to_string()).collect()
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server over UDP and TCP on one port, with metrics, tools and a place where successors ask.
fn text(port: u16, metrics: u16, directory: &Directory) -> String {
    let more = format!(
        "[metrics]\nlisten = '127.0.0.1:{metrics}'\n[admin]\nlisten = '{}'",
        directory.file("admin")
    );
    let server = format!("[server]\nhandover = '{}'", directory.file("handover"));
    let listen = format!("[listen]\ntcp = ['127.0.0.1:{port}']");
    config(port, &more)
        .replace("[server]", &server)
        .replace("[listen]", &listen)
}

/// Allocates at the successor. For a moment both read, and who is challenged by one may be answered by the
/// other.
fn allocate(mut client: impl FnMut() -> Client) -> Client {
    let end = Instant::now() + DEADLINE;
    loop {
        let mut client = client();
        match client.allocate("alice", "wonderland") {
            0 => return client,
            code => assert!(Instant::now() < end, "{code}"),
        }
    }
}

#[test]
fn allocations_live_on_and_new_clients_are_the_successors() {
    let (port, metrics, directory) = (free_port(), free_port(), Directory::new());
    let file = File::new(&text(port, metrics, &directory));
    let mut first = Daemon::ready(&file);
    let mut old = [Client::new(port), Client::tcp(port)];
    for client in &mut old {
        assert_eq!(client.allocate("alice", "wonderland"), 0);
    }
    first.counts("wharf_allocations 2");

    let mut second = Daemon::ready(&file);
    first.line("a successor has taken over");
    let peer = "9.9.9.9:9".parse().unwrap();
    let mut new = [
        allocate(|| Client::new(port)),
        allocate(|| Client::tcp(port)),
    ];
    // Metrics and tools are the successor's.
    second.counts("wharf_allocations 2");
    assert_eq!(ask(&directory.file("admin"), "sessions").0, Some(0));
    for client in old.iter_mut().chain(&mut new) {
        assert_eq!(client.permit(peer), 0);
    }
    second.counts("wharf_permissions 2");
    for client in &mut old {
        assert_eq!(client.release(), 0);
    }
    assert_eq!(first.end().code(), Some(0), "{}", first.output());
    assert!(first.output().contains("\"drained\""), "{}", first.output());
    assert_eq!(new[0].permit(peer), 0);

    for client in &mut new {
        assert_eq!(client.release(), 0);
    }
    second.signal("TERM");
    assert_eq!(second.end().code(), Some(0), "{}", second.output());
    // The last one leaves nothing behind.
    assert_eq!(directory.files(), <[String; 0]>::default());
}

#[test]
fn without_allocations_one_follows_the_other() {
    let (port, metrics, directory) = (free_port(), free_port(), Directory::new());
    let file = File::new(&text(port, metrics, &directory));
    let mut running = Daemon::ready(&file);
    for _ in 0..2 {
        let successor = Daemon::ready(&file);
        assert_eq!(running.end().code(), Some(0), "{}", running.output());
        running = successor;
        assert_eq!(ask(&directory.file("admin"), "sessions").0, Some(0));
        running.counts("wharf_allocations 0");
    }
    assert_eq!(allocate(|| Client::new(port)).release(), 0);
    running.signal("TERM");
    assert_eq!(running.end().code(), Some(0), "{}", running.output());
    assert_eq!(directory.files(), <[String; 0]>::default());
}

#[test]
fn the_tools_wait_for_a_successor_when_all_else_has_ended() {
    let (port, metrics, directory) = (free_port(), free_port(), Directory::new());
    let file = File::new(&text(port, metrics, &directory));
    let mut first = Daemon::ready(&file);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let nobody = |_: Stream| async { Ok::<(), BoxError>(()) };
        let place = directory.file("handover");
        let clients = Server::builder()
            .inherit(Handover::take(&place).await.unwrap())
            .listen("turn-tcp", Tcp::bind(format!("127.0.0.1:{port}")), nobody);
        let clients = clients.build().unwrap();
        let admin = directory.file("admin");
        let beside = Handover::take(format!("{place}.tools")).await.unwrap();
        assert!(beside.is_some());
        let tools = Server::builder()
            .inherit(beside)
            .listen("admin", Unix::bind(&admin), nobody);
        let tools = tools.build().unwrap();

        clients.take_over().await.unwrap();
        first.line("\"drained\"");
        assert_eq!(ask(&admin, "sessions").0, Some(0));
        tools.take_over().await.unwrap();
        assert_eq!(first.end().code(), Some(0), "{}", first.output());
        assert!(Path::new(&admin).exists(), "it is the successor's");
    });
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let (port, metrics, directory) = (free_port(), free_port(), Directory::new());
    let file = File::new(&text(port, metrics, &directory));
    let first = Daemon::ready(&file);
    let mut live = Client::new(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    // Somebody else has the port of its metrics.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap().port();
    let wrong = File::new(&text(port, other, &directory));
    let mut second = Daemon::start(&["--config", wrong.path()]);
    assert_eq!(second.end().code(), Some(2), "{}", second.output());
    assert!(
        second.output().contains("metrics.listen"),
        "{}",
        second.output()
    );
    assert_eq!(live.permit("9.9.9.9:9".parse().unwrap()), 0);
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 0);
    first.counts("wharf_allocations 2");
}

#[test]
fn without_a_place_to_ask_the_port_is_taken() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let _first = Daemon::ready(&file);
    let mut second = Daemon::start(&["--config", file.path()]);
    assert_eq!(second.end().code(), Some(2));
    assert!(
        second.output().contains("listen.udp"),
        "{}",
        second.output()
    );
}
