//! haproxy, nginx and curl as senders of PROXY headers, and what is no header.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tempfile::TempDir;
use wharf::config::ProxyMode;
use wharf::proxy::{Command, Ssl, Tlv, Version};
use wharf::{Closed, Endpoint, Listen, Refusal, Tcp};
use wharf_interop::{PortBlock, Process, tool};

use crate::pki::Authority;
use crate::served::{SOON, Seen, Served, greet, talk};
use crate::tls::{assert_writes, s_client_to};

/// A proxy in front of a server.
struct Front {
    process: Process,
    address: SocketAddr,
    // After the process, which reads its configuration there and listens on a port of these.
    _directory: TempDir,
    _ports: PortBlock,
}

impl Front {
    /// Starts `program` with the configuration that `write` makes for its address and directory,
    /// and waits for a line with `ready`.
    fn start(
        mut program: std::process::Command,
        ready: &str,
        write: impl FnOnce(SocketAddr, &str) -> String,
    ) -> Self {
        let mut ports = PortBlock::claim();
        let address = (Ipv4Addr::LOCALHOST, ports.pair()).into();
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("front.conf");
        let text = write(address, &directory.path().display().to_string());
        fs::write(&file, text).expect("a file");
        let process = Process::spawn(program.arg(file));
        process.wait_for_line(SOON, |line| line.contains(ready));
        Self {
            process,
            address,
            _directory: directory,
            _ports: ports,
        }
    }

    fn haproxy(behind: &Served, bind: &str, server: &str) -> Self {
        let behind = behind.address();
        let mut program = tool("haproxy");
        program.args(["-W", "-db", "-f"]);
        Self::start(program, "Loading success", |address, _| {
            format!(
                "defaults\n mode tcp\n timeout connect 9s\n timeout client 30s\n \
                 timeout server 30s\n timeout check 9s\n unique-id-format id-%ci:%cp\n\
                 listen front\n bind {address} {bind}\n {server}\n"
            )
            .replace("BEHIND", &behind.to_string())
        })
    }

    fn nginx(behind: &Served) -> Self {
        let behind = behind.address();
        let mut program = tool("nginx");
        program.args(["-e", "stderr", "-c"]);
        Self::start(program, "using the \"epoll\"", |address, directory| {
            format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\n\
                 master_process off;\npid {directory}/pid;\nerror_log stderr notice;\nevents {{}}\n\
                 stream {{ server {{ listen {address}; proxy_pass {behind}; proxy_protocol on; }} }}\n"
            )
        })
    }

    /// Says ahoy, then bye, as a plain client; checks the answer. Returns the client's address.
    #[track_caller]
    fn ahoy(&self) -> SocketAddr {
        let mut client = TcpStream::connect(self.address).expect("a connection");
        client.set_read_timeout(Some(SOON)).expect("a timeout");
        client.write_all(b"ahoy\nbye\n").expect("room");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an orderly end");
        assert_eq!(answer, "AHOY\n", "{}", self.process.output());
        client.local_addr().expect("an address")
    }
}

/// A listener that believes headers from loopback.
fn listen(mode: ProxyMode) -> Listen {
    Tcp::bind("127.0.0.1:0").proxy(mode, ["127.0.0.0/8"])
}

#[track_caller]
fn header(seen: &Seen) -> &wharf::proxy::Header {
    &seen.proxied.as_ref().expect("a header").header
}

#[track_caller]
fn assert_is_client_of(seen: &Seen, client: SocketAddr, front: &Front, version: Version) {
    assert_eq!(seen.peer, Endpoint::Ip(client));
    assert_eq!(seen.local, Endpoint::Ip(front.address));
    assert_ne!(seen.socket_peer, seen.peer);
    let header = header(seen);
    assert_eq!((header.version, header.command), (version, Command::Proxy));
}

#[test]
fn haproxy_tells_whom_it_speaks_for() {
    let versions = [
        ("send-proxy", Version::V1),
        ("send-proxy-v2", Version::V2),
        ("send-proxy-v2 proxy-v2-options crc32c", Version::V2),
    ];
    for (option, version) in versions {
        for mode in [ProxyMode::Optional, ProxyMode::Required] {
            let served = Served::shouting(listen(mode));
            let front = Front::haproxy(&served, "", &format!("server it BEHIND {option}"));
            let client = front.ahoy();
            assert_is_client_of(&served.seen(), client, &front, version);
            served.seen();
            assert_eq!(served.finish().closed(Closed::Finished), 1);
        }
    }
}

