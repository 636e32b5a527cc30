//! curl's requests to a WebSocket listener: each that is no upgrade gets its status; and HTTP over
//! the library's TLS.

use std::time::Duration;

use wharf::{Closed, Refusal, Ws};
use wharf_interop::{Finished, Process, tool};

use crate::pki::Authority;
use crate::served::{SOON, Served, echo, greet, talk};
use crate::tls::listen;

fn curl(arguments: &[&str]) -> Finished {
    let mut curl = tool("curl");
    curl.args(["-sS", "--noproxy", "*", "--max-time", "15"]);
    Process::spawn(curl.args(arguments)).finish(SOON)
}

fn listening(change: impl FnOnce(&mut wharf::ListenerConfig)) -> Served {
    let listen = Ws::bind("127.0.0.1:0").with(|config| {
        let options = &mut config.websocket;
        options.paths = vec!["/chat".to_owned()];
        options.hosts = vec!["a.example".to_owned()];
        options.origins = vec!["https://a.example".to_owned()];
        options.subprotocols = vec!["chat".to_owned()];
        options.subprotocol_required = true;
    });
    Served::start(|builder, _| builder.listen_messages("it", listen.with(change), echo))
}

#[test]
fn curl_is_told_why_there_is_no_upgrade() {
    // What a good client sends; each case replaces or adds fields.
    const GOOD: [&str; 7] = [
        "Host: a.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: chat",
        "Origin: https://a.example",
    ];
    let cases: [(&str, &[&str], &[&str], &str); 10] = [
        ("/chat", &["Upgrade:"], &[], "426"),
        ("/chat", &["Sec-WebSocket-Version: 8"], &[], "426"),
        ("/chat", &["Sec-WebSocket-Key: short"], &[], "400"),
        ("/chat", &["Sec-WebSocket-Protocol: news"], &[], "400"),
        ("/chat", &["Origin: https://b.example"], &[], "403"),
        ("/chat", &["Host: b.example"], &[], "421"),
        ("/news", &[], &[], "404"),
        ("/chat", &[], &["-X", "OPTIONS"], "405"),
        ("/chat", &[], &["--http1.0"], "505"),
        ("/chat", &[], &["--data", "body"], "405"),
    ];
    let served = listening(|_| ());
    for (path, fields, more, status) in cases {
        let url = format!("http://{}{path}", served.address());
        let mut arguments = vec!["-o", "/dev/null", "-w", "%{http_code}", &url];
        let name = |field: &str| field.split(':').next().map(str::to_owned);
        let replaced: Vec<_> = fields.iter().map(|field| name(field)).collect();
        let kept = GOOD.iter().filter(|field| !replaced.contains(&name(field)));
        for field in kept.chain(fields) {
            arguments.extend(["-H", field]);
        }
        arguments.extend(more);
        let answer = curl(&arguments);
        assert_eq!(answer.output, status, "{path} {fields:?} {more:?}");
    }
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.refused(Refusal::Upgrade)), (0, 10));
}

#[test]
fn what_is_no_request_is_closed_in_time() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let served = listening(|config| config.timeouts.handshake = Some(DEADLINE));
    let long = [b"GET /".to_vec(), vec![b'x'; 20_000]].concat();
    for (garbage, status) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            "400",
        ),
        (b"HELO example\r\n\r\n", "400"),
        (&long, "431"),
    ] {
        let (answer, _) = talk(served.address(), garbage);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    for incomplete in [&b""[..], b"GET /chat HTTP/1.1\r\nHost: a.exa"] {
        let (answer, waited) = talk(served.address(), incomplete);
        assert!(
            answer.is_empty() && waited >= DEADLINE,
            "{answer:?} after {waited:?}"
        );
    }
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.refused(Refusal::Upgrade)), (0, 3));
    assert_eq!(stats.refused(Refusal::HandshakeTimeout), 2);
}

#[test]
fn curl_gets_its_answer_over_tls() {
    let ca = Authority::new();
    let listen = listen(&ca).alpn(["http/1.1"]);
    let served = Served::start(|builder, seen| {
        builder.listen("it", listen, move |stream| greet(stream, seen.clone()))
    });
    let port = served.address().port();
    let (resolve, url) = (
        format!("b.example:{port}:127.0.0.1"),
        format!("https://b.example:{port}/"),
    );
    let ca = ca.file().display().to_string();
    let answer = curl(&["--cacert", &ca, "--resolve", &resolve, &url]);
    assert_eq!(answer.output, "ahoy\n");
    let seen = served.seen();
    assert_eq!(seen.tls().server_name.as_deref(), Some("b.example"));
    assert_eq!(seen.tls().alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(served.finish().closed(Closed::Finished), 1);
}
