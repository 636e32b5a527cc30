//! What the examples share: addresses from the command line, a certificate, and a run.
#![allow(dead_code, reason = "each example uses its part")]

use std::future::Future;

use wharf::config::Pem;
use wharf::tls::ClientTlsOptions;
use wharf::{BoxError, Client, Server};

/// Whether the example plays its own client once, on ports of its own, and ends.
pub(crate) fn is_check() -> bool {
    std::env::args()
        .nth(1)
        .is_some_and(|first| first == "--check")
}

/// The address that the command line gives in this place, or the default.
pub(crate) fn address(place: usize, default: &str) -> String {
    match is_check() {
        false => std::env::args()
            .nth(place + 1)
            .unwrap_or_else(|| default.to_owned()),
        true if default.contains('/') => temporary(&format!("{place}.sock")),
        true => "127.0.0.1:0".to_owned(),
    }
}

/// A file of this process alone.
pub(crate) fn temporary(name: &str) -> String {
    let name = format!("wharf-example-{}-{name}", std::process::id());
    std::env::temp_dir()
        .join(name)
        .to_string_lossy()
        .into_owned()
}

/// A certificate that nobody else trusts, for these names, and its key: PEM.
pub(crate) fn certificate(names: &[&str]) -> Result<(Pem, Pem), BoxError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Ok((Pem::Inline { pem: cert }, Pem::Inline { pem: key }))
}

/// A client that trusts `ca`.
pub(crate) fn trusting(ca: &Pem) -> Result<Client, BoxError> {
    let tls = ClientTlsOptions {
        ca: vec![ca.clone()],
        ..ClientTlsOptions::default()
    };
    Ok(Client::builder().tls(tls).build()?)
}

/// Runs the server until Ctrl-C; with `--check` until `client` is done.
pub(crate) async fn run(
    server: Server,
    client: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    let handle = server.handle();
    let mut result = Ok(());
    let end = async {
        if is_check() {
            result = client.await;
            return;
        }
        for name in handle.listeners() {
            if let Ok(address) = handle.address(&name) {
                println!("{name} on {address}");
            }
        }
        result = tokio::signal::ctrl_c().await.map_err(Into::into);
    };
    println!("{}", server.run_until(end).await);
    result
}
