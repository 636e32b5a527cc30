//! Both sides over memory.

mod clients;
mod negotiation;
mod options;
mod refusals;
mod reload;

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client, server};

use super::{ClientTls, ClientTlsOptions, HandshakeError, ServerTls, TlsInfo};
use crate::config::{Pem, TlsOptions};
use crate::testkit::{Authority, Issued, Leaf};

const PIPE: usize = 64 * 1024;

type ServerStream = server::TlsStream<DuplexStream>;
type ClientStream = client::TlsStream<DuplexStream>;

/// An authority with a certificate for `a.example`.
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

    fn options(&self) -> TlsOptions {
        TlsOptions {
            certificates: vec![self.leaf.certificate()],
            ..TlsOptions::default()
        }
    }

    fn server(&self, change: impl FnOnce(&mut TlsOptions)) -> ServerTls {
        let mut options = self.options();
        change(&mut options);
        ServerTls::new(&options).unwrap()
    }

    fn client(&self, change: impl FnOnce(&mut ClientTlsOptions)) -> ClientTls {
        let mut options = ClientTlsOptions {
            ca: vec![self.ca.pem()],
            ..ClientTlsOptions::default()
        };
        change(&mut options);
        ClientTls::new(&options).unwrap()
    }

    /// A client that speaks these versions only.
    fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        let Pem::Inline { pem } = self.ca.pem() else {
            unreachable!("the authority has no file")
        };
        let ca = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

async fn serve(server: &ServerTls, io: DuplexStream) -> Result<ServerStream, HandshakeError> {
    server.accept(io).await?.proceed().await
}

/// What both sides make of a handshake.
async fn meet(
    server: &ServerTls,
    client: &ClientTls,
    name: &str,
) -> (
    Result<ServerStream, HandshakeError>,
    Result<ClientStream, HandshakeError>,
) {
    let (near, far) = duplex(PIPE);
    tokio::join!(serve(server, near), client.connect(far, name))
}

async fn join(server: &ServerTls, client: &ClientTls, name: &str) -> (ServerStream, ClientStream) {
    let (near, far) = meet(server, client, name).await;
    (near.unwrap(), far.unwrap())
}

async fn join_of(server: &ServerTls, client: &TlsConnector) -> (ServerStream, ClientStream) {
    let (near, far) = duplex(PIPE);
    let name = ServerName::try_from("a.example").unwrap();
    let (near, far) = tokio::join!(serve(server, near), client.connect(name, far));
    (near.unwrap(), far.unwrap())
}

/// A byte each way.
async fn exchange(near: &mut ServerStream, far: &mut ClientStream) {
    far.write_all(b"?").await.unwrap();
    assert_eq!(near.read_u8().await.unwrap(), b'?');
    near.write_all(b"!").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'!');
}

fn info(near: &ServerStream) -> TlsInfo {
    TlsInfo::of_server(near.get_ref().1).unwrap()
}

/// The leaf that the client was shown.
fn shown(far: &ClientStream) -> Vec<u8> {
    far.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
