//! Clients over TCP, and what the operator sees and does with them.

use crate::client::Client;
use crate::harness::{Certificate, Daemon, File, ask, config, free_port, socket_name, with_tls};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

const METRICS: &str = "[metrics]\nlisten = '127.0.0.1:0'";

/// The configuration of a server on `port` over UDP and TCP, with metrics and `more`.
fn both(port: u16, more: &str) -> String {
    let listen = format!("[listen]\ntcp = ['127.0.0.1:{port}']");
    config(port, &format!("{METRICS}\n{more}")).replace("[listen]", &listen)
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let port = free_port();
    let file = File::new(&both(port, ""));
    let daemon = Daemon::ready(&file);
    let mut client = Client::tcp(port);
    assert_eq!(client.allocate("alice", "wonderland"), 0);
    daemon.counts("wharf_allocations 1");
    daemon.counts("wharf_connections_live{listener=\"turn-tcp\"} 1");
    drop(client);
    daemon.counts("wharf_allocations 0");
    daemon.counts("wharf_connections_live{listener=\"turn-tcp\"} 0");
    daemon.counts("wharf_connections_closed_total{listener=\"turn-tcp\",reason=\"finished\"} 1");
}

#[test]
fn one_too_many_is_closed_and_counted() {
    let port = free_port();
    let limits = "[stream]\nlimits = { max-connections = 1 }";
    let file = File::new(&both(port, limits));
    let daemon = Daemon::ready(&file);
    let mut first = Client::tcp(port);
    assert_eq!(first.allocate("alice", "wonderland"), 0);
    assert!(Client::tcp(port).is_closed());
    daemon.counts(
        "wharf_connections_refused_total{listener=\"turn-tcp\",reason=\"listener-full\"} 1",
    );
    assert_eq!(Client::new(port).allocate("alice", "wonderland"), 0);
}

