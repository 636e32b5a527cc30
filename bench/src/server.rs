//! The servers under test: each a child process on the servers' processor, bound to loopback.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use wharf_stun::{Class, Message, MessageType, Method, TransactionId, Writer};

use crate::Failure;
use crate::cli::{Kind, RelayOptions};
use crate::process::{Pinned, Processors};

/// The one user that every server knows.
pub(crate) const USER: &str = "bench";
/// That user's password.
pub(crate) const PASSWORD: &str = "bench-password";
const REALM: &str = "bench";
/// How long a server may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long one probe waits for its answer.
const PROBE: Duration = Duration::from_millis(20);

/// How wharfd treats datagrams that carry no credential; the others have no such limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unauthenticated {
    /// Answer all, as its peers do: so that all servers do the same work.
    AnswerAll,
    /// As configured by default, for the flood.
    Default,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which one it is.
    pub(crate) kind: Kind,
    /// The address clients send to.
    pub(crate) address: SocketAddr,
    /// Its process. Declared before the folder, so that it ends first.
    pub(crate) process: Pinned,
    floor: Option<BufReader<ChildStdout>>,
    _folder: Folder,
}

impl Server {
    /// Starts a server and waits for its first answer.
    pub(crate) fn start(
        kind: Kind,
        processors: Processors,
        options: &RelayOptions,
        unauthenticated: Unauthenticated,
    ) -> Result<Self, Failure> {
        let folder = Folder::create()?;
        match kind {
            Kind::Floor => Self::start_floor(processors, folder),
            Kind::Wharf => {
                let binary = match &options.wharfd {
                    Some(path) => path.clone(),
                    None => own_binary()?.with_file_name("wharfd"),
                };
                let address = free_address()?;
                let config = folder.path.join("wharf.toml");
                fs::write(&config, wharf_config(address, unauthenticated))
                    .map_err(|e| Failure::io(&config.display(), e))?;
                let mut command = Command::new(binary);
                command.arg("--config").arg(config);
                Self::start_turn(kind, processors, command, address, folder)
            }
            Kind::Coturn => {
                let address = free_address()?;
                let mut command = Command::new(&options.coturn);
                command.args(coturn_arguments(address, &folder.path));
                Self::start_turn(kind, processors, command, address, folder)
            }
        }
    }

    fn start_floor(processors: Processors, folder: Folder) -> Result<Self, Failure> {
        let mut command = Command::new(own_binary()?);
        command
            .arg("floor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = processors
            .spawn(&mut command)
            .map_err(|e| Failure::io(&"floor", e))?;
        let output = process.child.stdout.take().map(BufReader::new);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut server = Self {
            kind: Kind::Floor,
            address: any,
            process,
            floor: output,
            _folder: folder,
        };
        server.address = server.floor_answer("listening")?;
        Ok(server)
    }

    fn start_turn(
        kind: Kind,
        processors: Processors,
        mut command: Command,
        address: SocketAddr,
        folder: Folder,
    ) -> Result<Self, Failure> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = processors
            .spawn(&mut command)
            .map_err(|e| Failure::Server {
                server: kind.word(),
                detail: format!("{}: {e}; {}", command.get_program().display(), advice(kind)),
            })?;
        let mut server = Self {
            kind,
            address,
            process,
            floor: None,
            _folder: folder,
        };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    fn wait_until_it_answers(&mut self) -> Result<(), Failure> {
        let failed = |e| Failure::io(&"readiness probe", e);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        socket.set_read_timeout(Some(PROBE)).map_err(failed)?;
        let ty = MessageType {
            method: Method::BINDING,
            class: Class::Request,
        };
        let mut buffer = [0; 64];
        let request = Writer::new(&mut buffer, ty, TransactionId(*b"wharf-bench!"))
            .map_err(|e| Failure::refused("Binding request", &e))?
            .finish();
        let started = Instant::now();
        let mut answer = [0; 1500];
        while started.elapsed() < START_LIMIT {
            if self.process.has_ended() {
                return Err(self.failure("ended at its start"));
            }
            socket.send_to(request, self.address).map_err(failed)?;
            // Nothing within the time: the probe is repeated.
            if let Ok(len) = socket.recv(&mut answer)
                && Message::parse(&answer[..len]).is_ok()
            {
                return Ok(());
            }
        }
        Err(self.failure("did not answer within 15 s of its start"))
    }

    /// Gives a command to the floor and returns the address in its answer.
    pub(crate) fn floor_command(
        &mut self,
        line: &str,
        answer: &str,
    ) -> Result<SocketAddr, Failure> {
        let sent = self
            .process
            .child
            .stdin
            .as_mut()
            .map(|input| writeln!(input, "{line}"));
        match sent {
            Some(Ok(())) => self.floor_answer(answer),
            _ => Err(self.failure("takes no commands")),
        }
    }

    /// Ends the floor's set-up.
    pub(crate) fn floor_go(&mut self) -> Result<(), Failure> {
        let sent = self
            .process
            .child
            .stdin
            .as_mut()
            .map(|input| writeln!(input, "go"));
        if matches!(sent, Some(Ok(()))) && self.floor_line()? == "running" {
            return Ok(());
        }
        Err(self.failure("did not start to run"))
    }

    fn floor_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self
            .floor
            .as_mut()
            .map(|output| output.read_line(&mut line))
        {
            Some(Ok(1..)) => Ok(line.trim_end().to_owned()),
            _ => Err(self.failure("ended")),
        }
    }

