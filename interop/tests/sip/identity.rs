//! Certificates that OpenSSL has made, shown by OpenSSL: SIP domains, SNI, and TLS on both sides.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wharf::Tls;
use wharf::config::{Certificate, ClientAuth, Pem};
use wharf_interop::{PortBlock, Process, tool};
use wharf_sip::alias::AliasWanted;
use wharf_sip::identity::Wildcards;
use wharf_sip::pool::PoolKey;
use wharf_sip::{Domain, Priority, Transport};
use wharf_sip_transport::{DialError, DialOptions, Dialer, PURPOSES};

use crate::responder::Responder;
use crate::served::{LOOPBACK, SOON, Served, until};

const REQUEST: &str = "OPTIONS sip:example.com SIP/2.0\r\n\
    Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK1;alias\r\nMax-Forwards: 70\r\n\
    From: <sip:a@peer.example>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";
const ANSWER: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK1;alias\r\n\
    From: <sip:a@peer.example>;tag=1\r\nTo: <sip:example.com>;tag=2\r\nCall-ID: 1\r\n\
    CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

/// An authority of OpenSSL, and what it has issued.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let new = Self(TempDir::new().expect("a directory"));
        // Without the system's file, which makes everybody an authority.
        let own = "[req]\ndistinguished_name = none\n[none]\n";
        fs::write(new.file("own.conf"), own).expect("a file");
        new.request("ca", "basicConstraints=critical,CA:TRUE", &[]);
        new
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A certificate with these alternative names.
    fn issue(&self, stem: &str, names: &str) {
        let (ca, key) = (self.file("ca.pem"), self.file("ca.key"));
        let by = [
            "-CA".as_ref(),
            ca.as_os_str(),
            "-CAkey".as_ref(),
            key.as_os_str(),
        ];
        self.request(stem, &format!("subjectAltName={names}"), &by);
    }

    /// The same, for SIP alone (RFC 5924).
    fn issue_for_sip(&self, stem: &str, names: &str) {
        let (ca, key) = (self.file("ca.pem"), self.file("ca.key"));
        let more = [
            "-CA".as_ref(),
            ca.as_os_str(),
            "-CAkey".as_ref(),
            key.as_os_str(),
            "-addext".as_ref(),
            "extendedKeyUsage=1.3.6.1.5.5.7.3.20".as_ref(),
        ];
        self.request(stem, &format!("subjectAltName={names}"), &more);
    }

    fn request(&self, stem: &str, extension: &str, more: &[&std::ffi::OsStr]) {
        let file = |kind: &str| self.file(&format!("{stem}.{kind}"));
        let mut command = tool("openssl");
        command.args("req -x509 -nodes -days 30 -newkey ec".split(' '));
        command.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-addext", extension]);
        command.args(["-subj", &format!("/CN={stem}"), "-config"]);
        command.arg(self.file("own.conf"));
        command
            .arg("-keyout")
            .arg(file("key"))
            .arg("-out")
            .arg(file("pem"));
        command.args(more);
        let made = command.output().expect("openssl runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    fn certificate(&self, stem: &str) -> Certificate {
        Certificate {
            cert: Pem::File(self.file(&format!("{stem}.pem"))),
            key: Pem::File(self.file(&format!("{stem}.key"))),
            names: Vec::new(),
        }
    }
}

/// `openssl s_server` whose input is a pipe that stays open.
struct Server {
    process: Process,
    input: PathBuf,
    address: SocketAddr,
    _ports: PortBlock,
}

impl Server {
    /// Shows `second` to a client that asks for `example.com`, and `first` to others; asks them for theirs.
    fn start(ca: &Authority, first: &str, second: &str) -> Self {
        let mut ports = PortBlock::claim();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pair()));
        let input = ca.file("input");
        mkfifo(&input);
        let file =
            |stem: &str, kind: &str| ca.file(&format!("{stem}.{kind}")).display().to_string();
        let script = format!(
            "exec openssl s_server -accept {address} -quiet -cert {} -key {} -servername example.com \
             -cert2 {} -key2 {} -CAfile {} -Verify 1 -verify_return_error 0<>'{}'",
            file(first, "pem"),
            file(first, "key"),
            file(second, "pem"),
            file(second, "key"),
            file("ca", "pem"),
            input.display()
        );
        let mut command = tool("sh");
        command.args(["-c", &script]);
        let process = Process::spawn(&command);
        let listens = format!(":{:04X} 00000000:0000 0A", address.port());
        until("server", || {
            let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
            table.contains(&listens)
        });
        Self {
            process,
            input,
            address,
            _ports: ports,
        }
    }
}

fn options(ca: &Authority, shown: &str) -> DialOptions {
    let mut options = DialOptions::default();
    options.client.tls.ca = vec![Pem::File(ca.file("ca.pem"))];
    options.client.tls.certificate = Some(ca.certificate(shown));
    options
}

fn key(address: SocketAddr, domain: &str) -> PoolKey {
    PoolKey {
        transport: Transport::Tls,
        address,
        domain: Some(domain.parse().expect("a domain")),
        local: None,
    }
}

