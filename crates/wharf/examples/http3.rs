//! HTTP/3 with `h3` on a QUIC listener: the handler has the connection as a whole.
//!
//! ```text
//! cargo run --example http3 -- [QUIC]
//! gtlsclient 127.0.0.1 4433 https://localhost:4433/
//! ```
//!
//! With `--check` it prints `200 hello from /ahoy over HTTP/3`.

mod support;

use std::future::poll_fn;

use bytes::{Buf, Bytes};
use h3::server::{Connection, RequestResolver};
use http::{Request, Response};
use support::{address, certificate, run};
use tokio::task::JoinSet;
use wharf::tls::ClientTlsOptions;
use wharf::{BoxError, Client, Handler, Quic, QuicConnection, Server};

async fn serve(connection: QuicConnection) -> Result<(), BoxError> {
    let quinn = h3_quinn::Connection::new(connection.quinn().clone());
    let mut h3 = Connection::new(quinn).await?;
    let mut requests = JoinSet::new();
    let mut drains = false;
    loop {
        let control = connection.connection();
        tokio::select! {
            request = h3.accept() => match request {
                Ok(Some(request)) => drop(requests.spawn(answer(request))),
                Ok(None) => break,
                // How a client that leaves is seen.
                Err(error) if error.is_h3_no_error() => break,
                Err(error) => return Err(error.into()),
            },
            Some(done) = requests.join_next() => done??,
            () = control.draining(), if !drains => {
                drains = true;
                h3.shutdown(0).await?;
            }
        }
    }
    while let Some(done) = requests.join_next().await {
        done??;
    }
    Ok(())
}

async fn answer(request: RequestResolver<h3_quinn::Connection, Bytes>) -> Result<(), BoxError> {
    let (request, mut stream) = request.resolve_request().await?;
    stream.send_response(Response::new(())).await?;
    let hello = format!("hello from {} over HTTP/3\n", request.uri().path());
    stream.send_data(hello.into()).await?;
    Ok(stream.finish().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (cert, key) = certificate(&["localhost", "127.0.0.1"])?;
    let listen = Quic::bind(address(0, "127.0.0.1:4433"))
        .cert(cert.clone(), key)
        .alpn(["h3"]);
    let server = Server::builder()
        .listen_with("http3", listen, Handler::quic(serve))
        .build()?;

    let authority = server.handle().address("http3")?.to_string();
    let client = async {
        let tls = ClientTlsOptions {
            ca: vec![cert.clone()],
            alpn: vec!["h3".to_owned()],
            ..ClientTlsOptions::default()
        };
        let client = Client::builder().tls(tls).build()?;
        let connection = client.connect_quic(&format!("quic://{authority}")).await?;
        let quinn = h3_quinn::Connection::new(connection.quinn().clone());
        let (mut driver, mut requests) = h3::client::new(quinn).await?;
        let driving = tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        let request = Request::get(format!("https://{authority}/ahoy")).body(())?;
        let mut stream = requests.send_request(request).await?;
        stream.finish().await?;
        let status = stream.recv_response().await?.status().as_u16();
        let mut body = Vec::new();
        while let Some(mut part) = stream.recv_data().await? {
            body.extend(part.copy_to_bytes(part.remaining()));
        }
        print!("{status} {}", String::from_utf8_lossy(&body));
        drop((stream, requests));
        driving.await?;
        Ok(())
    };
    run(server, Box::pin(client)).await
}
