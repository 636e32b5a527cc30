//! The library's clients over datagrams, before servers that others wrote.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;
use wharf::client::{AttemptError, ClientBuilder};
use wharf::config::{Certificate, Pem, Psk};
use wharf::dtls::Failure;
use wharf::message::Message;
use wharf::tls::ClientTlsOptions;
use wharf::{Client, ConnectError, Messages};
use wharf_interop::{PortBlock, Process, tool};

use crate::pki::{Authority, Leaf};
use crate::served::SOON;

const NAME: &str = "a.example";
const KEY: &str = "0011aabb0011aabb0011aabb0011aabb";

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(SOON, work).await.expect("in time") })
}

/// A client for which each name is on loopback, and which trusts the authority.
fn client(ca: &Authority) -> ClientBuilder {
    let tls = ClientTlsOptions {
        ca: vec![Pem::File(ca.file())],
        ..ClientTlsOptions::default()
    };
    Client::builder()
        .tls(tls)
        .resolver(async |_, port| Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]))
}

fn certificate(leaf: &Leaf) -> Certificate {
    Certificate {
        cert: Pem::File(leaf.cert.clone()),
        key: Pem::File(leaf.key.clone()),
        names: Vec::new(),
    }
}

async fn say(messages: &mut Messages, text: &str) {
    let message = Message::binary(text.as_bytes().to_vec());
    messages.send(message).await.expect("sent");
}

async fn hear(messages: &mut Messages) -> String {
    let message = messages
        .recv()
        .await
        .expect("not closed")
        .expect("a message");
    String::from_utf8_lossy(message.payload()).into_owned()
}

/// Waits for what a server does when it is ready, where it says nothing.
fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "{what} is not there");
        std::thread::yield_now();
    }
}

/// By the kernel's list: who tries to bind the port takes it from the server.
fn until_taken(port: u16) {
    let local = format!(":{port:04X}");
    let is_bound = |list: &str| {
        let list = std::fs::read_to_string(list).unwrap_or_default();
        let mut locals = list
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        locals.any(|address| address.ends_with(&local))
    };
    until("the server's port", || {
        is_bound("/proc/net/udp") || is_bound("/proc/net/udp6")
    });
}

/// `openssl s_server` whose input is a pipe that stays open.
struct Server {
    process: Process,
    input: PathBuf,
    port: u16,
    _ports: PortBlock,
}

fn s_server(directory: &TempDir, flags: &str) -> Server {
    let mut ports = PortBlock::claim();
    let port = ports.pair();
    let input = directory.path().join("input");
    let made = tool("mkfifo").arg(&input).status().expect("mkfifo runs");
    assert!(made.success());
    let mut command = tool("sh");
    let script = format!(
        "exec openssl s_server -dtls1_2 -accept 127.0.0.1:{port} -quiet {flags} 0<>'{}'",
        input.display()
    );
    command.args(["-c", &script]);
    let process = Process::spawn(&command);
    until_taken(port);
    Server {
        process,
        input,
        port,
        _ports: ports,
    }
}

impl Server {
    /// Speaks as the server, once it has read a line.
    fn answers(&self, line: &str, answer: &str) {
        self.process.wait_for_line(SOON, |said| said.contains(line));
        let mut input = OpenOptions::new().write(true).open(&self.input);
        let input = input.as_mut().expect("the pipe");
        // At once: what is read in two pieces is sent in two records.
        let line = format!("{answer}\n");
        input.write_all(line.as_bytes()).expect("written");
    }
}