#[test]
fn rfc5922_a_sip_domain_in_a_certificate_of_openssl_is_proven_by_sni() {
    let ca = Authority::new();
    ca.issue("other", "URI:sip:other.example,DNS:example.com");
    ca.issue_for_sip(
        "example",
        "DNS:host.example.net,URI:sip:alice@example.com,URI:sip:example.com",
    );
    ca.issue("star", "DNS:*.example.com");
    ca.issue("ours", "URI:sip:ours.example");
    let server = Server::start(&ca, "other", "example");
    let (responder, record) = Responder::new();
    let served = Served::plain(responder);
    let dialer = Dialer::new(served.sip.clone(), options(&ca, "ours")).expect("a dialer");
    let dial = |domain: &str| {
        served
            .runtime
            .block_on(dialer.dial(&key(server.address, domain)))
    };

    let flow = dial("example.com").expect("a connection");
    let request = REQUEST.to_owned().into();
    served
        .sip
        .send(&flow, request, Priority::Normal)
        .expect("sent");
    server
        .process
        .wait_for_line(SOON, |line| line.contains("CSeq: 1 OPTIONS"));
    let mut input = OpenOptions::new()
        .write(true)
        .open(&server.input)
        .expect("the pipe");
    input.write_all(ANSWER.as_bytes()).expect("written");
    let seen = record.next();
    assert_eq!((&*seen.method, seen.transport), ("OPTIONS", Transport::Tls));
    assert!(seen.text.starts_with("SIP/2.0 200 OK"), "{}", seen.text);
    let identities = served.sip.identities(&flow).expect("a certificate");
    assert_eq!(
        identities.domains(),
        ["example.com".parse::<Domain>().expect("a domain")]
    );
    // The server speaks with one client at a time.
    assert!(served.sip.close(&flow));

    // Without a certificate for the domain: the DNS name beside a SIP domain proves nothing.
    let error = dial("host.example.net").expect_err("another domain");
    assert!(matches!(&error, DialError::WrongName { .. }), "{error}");
    let other: Vec<Domain> = vec!["other.example".parse().expect("a domain")];
    assert!(matches!(error, DialError::WrongName { shown, .. } if shown == other));

    drop(server);
    fs::remove_file(ca.file("input")).expect("the pipe");
    let server = Server::start(&ca, "star", "star");
    let key = key(server.address, "a.example.com");
    let error = served
        .runtime
        .block_on(dialer.dial(&key))
        .expect_err("a wildcard");
    assert!(matches!(error, DialError::WrongName { .. }), "{error}");
    let asked = dialer.change(|options| options.wildcards = Wildcards::OneLabel);
    asked.expect("an option");
    served
        .runtime
        .block_on(dialer.dial(&key))
        .expect("where it is asked for");
}

#[test]
fn rfc5923_a_connection_of_openssl_is_offered_and_used_both_ways() {
    let ca = Authority::new();
    ca.issue("server", "URI:sip:example.com");
    ca.issue_for_sip("peer", "URI:sip:peer.example");
    let (responder, record) = Responder::new();
    let served = Served::start(responder, |server, sip| {
        let listen = Tls::bind(LOOPBACK).with(|config| {
            config.tls.certificates.push(ca.certificate("server"));
            config.tls.client_auth = ClientAuth::Required;
            config.tls.client_purposes = PURPOSES.map(str::to_owned).to_vec();
            config.tls.client_ca = vec![Pem::File(ca.file("ca.pem"))];
        });
        server.listen_with("tls", listen, sip.streams())
    });
    let client = connect(&ca, served.address("tls"));
    assert_eq!(record.next().method, "OPTIONS");
    client.wait_for_line(SOON, |line| line.starts_with("SIP/2.0 200"));

    let domain = "peer.example".parse().expect("a domain");
    let wanted = AliasWanted {
        transport: Transport::Tls,
        address: "127.0.0.1:5061".parse().expect("an address"),
        domain: &domain,
        local: None,
    };
    let flow = served.sip.alias(&wanted).expect("the offer was taken");
    let request = REQUEST.replace("OPTIONS", "NOTIFY").into();
    served
        .sip
        .send(&flow, request, Priority::Normal)
        .expect("sent");
    client.wait_for_line(SOON, |line| line.starts_with("NOTIFY sip:example.com"));
    drop(client);
    until("end of the alias", || served.sip.alias(&wanted).is_none());
}

/// `openssl s_client`, which has sent the request.
fn connect(ca: &Authority, server: SocketAddr) -> Process {
    let request = ca.file("request");
    fs::write(&request, REQUEST).expect("a file");
    let file = |name: &str| ca.file(name).display().to_string();
    let input = ca.file("client");
    mkfifo(&input);
    let script = format!(
        "cat {} > {pipe} & exec openssl s_client -connect {server} -quiet -verify_return_error \
         -servername example.com -CAfile {} -cert {} -key {} 0<>{pipe}",
        request.display(),
        file("ca.pem"),
        file("peer.pem"),
        file("peer.key"),
        pipe = input.display(),
    );
    let mut command = tool("sh");
    command.args(["-c", &script]);
    Process::spawn(&command)
}

fn mkfifo(path: &Path) {
    let made = tool("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}
