//! The load's connections: made by hand where that is cheaper than a library, so that the load keeps
//! ahead of the server.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wharf::quic::quinn::Endpoint;

use super::options::{LoadRole, Transport, Work};
use super::quic;
use crate::Failure;

/// How often a full backlog is tried again, and after how long.
const ATTEMPTS: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(1);

/// Any connection of bytes.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// Makes connections to one server.
pub(super) struct Connector {
    transport: Transport,
    address: String,
    subprotocol: Option<&'static str>,
    tls: Option<TlsConnector>,
    quic: Option<Endpoint>,
}

impl Connector {
    pub(super) fn new(role: &LoadRole) -> Result<Self, Failure> {
        let tls = match role.transport {
            Transport::Tls => Some(trusting(&role.folder.join("cert.pem"))?),
            _ => None,
        };
        let quic = match role.transport {
            Transport::Quic => Some(quic::client(&role.folder)?),
            _ => None,
        };
        Ok(Self {
            transport: role.transport,
            address: role.address.clone(),
            subprotocol: (role.work == Work::Sip).then_some("sip"),
            tls,
            quic,
        })
    }

    /// A connection, its handshakes complete.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Bytes>> {
        if let Some(endpoint) = &self.quic {
            return quic::connect(endpoint, &self.address).await;
        }
        if self.transport == Transport::Unix {
            return Ok(Box::new(unix(&self.address).await?));
        }
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            return Ok(Box::new(tls.connect(name, stream).await?));
        }
        if self.transport == Transport::Ws {
            upgrade(&mut stream, self.subprotocol).await?;
        }
        Ok(Box::new(stream))
    }
}

fn trusting(cert: &Path) -> Result<TlsConnector, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("certificate", error);
    let cert = CertificateDer::from_pem_file(cert).map_err(|error| refused(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(cert).map_err(|error| refused(&error))?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A WebSocket's opening handshake (RFC 6455 section 4.1), with the key of its section 1.3.
async fn upgrade(stream: &mut TcpStream, subprotocol: Option<&str>) -> io::Result<()> {
    let subprotocol = subprotocol.map_or(String::new(), |name| {
        format!("Sec-WebSocket-Protocol: {name}\r\n")
    });
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
        if answer.len() > 4096 {
            break;
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Err(io::Error::new(io::ErrorKind::InvalidData, answer))
}

/// A request of `size` bytes and the answer that an echo gives, as they are on the wire below TLS.
pub(super) fn echo(transport: Transport, size: usize) -> (Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..size).map(|i| i as u8).collect();
    match transport {
        Transport::Ws => in_frames(BINARY, &payload, &payload),
        _ => (payload.clone(), payload),
    }
}

/// An OPTIONS of SIP and its answer, as they are on the wire below TLS.
pub(super) fn sip(transport: Transport) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let (request, answer) = crate::sip::exchange(&transport.word().to_ascii_uppercase())?;
    Ok(match transport {
        Transport::Ws => in_frames(TEXT, &request, &answer),
        _ => (request, answer),
    })
}

/// The opcode of a message, in its only frame (RFC 6455 section 5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// A message of a client and one of a server, each in one frame.
fn in_frames(opcode: u8, request: &[u8], answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // 7 or 16 bits of length (RFC 6455 section 5.2).
    let header = |mask: u8, size: usize| {
        if let 0..=125 = size {
            vec![opcode, mask | size as u8]
        } else {
            let [high, low] = (size as u16).to_be_bytes();
            vec![opcode, mask | 0x7e, high, low]
        }
    };
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut masked = header(0x80, request.len());
    masked.extend(key);
    masked.extend(request.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
    let mut plain = header(0, answer.len());
    plain.extend(answer);
    (masked, plain)
}

/// Connects to a Unix socket. While the backlog is full the kernel says so instead of waiting.
async fn unix(path: &str) -> io::Result<UnixStream> {
    for _ in 0..ATTEMPTS {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(PAUSE).await;
            }
            connected => return connected,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_in_the_rfc() {
        // RFC 6455 section 5.7: a masked "Hello" has these header and key bytes.
        let (request, answer) = echo(Transport::Ws, 5);
        assert_eq!(request[..6], [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(request[6..], [0x37, 0xfb, 0x23, 0x3e, 0x33]);
        assert_eq!(answer, [0x82, 5, 0, 1, 2, 3, 4]);
        let (request, answer) = echo(Transport::Ws, 256);
        assert_eq!((request.len(), answer.len()), (264, 260));
        assert_eq!(request[1..4], [0xfe, 1, 0]);
    }
}
