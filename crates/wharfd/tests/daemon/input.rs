//! Bad input: every problem in one go, exit code 2, nothing started.

use crate::harness::{Certificate, Daemon, File, config, free_port, with_tls};
use std::net::{TcpListener, UdpSocket};

/// Runs to the end; the exit code and the output.
fn run(arguments: &[&str]) -> (i32, String) {
    let mut daemon = Daemon::start(arguments);
    let status = daemon.end();
    (status.code().unwrap(), daemon.output())
}

/// Each line names the problem, and nothing was started.
#[track_caller]
fn refused(arguments: &[&str], expected: &[&str]) {
    let (code, output) = run(arguments);
    assert_eq!(code, 2, "{output}");
    assert_eq!(output.lines().count(), expected.len(), "{output}");
    for (line, text) in output.lines().zip(expected) {
        assert!(
            line.starts_with("wharfd: ") && line.contains(text),
            "{line}"
        );
    }
}

#[test]
fn a_good_file_is_ok() {
    let file = File::new(&config(3478, ""));
    assert_eq!(run(&["check", file.path()]), (0, "ok".to_owned()));
}

#[test]
fn check_and_start_report_the_same_problems_at_once() {
    let file = File::new(&config(
        0,
        "fleet = 1\n[relay]\nports = '2-1'\n[limits]\nipv4-prefix = 64",
    ));
    let expected = [
        "listen.udp[0] = \"127.0.0.1:0\": ",
        "relay.ports = \"2-1\": the range is empty",
        "limits.ipv4-prefix = 64: expected an integer from 1 to 32",
        "auth.fleet: unknown key",
    ];
    refused(&["check", file.path()], &expected);
    refused(&["--config", file.path()], &expected);
}

#[test]
fn an_unreadable_file_is_named() {
    refused(
        &["--config", "/nonexistent/wharf.toml"],
        &["/nonexistent/wharf.toml: cannot be read"],
    );
    refused(&["check", "/"], &["/: cannot be read"]);
}

#[test]
fn a_syntax_error_is_found_by_its_line() {
    let file = File::new("[listen]\nudp = [\n'127.0.0.1:1'\n[auth");
    let (code, output) = run(&["check", file.path()]);
    assert_eq!(code, 2);
    assert!(
        output.starts_with(&format!("wharfd: {}:", file.path())),
        "{output}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = File::new(&config(port, ""));
    let problem = format!("listen.udp = 127.0.0.1:{port}: ");
    refused(&["--config", file.path()], &[&problem]);
    refused(&["--port", &port.to_string()], &[&problem]);
}

#[test]
fn a_second_daemon_does_not_share_the_port_of_the_first() {
    let port = free_port();
    let file = File::new(&config(port, ""));
    let _first = Daemon::ready(&file);
    refused(
        &["--config", file.path()],
        &[&format!("listen.udp = 127.0.0.1:{port}: ")],
    );
}

#[test]
fn a_metrics_port_that_is_taken_keeps_the_server_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = File::new(&config(
        free_port(),
        &format!("[metrics]\nlisten = '{address}'"),
    ));
    refused(
        &["--config", file.path()],
        &[&format!("metrics.listen: bind {address}: ")],
    );
}

#[test]
fn an_address_of_another_host_is_named() {
    let text =
        config(3478, "[relay]\naddresses = ['127.0.0.1']").replace("127.0.0.1:", "192.0.2.1:");
    refused(
        &["--config", File::new(&text).path()],
        &["listen.udp = 192.0.2.1:3478: "],
    );
    let text = config(free_port(), "[relay]\naddresses = ['192.0.2.1']");
    refused(
        &["--config", File::new(&text).path()],
        &["relay.addresses = 192.0.2.1: "],
    );
}

/// Before anything is started, and by `check` too, which is run to know.
#[test]
fn certificates_that_are_no_good_are_named() {
    let (good, other) = (Certificate::new(), Certificate::new());
    let text = with_tls(3478, 5349, &good);
    let (cert, key) = (good.cert.path(), good.key.path());
    let file = File::new(&text);
    assert_eq!(run(&["check", file.path()]), (0, "ok".to_owned()));
    let junk = File::new("junk");
    for (wrong, option) in [
        (
            text.replace(cert, "/nonexistent/cert.pem"),
            "cert = /nonexistent/cert.pem: ",
        ),
        (text.replace(cert, junk.path()), "cert = "),
        (text.replace(key, other.key.path()), "key = "),
    ] {
        file.write(&wrong);
        let expected = format!("tls.certificates[0].{option}");
        refused(&["check", file.path()], &[&expected]);
        refused(&["--config", file.path()], &[&expected]);
    }
    let authority = "client-auth = 'required'\nclient-ca = ['/nonexistent/ca.pem']";
    file.write(&format!("{text}{authority}"));
    refused(
        &["check", file.path()],
        &["tls.client-ca[0] = /nonexistent/ca.pem: "],
    );
}