#[test]
fn haproxy_tells_what_it_knows_of_the_client() {
    let ca = Authority::new();
    let (server, alice) = (ca.issue("a.example"), ca.issue("alice.example"));
    let served = Served::shouting(listen(ProxyMode::Required));
    let bind = format!(
        "ssl crt {} ca-file {} verify optional",
        server.both.display(),
        ca.file().display()
    );
    let options = "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,crc32c,unique-id,authority";
    let front = Front::haproxy(&served, &bind, &format!("server it BEHIND {options}"));
    let flags = format!(
        "-servername a.example -tls1_3 -cert {} -key {}",
        alice.cert.display(),
        alice.key.display()
    );
    let client = s_client_to(front.address, &ca.file(), &flags);
    assert_writes(&client, &["AHOY\n"]);
    let seen = served.seen();
    let tlvs = &header(&seen).tlvs;
    let Endpoint::Ip(peer) = seen.peer else {
        panic!("{seen:?}");
    };
    assert!(
        tlvs.contains(&Tlv::Authority("a.example".to_owned())),
        "{tlvs:?}"
    );
    let id = format!("id-{peer}").into_bytes();
    assert!(tlvs.contains(&Tlv::UniqueId(id)), "{tlvs:?}");
    let ssl = tlvs.iter().find_map(|tlv| match tlv {
        Tlv::Ssl(ssl) => Some(ssl),
        _ => None,
    });
    let ssl = ssl.expect("what TLS said");
    assert!(ssl.is_verified() && ssl.client & Ssl::TLS != 0, "{ssl:?}");
    assert_eq!(ssl.cn.as_deref(), Some("alice.example"));
    assert_eq!(ssl.version.as_deref(), Some("TLSv1.3"));
    served.seen();
    assert_eq!(served.finish().closed(Closed::Finished), 1);
}

/// What haproxy says for itself is LOCAL: the peer is haproxy.
#[test]
fn haproxys_own_checks_speak_for_nobody() {
    let served = Served::shouting(listen(ProxyMode::Required));
    let server = "option httpchk\n server it BEHIND send-proxy-v2 check check-send-proxy inter 200";
    let front = Front::haproxy(&served, "", server);
    let seen = served.seen();
    assert!(seen.said.starts_with("OPTIONS /"), "{seen:?}");
    assert_eq!(header(&seen).command, Command::Local);
    assert_eq!(seen.peer, seen.socket_peer);
    drop(front);
    assert!(served.finish().accepted >= 1);
}

#[test]
fn nginx_tells_whom_it_speaks_for() {
    let served = Served::shouting(listen(ProxyMode::Required));
    let front = Front::nginx(&served);
    let client = front.ahoy();
    assert_is_client_of(&served.seen(), client, &front, Version::V1);
    served.seen();
    assert_eq!(served.finish().closed(Closed::Finished), 1);
}

#[test]
fn curl_speaks_for_itself() {
    let served = Served::start(|builder, seen| {
        builder.listen("it", listen(ProxyMode::Required), move |stream| {
            greet(stream, seen.clone())
        })
    });
    let mut curl = tool("curl");
    let url = format!("http://{}/", served.address());
    curl.args(["-sSf", "--noproxy", "*", "--haproxy-protocol", &url]);
    let curl = Process::spawn(&curl).finish(SOON);
    assert_eq!(curl.output, "ahoy\n");
    let seen = served.seen();
    assert_eq!(seen.peer, seen.socket_peer);
    assert_eq!(header(&seen).version, Version::V1);
    assert_eq!(served.finish().closed(Closed::Finished), 1);
}

#[test]
fn what_is_no_header_is_closed_in_time() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let served = Served::shouting(listen(ProxyMode::Required).with(|config| {
        config.timeouts.proxy_header = Some(DEADLINE);
    }));
    let v2 = b"\r\n\r\n\0\r\nQUIT\n";
    let bad_family = [&v2[..], b"\x21\x91\0\0"].concat();
    let cases: [(&[u8], Refusal); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", Refusal::ProxyMissing),
        (b"PROXY TCP4 here there 1 2\r\n", Refusal::ProxyInvalid),
        (&[b'P'; 300], Refusal::ProxyMissing),
        (&bad_family, Refusal::ProxyInvalid),
        (b"", Refusal::ProxyTimeout),
        (b"PROXY TCP4 127.0.0.1", Refusal::ProxyTimeout),
    ];
    for (bytes, reason) in cases {
        let (answer, waited) = talk(served.address(), bytes);
        assert!(answer.is_empty(), "{answer:?}");
        let waited_out = waited >= DEADLINE;
        assert_eq!(
            waited_out,
            reason == Refusal::ProxyTimeout,
            "{bytes:?}: {waited:?}"
        );
    }
    let stats = served.finish();
    for reason in [
        Refusal::ProxyMissing,
        Refusal::ProxyInvalid,
        Refusal::ProxyTimeout,
    ] {
        assert_eq!(stats.refused(reason), 2, "{reason:?}: {stats:?}");
    }
    assert_eq!(stats.accepted, 0);
}

#[test]
fn a_header_of_an_untrusted_source_is_not_believed() {
    let listen = Tcp::bind("127.0.0.1:0").proxy(ProxyMode::Required, ["192.0.2.0/24"]);
    let served = Served::shouting(listen);
    let (answer, _) = talk(served.address(), b"");
    assert!(answer.is_empty());
    let stats = served.finish();
    assert_eq!(
        (stats.accepted, stats.refused(Refusal::ProxyUntrusted)),
        (0, 1)
    );
}
