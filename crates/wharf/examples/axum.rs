//! An axum application on a TLS listener: HTTP/1.1 and HTTP/2, as ALPN agrees.
//!
//! ```text
//! cargo run --example axum -- [TLS]
//! curl -k --http2 https://127.0.0.1:7443/
//! curl -k --http1.1 https://127.0.0.1:7443/
//! ```
//!
//! With `--check` it prints `HTTP/1.1 and HTTP/2.0 answered`.

mod support;

use axum::body::Body;
use axum::http::{Request, Version};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use support::{address, certificate, run};
use wharf::client::Client;
use wharf::tls::ClientTlsOptions;
use wharf::{BoxError, Path, Server, Stream, Tls};

async fn hello(version: Version, Extension(path): Extension<Path>) -> String {
    format!("{version:?} from {}\n", path.peer)
}

/// One connection: requests until it ends, or until the server drains and those begun are done.
async fn serve(stream: Stream, router: Router) -> Result<(), BoxError> {
    let connection = stream.connection().clone();
    let is_h2 = connection.tls().and_then(|tls| tls.alpn.as_deref()) == Some(b"h2");
    let builder = Builder::new(TokioExecutor::new());
    let builder = if is_h2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    let service = TowerToHyperService::new(router.layer(Extension(stream.path())));
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => return result,
        () = connection.draining() => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (cert, key) = certificate(&["localhost", "127.0.0.1"])?;
    let listen = Tls::bind(address(0, "127.0.0.1:7443")).cert(cert.clone(), key);
    let router = Router::new().route("/", get(hello));
    let server = Server::builder()
        .listen("https", listen.alpn(["h2", "http/1.1"]), move |stream| {
            serve(stream, router.clone())
        })
        .build()?;

    let url = format!("tls://{}", server.handle().address("https")?);
    run(server, async {
        let mut answers = Vec::new();
        for protocol in ["http/1.1", "h2"] {
            let tls = ClientTlsOptions {
                ca: vec![cert.clone()],
                alpn: vec![protocol.to_owned()],
                ..ClientTlsOptions::default()
            };
            let client = Client::builder().tls(tls).build()?;
            let io = TokioIo::new(client.connect(&url).await?);
            let request = Request::get("https://localhost/").header("host", "localhost");
            let request = request.body(Body::empty())?;
            let response = if protocol == "h2" {
                let (mut sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(driver);
                sender.send_request(request).await?
            } else {
                let (mut sender, driver) = http1::handshake(io).await?;
                tokio::spawn(driver);
                sender.send_request(request).await?
            };
            let body = axum::body::to_bytes(Body::new(response.into_body()), 1024).await?;
            let text = String::from_utf8_lossy(&body).into_owned();
            answers.extend(text.split_once(' ').map(|(version, _)| version.to_owned()));
        }
        println!("{} answered", answers.join(" and "));
        Ok(())
    })
    .await
}
