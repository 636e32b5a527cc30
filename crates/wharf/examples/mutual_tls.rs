//! Clients that show a certificate, and are known by it.
//!
//! ```text
//! cargo run --example mutual_tls -- [TLS] [DIRECTORY]
//! openssl s_client -quiet -connect 127.0.0.1:7443 -cert DIRECTORY/alice.pem -key DIRECTORY/alice.key
//! ```
//!
//! With `--check` it prints `alice was let in, a stranger was not`.

mod support;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use support::{address, certificate, is_check, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{Certificate, ClientAuth, Pem};
use wharf::tls::ClientTlsOptions;
use wharf::{BoxError, Client, Server, Stream, Tls};

async fn greet(mut stream: Stream) -> Result<(), BoxError> {
    let tls = stream.connection().tls();
    let peer = tls.and_then(|tls| tls.peer.as_ref());
    let name = peer
        .and_then(|peer| peer.common_name.clone())
        .unwrap_or_default();
    stream
        .write_all(format!("hello {name}\n").as_bytes())
        .await?;
    Ok(stream.shutdown().await?)
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn pem(pem: String) -> Pem {
    Pem::Inline { pem }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // The authority of our clients, and a certificate that it issued.
    let mut params = named("clients of the example");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let alice = named("alice").signed_by(&key, &authority)?;
    if let Some(directory) = std::env::args().nth(2).filter(|_| !is_check()) {
        std::fs::write(format!("{directory}/alice.pem"), alice.pem())?;
        std::fs::write(format!("{directory}/alice.key"), key.serialize_pem())?;
    }

    let (cert, server_key) = certificate(&["localhost", "127.0.0.1"])?;
    let listen = Tls::bind(address(0, "127.0.0.1:7443")).cert(cert.clone(), server_key);
    let listen = listen.with(|config| {
        config.tls.client_auth = ClientAuth::Required;
        config.tls.client_ca = vec![pem(authority.pem())];
    });
    let server = Server::builder().listen("tls", listen, greet).build()?;

    let url = format!("tls://{}", server.handle().address("tls")?);
    run(server, async {
        let tls = ClientTlsOptions {
            ca: vec![cert.clone()],
            certificate: Some(Certificate {
                cert: pem(alice.pem()),
                key: pem(key.serialize_pem()),
                names: Vec::new(),
            }),
            ..ClientTlsOptions::default()
        };
        let mut said = String::new();
        let alice = Client::builder().tls(tls).build()?;
        alice.connect(&url).await?.read_to_string(&mut said).await?;
        let who = said.trim().trim_start_matches("hello ");
        // With TLS 1.3 a client learns at its first read that it is refused.
        let mut stranger = support::trusting(&cert)?.connect(&url).await?;
        let refused = stranger.read(&mut [0; 1]).await.is_err();
        println!(
            "{who} was let in, a stranger was{}",
            if refused { " not" } else { "" }
        );
        Ok(())
    })
    .await
}
