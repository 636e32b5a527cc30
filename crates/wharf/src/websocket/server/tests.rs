use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, duplex};

use super::*;

const GOOD: &str = "GET /chat?x=1 HTTP/1.1\r\nHost: Example.org:8080\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nOrigin: https://example.org\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

fn options() -> WebSocketOptions {
    WebSocketOptions {
        paths: vec!["/chat".into()],
        hosts: vec!["example.org".into()],
        origins: vec!["https://example.org".into()],
        subprotocols: vec!["superchat".into(), "chat".into()],
        subprotocol_required: true,
        ..WebSocketOptions::default()
    }
}

async fn answer(request: &[u8], options: &WebSocketOptions) -> (String, Result<(), UpgradeError>) {
    let (near, mut far) = duplex(1 << 20);
    let result = upgrade(near, request, options, false).await;
    let result = result.map(drop);
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.expect("text");
    (answer, result)
}

#[tokio::test]
async fn grants_with_the_preferred_subprotocol_and_no_extension() {
    let (answer, result) = answer(GOOD.as_bytes(), &options()).await;
    result.expect("granted");
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n"
    );
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let cases = [
        ("GET ", "POST ", Refusal::Method, 405),
        ("HTTP/1.1", "HTTP/1.0", Refusal::HttpVersion, 505),
        ("HTTP/1.1", "HTTP/3.1", Refusal::HttpVersion, 505),
        ("Host: Example.org:8080\r\n", "", Refusal::Malformed, 400),
        ("Host:", "Host: a\r\nHost:", Refusal::Malformed, 400),
        (
            "Host:",
            "Content-Length: 5\r\nHost:",
            Refusal::Malformed,
            400,
        ),
        (
            "Host:",
            "Transfer-Encoding: chunked\r\nHost:",
            Refusal::Malformed,
            400,
        ),
        (
            "Origin:",
            "Origin: null\r\nOrigin:",
            Refusal::Malformed,
            400,
        ),
        ("Host", "Ho st", Refusal::Malformed, 400),
        ("GET ", "get ", Refusal::Malformed, 400),
        ("GET ", "\u{16}\u{3}\u{1}", Refusal::Malformed, 400),
        (
            "Upgrade: WebSocket",
            "Upgrade: h2c",
            Refusal::NotWebSocket,
            426,
        ),
        (
            "keep-alive, Upgrade",
            "keep-alive",
            Refusal::NotWebSocket,
            426,
        ),
        ("Version: 13", "Version: 8", Refusal::Version, 426),
        ("Sec-WebSocket-Version: 13\r\n", "", Refusal::Version, 426),
        ("b25jZQ==", "b25jZQ=", Refusal::Key, 400),
        ("Sec-WebSocket-Key", "X-Key", Refusal::Key, 400),
        ("/chat?x", "/other?x", Refusal::Path, 404),
        ("Example.org", "example.com", Refusal::Host, 421),
        ("Origin: https", "Origin: http", Refusal::Origin, 403),
        ("Origin:", "X-Origin:", Refusal::Origin, 403),
        ("chat, superchat", "other", Refusal::Subprotocol, 400),
    ];
    for (from, to, refusal, status) in cases {
        let request = GOOD.replacen(from, to, 1);
        assert_ne!(request, GOOD, "{from} is in the request");
        let (answer, result) = answer(request.as_bytes(), &options()).await;
        let error = result.expect_err(to);
        assert!(
            matches!(error, UpgradeError::Refused(found) if found == refusal),
            "{to}: {error}"
        );
        assert_eq!(
            (error.status(), error.label()),
            (Some(status), refusal.label())
        );
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("close\r\n") && answer.ends_with("\r\n\r\n"));
        let names_version = answer.contains("Sec-WebSocket-Version: 13\r\n");
        assert_eq!(names_version, status == 426, "{answer}");
    }
}

#[tokio::test]
async fn a_head_at_the_limit_passes_and_one_above_it_does_not() {
    let max = 1024;
    let options = WebSocketOptions {
        max_head: max,
        ..WebSocketOptions::default()
    };
    let pad = |length: usize| {
        let field = format!("X-Pad: {}\r\nHost", "x".repeat(length));
        GOOD.replacen("Host", &field, 1)
    };
    let fits = pad(max as usize - GOOD.len() - "X-Pad: \r\n".len());
    assert_eq!(fits.len() as u64, max);
    answer(fits.as_bytes(), &options).await.1.expect("granted");
    for request in [
        &fits.replacen("xx", "xxx", 1),
        &"GET /".repeat(300),
        &"A".repeat(17),
    ] {
        let refused = answer(request.as_bytes(), &options).await.1;
        let status = refused.expect_err("too long").status();
        let expected = if request.contains("GET") { 431 } else { 400 };
        assert_eq!(status, Some(expected));
    }
    let many = GOOD.replacen("Host", &format!("{}Host", "A: b\r\n".repeat(95)), 1);
    let refused = answer(many.as_bytes(), &WebSocketOptions::default())
        .await
        .1;
    assert_eq!(refused.expect_err("too many fields").status(), Some(431));
}

#[tokio::test]
async fn what_follows_the_head_is_kept() {
    use tokio::io::AsyncWriteExt as _;
    let (near, mut far) = duplex(1 << 16);
    let (prefix, rest) = GOOD.split_at(70);
    far.write_all(rest.as_bytes()).await.expect("room");
    far.write_all(b"first frames").await.expect("room");
    let upgraded = upgrade(near, prefix.as_bytes(), &options(), false).await;
    assert_eq!(upgraded.expect("granted").leftover, &b"first frames"[..]);
}

#[tokio::test]
async fn an_end_within_the_head_is_told_and_not_answered() {
    let (near, mut far) = duplex(1024);
    far.shutdown().await.expect("open");
    let error = upgrade(near, b"GET / HT", &options(), false)
        .await
        .expect_err("an end");
    assert!(matches!(error, UpgradeError::Closed) && error.status().is_none());
}

#[test]
fn a_host_is_listed_by_name_or_with_its_port() {
    let cases = [
        ("example.org", "EXAMPLE.org:9", false, true),
        ("example.org:80", "example.org", false, true),
        ("example.org:443", "example.org", true, true),
        ("example.org:443", "example.org", false, false),
        ("example.org:8080", "example.org:8081", true, false),
        ("[::1]", "[::1]:80", false, true),
        ("[::1]:80", "[::1]", false, true),
        ("[::1]", "[::2]", false, false),
    ];
    for (listed, host, secure, expected) in cases {
        assert_eq!(is_host(listed, host, secure), expected, "{listed} {host}");
    }
}

#[test]
fn a_target_in_absolute_form_names_the_host() {
    let request = GOOD.replacen("/chat", "https://other.net/chat", 1);
    let open = WebSocketOptions::default();
    let accept = decide(Bytes::from(request), &open, true).expect("granted");
    let request = accept.request;
    assert_eq!((request.host(), request.path()), ("other.net", "/chat"));
    assert_eq!(request.query(), Some("x=1"));
    assert_eq!(
        request.subprotocols().collect::<Vec<_>>(),
        ["chat", "superchat"]
    );
    assert_eq!(request.headers().count(), 8);
}

proptest! {
    #[test]
    fn any_head_is_judged(head: Vec<u8>, at in 0..GOOD.len(), byte: u8) {
        let _ = decide(Bytes::from(head), &options(), false);
        let mut near = GOOD.as_bytes().to_vec();
        near[at] = byte;
        if let Ok(accept) = decide(Bytes::from(near), &options(), false) {
            prop_assert_eq!(accept.request.path(), "/chat");
        }
    }
}