#[test]
fn a_reload_opens_and_closes_listeners() {
    let port = free_port();
    let file = File::new(&config(port, METRICS));
    let mut daemon = Daemon::ready(&file);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    file.write(&both(port, "[stream]\nlimits = { per-prefix = 2 }"));
    daemon.signal("HUP");
    let event: serde_json::Value = serde_json::from_str(&daemon.line("reloaded")).unwrap();
    assert_eq!(event["keys"], "listen.tcp stream.limits");
    let mut live = Client::tcp(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    file.write(&both(port, "[stream]\nlimits = { per-prefix = 1 }"));
    daemon.signal("HUP");
    daemon.line("reloaded");
    assert!(Client::tcp(port).is_closed());
    assert_eq!(live.permit(([8, 8, 8, 8], 1).into()), 0);
}

#[test]
fn a_reload_that_cannot_bind_changes_nothing() {
    let port = free_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = File::new(&both(port, ""));
    let mut daemon = Daemon::ready(&file);
    let other = taken.local_addr().unwrap().port();
    let text = both(port, "").replace(
        &format!("tcp = ['127.0.0.1:{port}']"),
        &format!("tcp = ['127.0.0.1:{other}']"),
    );
    file.write(&text.replace("alice", "bob"));
    daemon.signal("HUP");
    let line = daemon.line("nothing has changed");
    assert!(line.contains("listen.tcp"), "{line}");
    assert_eq!(Client::tcp(port).allocate("alice", "wonderland"), 0);
}

#[test]
fn a_running_server_is_asked() {
    let port = free_port();
    let name = format!("@{}", socket_name());
    let admin = |more: &str| both(port, &format!("[admin]\nlisten = '{name}'\n{more}"));
    let file = File::new(&admin(""));
    let mut daemon = Daemon::ready(&file);
    let mut client = Client::tcp(port);
    assert_eq!(client.allocate("alice", "wonderland"), 0);

    let (code, stats) = ask(&name, "stats");
    assert_eq!(code, Some(0));
    assert_eq!(
        (&stats["allocations"], &stats["draining"]),
        (&1.into(), &false.into())
    );
    assert_eq!(stats["listeners"]["turn-tcp"]["live"], 1);

    let mut sessions = Daemon::start(&["ask", "--socket", &name, "sessions"]);
    assert!(sessions.end().success(), "{}", sessions.output());
    let session: serde_json::Value = serde_json::from_str(&sessions.seen[0]).unwrap();
    assert_eq!(session["peer"], client.address());
    assert_eq!(session["listener"], "turn-tcp");
    let (code, closed) = ask(&name, &format!("close {}", session["id"]));
    assert_eq!((code, &closed["closed"]), (Some(0), &1.into()));
    assert!(client.is_closed());
    let (code, closed) = ask(&name, &format!("close {}", session["id"]));
    assert_eq!(code, Some(1), "{closed}");

    assert_eq!(ask(&name, "suspend turn-tcp").0, Some(0));
    assert_eq!(
        ask(&name, "stats").1["listeners"]["turn-tcp"]["suspended"],
        true
    );
    assert_eq!(ask(&name, "resume turn-tcp").0, Some(0));
    assert_eq!(Client::tcp(port).allocate("alice", "wonderland"), 0);
    assert_eq!(ask(&name, "suspend turn-tls").0, Some(1));

    file.write(&admin("[allocations]\nper-user = 1\nchannels = 5"));
    let (code, plan) = ask(&name, "plan");
    assert_eq!(code, Some(0));
    assert_eq!(plan["live"], serde_json::json!(["allocations.per-user"]));
    assert_eq!(plan["restart"], serde_json::json!(["allocations.channels"]));
    assert_eq!(ask(&name, "reload").1["live"], plan["live"]);
    assert_eq!(ask(&name, "plan").1["live"], serde_json::json!([]));
    file.write("[listen]\nudp = 7");
    let (code, refused) = ask(&name, "reload");
    assert_eq!(code, Some(1));
    assert!(
        refused["problems"].to_string().contains("listen.udp"),
        "{refused}"
    );

    assert_eq!(ask(&name, "drain").0, Some(0));
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
    assert_eq!(ask(&name, "stats").0, Some(2));
}

#[test]
fn a_server_that_drains_lives_but_is_not_ready() {
    let port = free_port();
    let file = File::new(&both(port, ""));
    let mut daemon = Daemon::ready(&file);
    for path in ["/healthz", "/readyz"] {
        assert!(daemon.get(path).starts_with("HTTP/1.1 200 "), "{path}");
    }
    let mut live = Client::tcp(port);
    assert_eq!(live.allocate("alice", "wonderland"), 0);
    let mut idle = Client::tcp(port);
    assert_eq!(idle.permit(([8, 8, 8, 8], 1).into()), 437);
    daemon.signal("TERM");
    daemon.line("\"draining\"");
    assert!(idle.is_closed());
    assert!(daemon.get("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(daemon.get("/readyz").starts_with("HTTP/1.1 503 "));
    assert_eq!(live.permit(([8, 8, 8, 8], 1).into()), 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    drop(live);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
}

/// Neither bytes that are no TURN nor handshakes that fail are a failure of the server's: strangers must
/// not be able to take it out of service.
#[test]
fn garbage_from_strangers_leaves_the_server_ready() {
    let (port, tls) = (free_port(), free_port());
    let certificate = Certificate::new();
    let file = File::new(&with_tls(port, tls, &certificate));
    let daemon = Daemon::ready(&file);
    for port in [port, tls] {
        for _ in 0..40 {
            let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stranger.write_all(&[0xff; 64]).unwrap();
            // The end, or an alert before it.
            let _ = stranger.read_to_end(&mut Vec::new());
        }
    }
    daemon.counts("wharf_streams_garbled_total 40");
    daemon.counts("wharf_connections_closed_total{listener=\"turn-tcp\",reason=\"protocol\"} 40");
    daemon.counts("wharf_connections_refused_total{listener=\"turn-tls\",reason=\"tls\"} 40");
    // Judged once a second.
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        assert!(daemon.get("/readyz").starts_with("HTTP/1.1 200 "));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Handshakes that strangers begin and leave take the room for others', but not the server's clients
/// who are there, nor the server out of service.
#[test]
fn half_done_handshakes_leave_the_server_ready() {
    let (port, tls) = (free_port(), free_port());
    let certificate = Certificate::new();
    let limits = "[stream.limits]\nmax-handshakes = 10\n";
    let file = File::new(&(with_tls(port, tls, &certificate) + limits));
    let daemon = Daemon::ready(&file);
    let connect = |_| TcpStream::connect(("127.0.0.1", tls)).unwrap();
    let _silent: Vec<_> = (0..10).map(connect).collect();
    daemon.counts("wharf_health{state=\"unhealthy\"} 1");
    assert!(daemon.get("/readyz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_service_manager_is_told() {
    let name = socket_name();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager
        .set_read_timeout(Some(crate::harness::DEADLINE))
        .unwrap();
    let told = || {
        let mut state = [0; 64];
        let length = manager.recv(&mut state).unwrap();
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let file = File::new(&config(free_port(), ""));
    let environment = format!("export NOTIFY_SOCKET=@{name}");
    let mut daemon = Daemon::after(&environment, &["--config", file.path()]);
    assert_eq!(told(), "READY=1");
    daemon.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.output());
}

#[test]
fn few_look_at_the_metrics_at_once() {
    let file = File::new(&config(free_port(), METRICS));
    let daemon = Daemon::ready(&file);
    let places: Vec<TcpStream> = (0..16)
        .map(|_| TcpStream::connect(daemon.metrics()).unwrap())
        .collect();
    let mut late = TcpStream::connect(daemon.metrics()).unwrap();
    late.set_read_timeout(Some(crate::harness::DEADLINE))
        .unwrap();
    assert_eq!(std::io::Read::read(&mut late, &mut [0]).unwrap(), 0);
    for place in places {
        // Each gives its place back before the next scrape.
        place.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(std::io::Read::read(&mut &place, &mut [0]).unwrap(), 0);
    }
    daemon
        .counts("wharf_connections_refused_total{listener=\"metrics\",reason=\"listener-full\"} 1");
}
