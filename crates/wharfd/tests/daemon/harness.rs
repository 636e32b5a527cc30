//! A daemon under test, and the smallest TURN client.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const WHARFD: &str = env!("CARGO_BIN_EXE_wharfd");

/// The longest that any event may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running or ended `wharfd`; killed, by its id, when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// Everything read so far.
    pub(crate) seen: Vec<String>,
}

impl Daemon {
    /// Starts the daemon with pipes for its output; both streams are read line by line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(WHARFD).args(arguments))
    }

    /// Starts it from a shell that has run `first`, such as a change of limits.
    pub(crate) fn after(first: &str, arguments: &[&str]) -> Self {
        let script = format!("{first}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        Self::spawn(shell.args(["-c", &script, WHARFD]).args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Starts it with a file and waits until it is ready.
    pub(crate) fn ready(file: &File) -> Self {
        let mut daemon = Self::start(&["--config", file.path()]);
        daemon.line(r#""message":"ready""#);
        daemon
    }

    /// Where the metrics are, as the line said that told it is ready.
    pub(crate) fn metrics(&self) -> String {
        let ready = self.seen.iter().find(|line| line.contains("ready"));
        let event: serde_json::Value = serde_json::from_str(ready.unwrap()).unwrap();
        let url = event["metrics"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap();
        address.strip_suffix("/metrics").unwrap().to_owned()
    }

    /// What its HTTP endpoint answers.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.metrics()).unwrap();
        let head = "HTTP/1.1\r\nHost: wharf\r\nConnection: close\r\n\r\n";
        write!(stream, "GET {path} {head}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until a scrape has this line.
    pub(crate) fn counts(&self, line: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            let metrics = self.get("/metrics");
            if metrics.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < end, "no {line}\n{metrics}");
        }
    }

    /// The soft and the hard limit of open files, as the kernel shows them.
    pub(crate) fn open_files(&self) -> (String, String) {
        let path = format!("/proc/{}/limits", self.child.id());
        let limits = std::fs::read_to_string(path).unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let mut words = line.unwrap().split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    /// Waits for the next line that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?}: {error}; seen: {:#?}", self.seen),
            }
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end of the process and of its output.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("still running; seen: {:#?}", self.seen),
            }
        }
    }

    /// Everything that it wrote.
    pub(crate) fn output(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that is removed when dropped.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharfd-{}-{number}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A name in the abstract name space that nobody else has.
pub(crate) fn socket_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("wharfd-{}-{number}", std::process::id())
}

/// Runs `wharfd ask` at this socket: its exit code, and the last line of the answer.
pub(crate) fn ask(socket: &str, words: &str) -> (Option<i32>, serde_json::Value) {
    let mut arguments = vec!["ask", "--socket", socket];
    arguments.extend(words.split(' '));
    let mut asked = Daemon::start(&arguments);
    let code = asked.end().code();
    let last = asked
        .seen
        .last()
        .unwrap_or_else(|| panic!("{words}: no answer"));
    (code, serde_json::from_str(last).unwrap_or_default())
}

/// A port on 127.0.0.1 that was free a moment ago, for UDP and TCP. Ports of other tests are not
/// reused soon: the kernel picks at random.
pub(crate) fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// A server on loopback for the user `alice` with the password `wonderland`, and `more` below.
pub(crate) fn config(port: u16, more: &str) -> String {
    format!(
        "[server]\nworkers = 2\n[listen]\nudp = ['127.0.0.1:{port}']\n\
         [auth]\nusers = {{ alice = 'wonderland' }}\n{more}\n"
    )
}

/// A certificate for localhost that signs itself, and its key, in files.
pub(crate) struct Certificate {
    pub(crate) cert: File,
    pub(crate) key: File,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: File::new(&made.cert.pem()),
            key: File::new(&made.signing_key.serialize_pem()),
        }
    }
}

/// A server with metrics over UDP and TCP on `port`, and over TLS on `tls`.
pub(crate) fn with_tls(port: u16, tls: u16, certificate: &Certificate) -> String {
    let (cert, key) = (certificate.cert.path(), certificate.key.path());
    let more = format!(
        "[metrics]\nlisten = '127.0.0.1:0'\n\
         [tls]\ncertificates = [{{ cert = '{cert}', key = '{key}' }}]"
    );
    let listen = format!("[listen]\ntcp = ['127.0.0.1:{port}']\ntls = ['127.0.0.1:{tls}']");
    config(port, &more).replace("[listen]", &listen)
}
