//! Clients over TLS that show certificates, and some that do not.

use crate::harness::{Certificate, Daemon, File, free_port, with_tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::tls::ClientTlsOptions;
use wharf::{Client, config};

/// A Binding request without attributes (RFC 8489 section 5).
const BINDING: &[u8] = b"\x00\x01\x00\x00\x21\x12\xa4\x42wharf-client";

/// Whether a client that shows `own` gets an answer from the server on this port.
fn is_answered(port: u16, server: &Certificate, own: Option<&Certificate>) -> bool {
    let asked = async {
        let client = Client::builder().tls(ClientTlsOptions {
            ca: vec![server.cert.path().into()],
            certificate: own.map(|own| config::Certificate {
                cert: own.cert.path().into(),
                key: own.key.path().into(),
                names: Vec::new(),
            }),
            server_name: Some("localhost".to_owned()),
            ..ClientTlsOptions::default()
        });
        let client = client.build().unwrap();
        // With TLS 1.3 the client may have done its part before it is refused.
        let mut stream = client
            .connect(&format!("tls://127.0.0.1:{port}"))
            .await
            .ok()?;
        stream.write_all(BINDING).await.ok()?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.ok()?;
        Some(answer)
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    match runtime.block_on(asked) {
        Some(answer) => {
            assert_eq!(answer, [0x01, 0x01]);
            true
        }
        None => false,
    }
}

#[test]
fn a_client_shows_a_certificate_where_it_must() {
    let (server, known, stranger) = (Certificate::new(), Certificate::new(), Certificate::new());
    for (mode, without) in [("required", false), ("optional", true)] {
        let (port, tls) = (free_port(), free_port());
        let client_auth = format!(
            "client-auth = '{mode}'\nclient-ca = ['{}']\n",
            known.cert.path()
        );
        let file = File::new(&(with_tls(port, tls, &server) + &client_auth));
        let mut daemon = Daemon::ready(&file);
        assert!(is_answered(tls, &server, Some(&known)), "{mode}");
        daemon.line("\"client certificate\"");
        assert_eq!(is_answered(tls, &server, None), without, "{mode}");
        assert!(!is_answered(tls, &server, Some(&stranger)), "{mode}");
        let refused = if without { 1 } else { 2 };
        daemon.counts(&format!(
            "wharf_connections_refused_total{{listener=\"turn-tls\",reason=\"tls\"}} {refused}"
        ));
    }
}
