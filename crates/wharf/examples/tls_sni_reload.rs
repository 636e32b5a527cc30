//! Two certificates on one TLS listener, chosen by server name, one of them renewed while it runs.
//!
//! The files are watched, so replacing them is enough; the example also asks for it, as a program
//! would that has just written them.
//!
//! ```text
//! cargo run --example tls_sni_reload -- [TLS]
//! openssl s_client -connect 127.0.0.1:7443 -servername b.example </dev/null | openssl x509 -noout -ext subjectAltName
//! ```
//!
//! With `--check` it prints `b.example was renewed, a.example was not`.

mod support;

use std::fs;

use support::{address, run, temporary};
use tokio::io::AsyncWriteExt;
use wharf::config::Pem;
use wharf::tls::{ClientTlsOptions, Fingerprint};
use wharf::{BoxError, Client, Server, Stream, Tls};

async fn greet(mut stream: Stream) -> Result<(), BoxError> {
    let tls = stream.connection().tls();
    let name = tls
        .and_then(|tls| tls.server_name.clone())
        .unwrap_or_default();
    stream
        .write_all(format!("you asked for {name}\n").as_bytes())
        .await?;
    Ok(stream.shutdown().await?)
}

/// Makes a certificate for `name`; the names of its two files.
fn renew(name: &str) -> Result<(Pem, Pem), BoxError> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    let files = (
        temporary(&format!("{name}.pem")),
        temporary(&format!("{name}.key")),
    );
    fs::write(&files.1, made.signing_key.serialize_pem())?;
    fs::write(&files.0, made.cert.pem())?;
    Ok((Pem::File(files.0.into()), Pem::File(files.1.into())))
}

/// The certificate that the server shows for `name`.
async fn shown(url: &str, name: &str) -> Result<Option<Fingerprint>, BoxError> {
    let tls = ClientTlsOptions {
        ca: vec![Pem::File(temporary(&format!("{name}.pem")).into())],
        server_name: Some(name.to_owned()),
        ..ClientTlsOptions::default()
    };
    let stream = Client::builder().tls(tls).build()?.connect(url).await?;
    let peer = stream.connection().tls().and_then(|tls| tls.peer.clone());
    Ok(peer.map(|peer| peer.fingerprint))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (a, b) = (renew("a.example")?, renew("b.example")?);
    let listen = Tls::bind(address(0, "127.0.0.1:7443"))
        .cert(a.0, a.1)
        .cert(b.0, b.1);
    let server = Server::builder().listen("tls", listen, greet).build()?;

    let handle = server.handle();
    let url = format!("tls://{}", handle.address("tls")?);
    run(server, async {
        let before = (
            shown(&url, "a.example").await?,
            shown(&url, "b.example").await?,
        );
        renew("b.example")?;
        handle.reload_certificates("tls")?;
        let after = (
            shown(&url, "a.example").await?,
            shown(&url, "b.example").await?,
        );
        let told = |renewed| if renewed { "was renewed" } else { "was not" };
        let (a, b) = (told(before.0 != after.0), told(before.1 != after.1));
        println!("b.example {b}, a.example {a}");
        Ok(())
    })
    .await?;
    for name in [
        "a.example.pem",
        "a.example.key",
        "b.example.pem",
        "b.example.key",
    ] {
        fs::remove_file(temporary(name))?;
    }
    Ok(())
}
