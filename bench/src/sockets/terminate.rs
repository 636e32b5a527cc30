//! In front of an echo server, beside nginx and haproxy: accept, decrypt, hand on.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Bench;
use super::options::{Side, Transport, Work};
use super::subject::{Case, Place, Subject, serve};
use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::process::Pinned;
use crate::series::ratio_of_rounds;

/// nginx's own buffer size, for Wharf too; haproxy's is the same.
const BUFFER: u32 = 16 << 10;
/// How long a peer may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Requests of a kibibyte over a hundred connections.
pub(super) fn run(report: &mut Report, bench: &Bench<'_>) -> Result<(), Failure> {
    let heads = [
        "case",
        "wharf us",
        "nginx us",
        "haproxy us",
        "wharf to best",
    ];
    let mut table = Table::new("terminate: cost of a request handed on", heads);
    for &transport in &bench.options.transports {
        if matches!(transport, Transport::Tcp | Transport::Tls) {
            measure(report, bench, &mut table, transport)?;
        }
    }
    table.print();
    Ok(())
}

fn measure(
    report: &mut Report,
    bench: &Bench<'_>,
    table: &mut Table,
    transport: Transport,
) -> Result<(), Failure> {
    let (processors, folder) = (bench.processors, bench.folder());
    let case = Case {
        transport,
        work: Work::Terminate,
        connections: 100,
        size: 1024,
        buffer: BUFFER,
    };
    let behind = Case {
        transport: Transport::Tcp,
        work: Work::Echo,
        ..case
    };
    let (_upstream, upstream) = serve(
        Side::Bare,
        behind,
        None,
        Place::Generator,
        processors,
        folder,
    )?;
    let mut subjects = vec![Subject::start(
        Side::Wharf,
        case,
        Some(&upstream),
        processors,
        folder,
    )?];
    for peer in [nginx, haproxy] {
        let port = free_port()?;
        let mut command = peer(folder, port, transport == Transport::Tls, &upstream)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = match processors.spawn(&mut command) {
            Ok(process) => process,
            Err(error) => return Err(Failure::io(&command.get_program().display(), error)),
        };
        let process = started(process, port)?;
        let address = format!("127.0.0.1:{port}");
        subjects.push(Subject::with(process, &address, case, processors, folder)?);
    }
    for subject in &mut subjects {
        subject.round(bench.window, 0)?;
        subject.forget();
    }
    for _ in 0..bench.rounds {
        for subject in &mut subjects {
            subject.round(bench.window, 0)?;
        }
    }
    let name = format!("sockets.terminate.{}", transport.word());
    let costs: Vec<f64> = subjects.iter().map(|one| median(&one.costs)).collect();
    let mut best = f64::INFINITY;
    for (one, word) in subjects.iter().zip(["wharf", "nginx", "haproxy"]) {
        report.figure(&format!("{name}.{word}.cpu"), median(&one.costs), "ns");
        if word != "wharf" {
            let ratio = ratio_of_rounds(&one.costs, &subjects[0].costs);
            report.figure(&format!("{name}.wharf-to-{word}"), ratio, "ratio");
            best = best.min(ratio);
        }
    }
    table.row([
        name,
        number(costs[0] / 1e3),
        number(costs[1] / 1e3),
        number(costs[2] / 1e3),
        number(best),
    ]);
    Ok(())
}

/// One process with one worker, no log.
fn nginx(folder: &Path, port: u16, tls: bool, upstream: &str) -> Result<Command, Failure> {
    let folder = folder.display();
    let (flag, certificate) = if tls {
        (
            " ssl",
            format!("ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"),
        )
    } else {
        ("", String::new())
    };
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
         daemon off; master_process off; pid {folder}/nginx-{port}.pid; error_log /dev/null;\n\
         events {{ worker_connections 4096; }}\n\
         stream {{ server {{ listen 127.0.0.1:{port}{flag}; {certificate}\n\
         tcp_nodelay on; proxy_pass {upstream}; }} }}\n"
    );
    let path = write(&format!("{folder}/nginx-{port}.conf"), &text)?;
    let mut command = Command::new("nginx");
    command.args(["-e", "/dev/null", "-c", &path]);
    Ok(command)
}

/// One thread, no log.
fn haproxy(folder: &Path, port: u16, tls: bool, upstream: &str) -> Result<Command, Failure> {
    let folder = folder.display();
    let certificate = if tls {
        format!(" ssl crt {folder}/both.pem")
    } else {
        String::new()
    };
    let text = format!(
        "global\n nbthread 1\n maxconn 4096\n\
         defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen bench\n bind 127.0.0.1:{port}{certificate}\n server echo {upstream}\n"
    );
    let path = write(&format!("{folder}/haproxy-{port}.conf"), &text)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-q", "-f", &path]);
    Ok(command)
}

fn write(path: &str, text: &str) -> Result<String, Failure> {
    std::fs::write(path, text).map_err(|e| Failure::io(&path, e))?;
    Ok(path.to_owned())
}

/// A port that nobody has at this moment.
fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Failure::io(&"free port", e))
}

/// Waits until somebody listens: a peer does not say when.
fn started(mut process: Pinned, port: u16) -> Result<Pinned, Failure> {
    let begun = Instant::now();
    while !process.has_ended() && begun.elapsed() < START_LIMIT {
        if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(process);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::Server {
        server: "peer",
        detail: "did not listen; `apt-get install nginx-light libnginx-mod-stream haproxy`".into(),
    })
}