#[test]
fn openssl_serves_a_client_with_a_certificate() {
    let ca = Authority::new();
    for leaf in [ca.issue(NAME), ca.issue_rsa(NAME)] {
        let directory = TempDir::new().expect("a directory");
        let flags = format!(
            "-cert {} -key {} -CAfile {} -Verify 1 -verify_return_error -alpn it",
            leaf.cert.display(),
            leaf.key.display(),
            ca.file().display()
        );
        let server = s_server(&directory, &flags);
        let client = client(&ca).with(|options| {
            options.tls.certificate = Some(certificate(&ca.issue("alice")));
            options.tls.alpn = vec!["it".to_owned()];
        });
        let client = client.build().expect("a client");
        run(async {
            let url = format!("dtls://{NAME}:{}", server.port);
            let mut messages = client.connect_messages(&url).await.expect("a session");
            let tls = messages.connection().tls().expect("DTLS");
            assert_eq!(tls.alpn.as_deref(), Some(&b"it"[..]));
            say(&mut messages, "ahoy\n").await;
            server.answers("ahoy", "welcome");
            assert_eq!(hear(&mut messages).await, "welcome\n");
            let wrong = format!("dtls://b.example:{}", server.port);
            drop(messages);
            let error = client.connect_messages(&wrong).await.expect_err("a name");
            let ConnectError::Unreachable { attempts, .. } = error else {
                panic!("{error}");
            };
            let error = &attempts[0].error;
            assert!(
                matches!(error, AttemptError::Dtls(Failure::Certificate(_))),
                "{error}"
            );
        });
    }
}

#[test]
fn openssl_serves_a_client_with_a_key() {
    let directory = TempDir::new().expect("a directory");
    let server = s_server(&directory, &format!("-nocert -psk {KEY} -psk_hint it"));
    let client = Client::builder().with(|options| {
        options.dtls.psk = vec![Psk {
            identity: "meter".to_owned(),
            key: KEY.to_owned(),
        }];
    });
    let client = client.build().expect("a client");
    run(async {
        let url = format!("dtls://127.0.0.1:{}", server.port);
        let mut messages = client.connect_messages(&url).await.expect("a session");
        say(&mut messages, "ahoy\n").await;
        server.answers("ahoy", "welcome");
        assert_eq!(hear(&mut messages).await, "welcome\n");
    });
}

#[test]
fn gnutls_echoes() {
    let ca = Authority::new();
    let leaf = ca.issue(NAME);
    let mut ports = PortBlock::claim();
    let port = ports.pair();
    let mut command = tool("gnutls-serv");
    command.args(["--udp", "--echo", "--disable-client-cert", "--port"]);
    command.arg(port.to_string());
    command.arg("--x509certfile").arg(&leaf.cert);
    command.arg("--x509keyfile").arg(&leaf.key);
    let _process = Process::spawn(&command);
    until_taken(port);
    let client = client(&ca).build().expect("a client");
    run(async {
        let url = format!("dtls://{NAME}:{port}");
        let mut messages = client.connect_messages(&url).await.expect("a session");
        for text in ["ahoy\n", "a longer word\n"] {
            say(&mut messages, text).await;
            assert_eq!(hear(&mut messages).await, text);
        }
    });
}

#[test]
fn socat_echoes_datagrams() {
    let mut ports = PortBlock::claim();
    let port = ports.pair();
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("it.sock").display().to_string();
    for (listen, url) in [
        (
            format!("UDP4-RECVFROM:{port},bind=127.0.0.1,fork"),
            format!("udp://127.0.0.1:{port}"),
        ),
        (
            format!("UNIX-RECVFROM:{path},fork"),
            format!("unixgram:{path}"),
        ),
    ] {
        let mut command = tool("socat");
        command.args([&listen, "EXEC:cat"]);
        let _process = Process::spawn(&command);
        if url.starts_with("udp") {
            until_taken(port);
        } else {
            until("the socket's file", || Path::new(&path).exists());
        }
        let client = Client::builder().build().expect("a client");
        run(async {
            let mut messages = client.connect_messages(&url).await.expect("a socket");
            for text in ["ahoy", "again"] {
                say(&mut messages, text).await;
                assert_eq!(hear(&mut messages).await, text, "{url}");
            }
        });
    }
}
