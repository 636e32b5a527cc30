//! A server whose process has no descriptor left: it refuses, pauses and recovers.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wharf::{Endpoint, Refusal, Server, Tcp};

use crate::echo;

/// Set in the process that has few descriptors.
const ROLE: &str = "WHARF_TEST_FEW_DESCRIPTORS";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Processor time of this process, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the first here is the third.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The server, in a process of its own; in the other it does nothing.
#[test]
fn the_process_with_few_descriptors() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .init();
    let few = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Server::builder()
            .listen("echo", Tcp::bind("127.0.0.1:0"), echo)
            .build()
            .unwrap();
        let handle = server.handle();
        let Endpoint::Ip(address) = handle.address("echo").unwrap() else {
            panic!("an IP address")
        };
        let running = tokio::spawn(server.run());
        println!("@{address}");
        let (ask, mut asked) = mpsc::channel(1);
        std::thread::spawn(move || {
            std::io::stdin().read_line(&mut String::new()).unwrap();
            ask.blocking_send(()).unwrap();
        });
        asked.recv().await.unwrap();
        let stats = handle.inspect("echo").unwrap().stats;
        let known = stats.pending + stats.accepted + stats.all_refused();
        assert_eq!(stats.arrived, known);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = log.matches("cannot accept").count();
        let refused = stats.refused(Refusal::Exhausted);
        println!("@{} {refused} {lines} {}", stats.accept_pauses, ticks());
        assert!(!running.is_finished());
    });
}

/// Ends the other process, whatever happens here.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the other process: its answers, and its input.
fn start() -> (Process, mpsc::Receiver<String>, ChildStdin) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "descriptors::the_process_with_few_descriptors",
        ])
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let input = process.stdin.take().unwrap();
    let (tell, told) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some((_, line)) = line.split_once('@') {
                let _ = tell.blocking_send(line.to_owned());
            }
        }
    });
    (Process(process), told, input)
}

#[tokio::test]
async fn without_descriptors_it_refuses_pauses_and_recovers() {
    let (mut process, mut told, mut input) = start();
    let address = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    let (tell, mut outcomes) = mpsc::channel(100);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..70 {
        let (address, tell) = (address.clone(), tell.clone());
        clients.spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            let served = client.write_all(b"x").await.is_ok()
                && matches!(client.read(&mut [0]).await, Ok(1));
            let _ = tell.send(served).await;
            if served {
                std::future::pending::<()>().await;
            }
        });
    }
    let (mut served, mut refused) = (0, 0);
    while served < 30 || refused < 3 {
        if timeout(PATIENCE, outcomes.recv())
            .await
            .expect("an answer")
            .unwrap()
        {
            served += 1;
        } else {
            refused += 1;
        }
    }
    // Descriptors are free again: who comes now is served.
    clients.shutdown().await;
    let last = async {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.read(&mut [0]).await.unwrap()
    };
    assert_eq!(timeout(PATIENCE, last).await.expect("recovery"), 1);
    Write::write_all(&mut input, b"report\n").unwrap();
    let report = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    let numbers: Vec<u64> = report.split(' ').map(|n| n.parse().unwrap()).collect();
    let [pauses, exhausted, lines, ticks] = numbers[..] else {
        panic!("{report}")
    };
    println!("{served} served; pauses, refusals, lines, ticks: {report}");
    assert!(exhausted >= refused, "{report}");
    assert!((3..60).contains(&pauses), "{report}");
    assert!((1..pauses).contains(&lines), "one line a period: {report}");
    assert!(ticks < 200, "it spins: {report}");
    assert!(process.0.wait().unwrap().success());
}