    fn floor_answer(&mut self, word: &str) -> Result<SocketAddr, Failure> {
        let line = self.floor_line()?;
        line.strip_prefix(word)
            .and_then(|rest| rest.trim().parse().ok())
            .ok_or_else(|| self.failure(&format!("answered '{line}'")))
    }

    /// A failure of this server.
    pub(crate) fn failure(&self, detail: &str) -> Failure {
        Failure::Server {
            server: self.kind.word(),
            detail: detail.to_owned(),
        }
    }
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Floor => "",
        Kind::Wharf => "build it with `cargo build --release -p wharfd`, or name it with --wharfd",
        Kind::Coturn => "install it with `apt-get install coturn`, or leave it out with --servers",
    }
}

fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::io(&"own path", e))
}

/// A loopback address whose port nobody has at this moment.
fn free_address() -> Result<SocketAddr, Failure> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map_err(|e| Failure::io(&"free port", e))
}

/// Relay ports lie below the kernel's own ephemeral range, each server with its share, so that
/// servers and generator never compete for a port.
fn wharf_config(address: SocketAddr, unauthenticated: Unauthenticated) -> String {
    let limits = match unauthenticated {
        Unauthenticated::AnswerAll => "[limits]\nunauthenticated-per-second = 0\n",
        Unauthenticated::Default => "",
    };
    format!(
        "[server]\nrealm = \"{REALM}\"\nworkers = 1\n\
         [listen]\nudp = [\"{address}\"]\n\
         [relay]\naddresses = [\"{}\"]\nports = \"20000-31999\"\n\
         [auth]\nusers = {{ {USER} = \"{PASSWORD}\" }}\n\
         [allocations]\nper-user = 100000\ntotal = 100000\n\
         [peers]\nallow-loopback = true\n{limits}",
        address.ip()
    )
}

/// coturn's fastest plain configuration: one relay thread for one processor, no TLS, no TCP, no
/// log, accounts in memory.
fn coturn_arguments(address: SocketAddr, folder: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-n",
        "--lt-cred-mech",
        "--no-tls",
        "--no-dtls",
        "--no-tcp",
        "--no-tcp-relay",
        "--no-cli",
        "--no-rfc5780",
        "--no-software-attribute",
        "--allow-loopback-peers",
        "--no-stdout-log",
        "--simple-log",
        "--log-file=/dev/null",
        "--relay-threads=1",
        "--min-port=10000",
        "--max-port=19999",
    ]
    .map(str::to_owned)
    .into();
    arguments.extend([
        format!("--listening-ip={}", address.ip()),
        format!("--listening-port={}", address.port()),
        format!("--relay-ip={}", address.ip()),
        format!("--realm={REALM}"),
        format!("--user={USER}:{PASSWORD}"),
        format!("--pidfile={}", folder.join("pid").display()),
        format!("--userdb={}", folder.join("turndb").display()),
    ]);
    arguments
}

/// A folder that is removed with this value.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Folder {
    /// A new one, among the temporary files.
    pub(crate) fn create() -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "wharf-bench-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(|e| Failure::io(&path.display(), e))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind in the folder for temporary files harms nobody.
        let _ = fs::remove_dir_all(&self.path);
    }
}
