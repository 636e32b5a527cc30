//! The servers under test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Bench;
use crate::Failure;
use crate::process::Pinned;
use crate::sockets::{Child, Place, Transport};

/// How long a peer may take to listen.
const LIMIT: Duration = Duration::from_secs(10);

/// What a server does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// TCP, TLS or WebSockets; without it, UDP.
    pub(super) stream: Option<Transport>,
    /// Where requests are forwarded to; without it, they are answered.
    pub(super) next: Option<SocketAddr>,
}

/// Who manages kamailio's memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Memory {
    /// What it takes when it is not told: a manager that checks itself, and looks at thousands of empty
    /// lists for each message.
    Shipped,
    /// The manager that its documentation has for speed.
    Fast,
}

impl Memory {
    pub(super) const ALL: [Self; 2] = [Self::Shipped, Self::Fast];
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) word: &'static str,
    pub(super) process: Pinned,
    pub(super) address: SocketAddr,
}

/// This program, on `wharf-sip-transport`.
pub(super) fn wharf(job: Job, seconds: Option<u64>, bench: &Bench<'_>) -> Result<Server, Failure> {
    let mut arguments = vec![
        "sip-server".to_owned(),
        format!("--folder={}", bench.folder.path.display()),
    ];
    arguments.extend(job.stream.map(|over| format!("--stream={}", over.word())));
    arguments.extend(job.next.map(|next| format!("--next={next}")));
    arguments.extend(seconds.map(|seconds| format!("--seconds={seconds}")));
    let child = Child::start("wharf", Place::Server, bench.processors, &arguments)?;
    listening("wharf", child)
}

/// The server of `bench/rvoip`; `None` when it was not built.
pub(super) fn rvoip(job: Job, bench: &Bench<'_>) -> Result<Option<Server>, Failure> {
    let program = &bench.options.rvoip;
    if !program.exists() {
        println!("note: no {}: `make bench` builds it", program.display());
        return Ok(None);
    }
    let mut command = Command::new(program);
    command.arg(job.stream.map_or("udp", Transport::word));
    let child = Child::run("rvoip", Place::Server, bench.processors, &mut command)?;
    listening("rvoip", child).map(Some)
}

fn listening(word: &'static str, mut child: Child) -> Result<Server, Failure> {
    let address = child.line("listening")?;
    let address = address.parse().map_err(|_| Failure::Server {
        server: word,
        detail: format!("listens on {address:?}"),
    })?;
    let process = child.process;
    Ok(Server {
        word,
        process,
        address,
    })
}

/// kamailio with one process for the transport, no log, and no module that the job does not need.
pub(super) fn kamailio(job: Job, memory: Memory, bench: &Bench<'_>) -> Result<Server, Failure> {
    let port = free_port()?;
    let (name, managers) = match memory {
        Memory::Shipped => ("kamailio", &[][..]),
        Memory::Fast => ("kamailio-fm", &["-X", "fm", "-x", "fm"][..]),
    };
    let (word, table, streams) = match job.stream {
        None => ("udp", "/proc/net/udp", "disable_tcp=yes"),
        Some(_) => (
            "tcp",
            "/proc/net/tcp",
            "tcp_children=1\ntcp_max_connections=20000",
        ),
    };
    let route = match job.next {
        None => "sl_send_reply(\"200\", \"OK\");".to_owned(),
        Some(next) => format!(
            "if (!mf_process_maxfwd_header(\"70\")) exit;\n$du = \"sip:{next}\"; forward();"
        ),
    };
    let text = format!(
        "#!KAMAILIO\ndebug=-3\nlog_stderror=no\nfork=yes\nchildren=1\n{streams}\n\
         auto_aliases=no\ndns=no\nrev_dns=no\nserver_header=\"\"\nlisten={word}:127.0.0.1:{port}\n\
         loadmodule \"sl.so\"\nloadmodule \"pv.so\"\nloadmodule \"maxfwd.so\"\n\
         request_route {{\n{route}\nexit;\n}}\n"
    );
    let folder = &bench.folder.path;
    let file = folder.join(format!("kamailio-{port}.cfg"));
    fs::write(&file, text).map_err(|e| Failure::io(&file.display(), e))?;
    let mut command = Command::new("kamailio");
    command
        .args(["-DD", "-m", "256", "-M", "8"])
        .args(managers)
        .arg("-f")
        .arg(&file)
        .arg("-Y")
        .arg(folder)
        .arg("-P")
        .arg(folder.join(format!("kamailio-{port}.pid")))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = bench.processors.spawn(&mut command);
    let mut server = Server {
        word: name,
        process: process.map_err(|e| Failure::io(&"kamailio", e))?,
        address: (Ipv4Addr::LOCALHOST, port).into(),
    };
    // It does not say when it listens: the kernel's table does.
    let begun = Instant::now();
    while !server.process.has_ended() && begun.elapsed() < LIMIT {
        if is_bound(table, port)? {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::Server {
        server: "kamailio",
        detail: "did not listen; `apt-get install kamailio`".to_owned(),
    })
}

/// A port that nobody has taken; it stays so for the moment, as the kernel gives out others next.
fn free_port() -> Result<u16, Failure> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Failure::io(&"free port", e))
}

/// Whether a table of the kernel has a socket with this port on loopback.
fn is_bound(table: &str, port: u16) -> Result<bool, Failure> {
    let text = fs::read_to_string(table).map_err(|e| Failure::io(&table, e))?;
    let address = format!("0100007F:{port:04X}");
    let mut locals = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    Ok(locals.any(|local| local == address))
}
