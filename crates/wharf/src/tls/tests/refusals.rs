//! What comes in that is no good, and what the peer is told.

use super::*;
use crate::tls::{AlertReason, MAX_HELLO};

#[tokio::test]
async fn strict_names_refuse_what_matches_nothing() {
    let site = Site::new();
    let server = site.server(|options| options.strict_sni = true);
    let client = site.client(|_| ());
    join(&server, &client, "a.example").await;
    // By address there is no name at all.
    for name in ["b.example", "192.0.2.1"] {
        let (near, far) = meet(&server, &client, name).await;
        assert_eq!(near.unwrap_err().label(), "unknown-name");
        assert!(
            matches!(far.unwrap_err(), HandshakeError::PeerAlert(112)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_hello_is_seen_before_anything_is_decided() {
    let site = Site::new();
    let server = site.server(|_| ());
    let client = site.client(|options| options.alpn = vec!["x".to_owned(), "y".to_owned()]);
    for (reason, code) in [
        (AlertReason::AccessDenied, 49),
        (AlertReason::InternalError, 80),
        (AlertReason::UnrecognizedName, 112),
        (AlertReason::NoApplicationProtocol, 120),
    ] {
        let (near, far) = duplex(PIPE);
        let look = async {
            let hello = server.accept(near).await.unwrap();
            assert_eq!(hello.server_name(), Some("a.example"));
            assert_eq!(hello.alpn().collect::<Vec<_>>(), [b"x", b"y"]);
            assert!(!hello.client_hello().cipher_suites().is_empty());
            assert!(!hello.client_hello().signature_schemes().is_empty());
            hello.refuse(reason).await;
        };
        let ((), far) = tokio::join!(look, client.connect(far, "A.example"));
        let error = far.unwrap_err();
        assert!(
            matches!(error, HandshakeError::PeerAlert(got) if got == code),
            "{error:?}"
        );
    }
}

/// What the server makes of these bytes, and what it answers.
async fn answer(sent: &[u8]) -> (HandshakeError, Vec<u8>) {
    let server = Site::new().server(|_| ());
    let (near, mut far) = duplex(PIPE);
    far.write_all(sent).await.unwrap();
    far.shutdown().await.unwrap();
    let error = serve(&server, near).await.unwrap_err();
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
    (error, answer)
}

#[tokio::test]
async fn what_is_not_tls_is_told_apart() {
    for (sent, label) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "plain-http"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "plain-http"),
        (b"SSH-2.0-x\r\n", "not-tls"),
        (&[0; 64], "not-tls"),
        (&[0xff; 4096], "not-tls"),
        // Application data first.
        (&[23, 3, 3, 0, 2, 1, 1], "not-tls"),
        // A handshake record with a ServerHello of no content.
        (&[22, 3, 1, 0, 4, 2, 0, 0, 0], "other"),
    ] {
        let (error, answer) = answer(sent).await;
        assert_eq!(error.label(), label, "{sent:?}");
        assert_eq!(answer.get(..2), Some(&[21, 3][..]), "no alert for {sent:?}");
    }
}

#[tokio::test]
async fn an_end_in_the_middle_is_a_close() {
    for sent in [&b""[..], &[22], &[22, 3, 1, 1, 0, 1]] {
        let (error, answer) = answer(sent).await;
        assert_eq!(error.label(), "closed");
        assert!(answer.is_empty());
    }
}

#[tokio::test]
async fn a_hello_has_a_largest_size() {
    // A ClientHello that says it has 60,000 bytes, in records of 1,000.
    let mut sent = Vec::new();
    sent.extend([22, 3, 1, 0, 4, 1, 0, 0xea, 0x60]);
    while sent.len() < MAX_HELLO + 1000 {
        sent.extend([22, 3, 1, 3, 0xe8]);
        sent.extend([0; 1000]);
    }
    let (error, answer) = answer(&sent).await;
    assert_eq!(error.label(), "hello-too-large");
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 80]);
}

#[tokio::test]
async fn a_hello_may_come_in_pieces() {
    let site = Site::new();
    let (server, client) = (site.server(|_| ()), site.client(|_| ()));
    let (near, far) = duplex(64);
    // The client reads from the end of its handshake on: the server's tickets fill the pipe.
    let serving = async {
        let mut near = serve(&server, near).await.unwrap();
        near.write_all(b"!").await.unwrap();
        near.shutdown().await.unwrap();
    };
    let asking = async {
        let mut far = client.connect(far, "a.example").await.unwrap();
        far.read_u8().await.unwrap()
    };
    assert_eq!(tokio::join!(serving, asking), ((), b'!'));
}

#[tokio::test]
async fn close_notify_and_half_close_pass() {
    let site = Site::new();
    let (server, client) = (site.server(|_| ()), site.client(|_| ()));
    let (mut near, mut far) = join(&server, &client, "a.example").await;
    far.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    near.write_all(b"late").await.unwrap();
    near.shutdown().await.unwrap();
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"late");
}
