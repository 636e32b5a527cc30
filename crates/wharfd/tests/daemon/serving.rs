//! A daemon at work: what it prints, what it logs, what it counts.

use crate::client::Client;
use crate::harness::{Daemon, File, config, free_port};

#[test]
fn without_arguments_it_serves_loopback_and_says_how_to_use_it() {
    let (port, tls_port) = (free_port(), free_port());
    let ports = [
        "--port",
        &port.to_string(),
        "--tls-port",
        &tls_port.to_string(),
    ];
    let mut daemon = Daemon::start(&ports);
    daemon.line("reachable from this host only");
    daemon.line(&format!("127.0.0.1:{port}"));
    let ice = daemon.line("iceServers: ");
    daemon.line("turnutils_uclient -u wharf");
    let ice: serde_json::Value =
        serde_json::from_str(ice.trim().trim_start_matches("iceServers: ")).unwrap();
    let user = ice[0]["username"].as_str().unwrap();
    let password = ice[0]["credential"].as_str().unwrap();
    assert_eq!(Client::new(port).allocate(user, password), 0);
    assert_eq!(Client::tcp(port).allocate(user, password), 0);
    let urls = ice[0]["urls"].to_string();
    let tls = format!("turns:127.0.0.1:{tls_port}?transport=tcp");
    assert!(urls.contains(&tls), "{urls}");
}

#[test]
fn the_log_on_a_pipe_is_json() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let mut daemon = Daemon::start(&["--config", file.path()]);
    let line = daemon.line("ready");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["message"], "ready");
    assert_eq!(event["listen"], format!("127.0.0.1:{port}"));
}

#[test]
fn the_command_line_chooses_the_form_of_the_log() {
    let file = File::new(&config(free_port(), "[log]\nformat = 'json'"));
    let mut daemon = Daemon::start(&["--config", file.path(), "--log-format", "human"]);
    daemon.line("INFO wharfd: ready");
}

#[test]
fn the_level_decides_what_is_logged() {
    let port = free_port();
    let file = File::new(&config(port, "[log]\nlevel = 'debug'"));
    let mut daemon = Daemon::ready(&file);
    let mut client = Client::new(port);
    assert_eq!(client.allocate("alice", "wonderland"), 0);
    let event: serde_json::Value = serde_json::from_str(&daemon.line("\"allocated\"")).unwrap();
    assert_eq!(event["client"], client.address());
    assert_eq!(event["user"], "alice");
}

#[test]
fn a_failed_authentication_is_logged_with_the_clients_address() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let mut daemon = Daemon::ready(&file);
    for (user, password, reason) in [
        ("mallory", "guess", "unknown_user"),
        ("alice", "guess", "wrong_password"),
    ] {
        let mut client = Client::new(port);
        assert_eq!(client.allocate(user, password), 401);
        let line = daemon.line("authentication failed");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["client"], client.address());
        assert_eq!(event["user"], user);
        assert_eq!(event["reason"], reason);
        assert_eq!(event["level"], "WARN");
        assert!(!line.contains("guess"), "{line}");
    }
}

#[test]
fn a_made_credential_opens_the_server_that_has_the_secret() {
    let port = free_port();
    let file = File::new(&config(port, "secrets = ['north', 'south']"));
    let _daemon = Daemon::ready(&file);
    for (secret, answer) in [("north", 0), ("south", 0), ("west", 401)] {
        let user = format!("bob-{secret}");
        let mut made =
            Daemon::start(&["credentials", "--secret", secret, "--user", &user, "--json"]);
        assert!(made.end().success());
        let made: serde_json::Value = serde_json::from_str(&made.output()).unwrap();
        let (user, password) = (
            made["username"].as_str().unwrap(),
            made["password"].as_str().unwrap(),
        );
        assert_eq!(
            Client::new(port).allocate(user, password),
            answer,
            "{secret}"
        );
    }
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let file = File::new(&config(free_port(), "[allocations]\ntotal = 10"));
    let mut daemon = Daemon::after(
        "ulimit -S -n 64; ulimit -H -n 300",
        &["--config", file.path()],
    );
    daemon.line("ready");
    assert_eq!(daemon.open_files(), ("300".to_owned(), "300".to_owned()));
    assert!(
        !daemon.output().contains("open files"),
        "{}",
        daemon.output()
    );
}

#[test]
fn too_few_open_files_for_the_allocations_are_told() {
    let file = File::new(&config(
        free_port(),
        "[allocations]\ntotal = 1000\nper-user = 0",
    ));
    let mut daemon = Daemon::after("ulimit -n 300", &["--config", file.path()]);
    let event: serde_json::Value = serde_json::from_str(&daemon.line("open files")).unwrap();
    assert_eq!(event["level"], "WARN");
    assert_eq!(
        (&event["limit"], &event["needed"]),
        (&300.into(), &1256.into())
    );
}

#[test]
fn the_metrics_count_what_the_workers_do() {
    let port = free_port();
    let file = File::new(&config(port, "[metrics]\nlisten = '127.0.0.1:0'"));
    let daemon = Daemon::ready(&file);

    let before = daemon.get("/metrics");
    assert!(before.contains("\nwharf_allocations 0\n"), "{before}");
    let mut clients = [(); 5].map(|()| Client::new(port));
    for client in &mut clients {
        assert_eq!(client.allocate("alice", "wonderland"), 0);
    }
    assert_eq!(Client::new(port).allocate("mallory", "guess"), 401);

    let after = daemon.get("/metrics");
    assert!(after.starts_with("HTTP/1.1 200 "), "{after}");
    for line in [
        "wharf_allocations 5",
        "wharf_allocated_total 5",
        "wharf_unknown_user_total 1",
        "wharf_client_packets_total 12",
        "wharf_replies_total{method=\"Allocate\",code=\"0\"} 5",
        "wharf_replies_total{method=\"Allocate\",code=\"401\"} 7",
        "wharf_dropped_total{reason=\"malformed\"} 0",
        "wharf_log_lost_total 0",
    ] {
        assert!(after.lines().any(|found| found == line), "{line}\n{after}");
    }
    assert!(
        !after.contains("alice") && !after.contains("mallory"),
        "{after}"
    );
    assert!(daemon.get("/").starts_with("HTTP/1.1 404 "));
}
