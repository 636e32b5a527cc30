//! The user's own say: `admit`, `client_hello`, and handlers by protocol.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{ProxyMode, Transport};
use wharf::testkit::{self, Authority, Issued, Leaf};
use wharf::tls::{ClientTls, ClientTlsOptions};
use wharf::{Admit, BoxError, Handler, Handlers, HelloChoice, Refusal, Server, Stream};

use super::{Answer, IT, arrive, connect, echo, knock, refused, start};

#[tokio::test(start_paused = true)]
async fn admit_sees_each_arrival_and_may_refuse() {
    let (listen, connector) = testkit::memory(Transport::Tcp);
    let listen = listen.proxy(ProxyMode::Optional, ["192.0.2.0/24"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let builder = Server::builder()
        .listen(IT, listen, echo)
        .admit(move |arriving| {
            let (peer, proxy) = (
                arriving.path.peer.to_string(),
                arriving.socket_peer.to_string(),
            );
            let refuse = peer.starts_with("203.0.113.");
            told.lock().unwrap().push((peer, proxy, arriving.live));
            if refuse { Admit::Refuse } else { Admit::Accept }
        });
    let handle = start(builder);
    let (answer, _first) = arrive(&connector, "198.51.100.1").await;
    assert_eq!(answer, Answer::Served);
    let mut client = connect(&connector, "192.0.2.1").await;
    let header = b"PROXY TCP4 203.0.113.9 198.51.100.7 1234 443\r\n";
    client.write_all(header).await.unwrap();
    assert_eq!(knock(&mut client).await, Answer::Closed);
    assert_eq!(refused(&handle, Refusal::Hook), 1);
    let pair = |peer: &str, proxy: &str, live| (peer.to_owned(), proxy.to_owned(), live);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            pair("198.51.100.1:1000", "198.51.100.1:1000", 1),
            pair("203.0.113.9:1234", "192.0.2.1:1000", 2),
        ]
    );
}

/// A TLS server in memory with a certificate for `a.example`.
struct Site {
    ca: Authority,
    leaf: Issued,
}

impl Site {
    fn new() -> Self {
        let ca = Authority::new("ca");
        let leaf = ca.issue(&Leaf::named("a", &["a.example"]));
        Self { ca, leaf }
    }

    fn listen(&self) -> (wharf::Listen, testkit::Connector) {
        let (listen, connector) = testkit::memory(Transport::Tls);
        let certificate = self.leaf.certificate();
        let listen = listen.with(|config| config.tls.certificates.push(certificate));
        (listen, connector)
    }

    fn client(&self, alpn: &[&str]) -> ClientTls {
        ClientTls::new(&ClientTlsOptions {
            ca: vec![self.ca.pem()],
            alpn: alpn.iter().map(|&name| name.to_owned()).collect(),
            ..ClientTlsOptions::default()
        })
        .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn client_hello_goes_on_chooses_or_refuses() {
    let site = Site::new();
    let other = site.ca.issue(&Leaf::named("b", &["b.example"]));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let resolver = rustls::sign::SingleCertAndKey::from(other.certified());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    let config = Arc::new(config);
    let (listen, connector) = site.listen();
    let builder = Server::builder()
        .listen(IT, listen, echo)
        .client_hello(move |name, hello| {
            assert_eq!(name, IT);
            match hello.server_name() {
                Some("a.example") => HelloChoice::Proceed,
                Some("b.example") => HelloChoice::Use(config.clone()),
                _ => HelloChoice::Refuse,
            }
        });
    let handle = start(builder);
    let client = site.client(&[]);
    for (name, leaf) in [("a.example", &site.leaf), ("b.example", &other)] {
        let near = connect(&connector, "192.0.2.1").await;
        let mut stream = client.connect(near, name).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(shown, leaf.der);
        assert_eq!(knock(&mut stream).await, Answer::Served);
    }
    let near = connect(&connector, "192.0.2.1").await;
    let error = client
        .connect(near, "c.example")
        .await
        .unwrap_err()
        .to_string();
    // `access_denied` (RFC 8446 §6.2).
    assert_eq!(error, "the peer sent alert 49");
    super::settle().await;
    assert_eq!(refused(&handle, Refusal::Hook), 1);
}

/// A handler that says which one it is.
fn saying(word: &'static str) -> Handler {
    Handler::stream(move |mut stream: Stream| async move {
        stream.write_all(word.as_bytes()).await?;
        stream.shutdown().await?;
        Ok::<(), BoxError>(())
    })
}

async fn heard(site: &Site, connector: &testkit::Connector, alpn: &[&str]) -> String {
    let near = connect(connector, "192.0.2.1").await;
    let mut stream = site.client(alpn).connect(near, "a.example").await.unwrap();
    let mut said = String::new();
    // Who has no handler is cut off without the end of TLS.
    let _ = stream.read_to_string(&mut said).await;
    said
}

#[tokio::test(start_paused = true)]
async fn the_protocol_chooses_the_handler() {
    let site = Site::new();
    let handlers = Handlers::alpn("h2", saying("two")).and("http/1.1", saying("one"));
    let (listen, connector) = site.listen();
    let listen = listen.alpn(["h2", "http/1.1"]);
    let handle = start(Server::builder().listen_with(IT, listen, handlers.clone()));
    assert_eq!(heard(&site, &connector, &["h2"]).await, "two");
    assert_eq!(heard(&site, &connector, &["http/1.1", "x"]).await, "one");
    assert_eq!(heard(&site, &connector, &[]).await, "");
    super::settle().await;
    assert_eq!(refused(&handle, Refusal::NoHandler), 1);

    let (listen, connector) = site.listen();
    let listen = listen.alpn(["h2", "http/1.1"]);
    let handlers = handlers.or(saying("other"));
    start(Server::builder().listen_with(IT, listen, handlers));
    assert_eq!(heard(&site, &connector, &["h2"]).await, "two");
    assert_eq!(heard(&site, &connector, &[]).await, "other");
}
