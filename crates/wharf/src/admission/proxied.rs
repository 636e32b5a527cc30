//! The stage that reads the PROXY header.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::Refused;
use crate::config::{ProxyMode, Timeouts};
use crate::path::Endpoint;
use crate::proxy::{self, Addresses, Header, Step};
use crate::reason::Refusal;
use crate::wire::Wire;

/// What the PROXY header of a connection said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxied {
    /// The header.
    pub header: Header,
}

impl Proxied {
    /// The addresses that the proxy's client and the proxy had, local one first.
    pub(crate) fn endpoints(&self) -> Option<(Endpoint, Endpoint)> {
        match &self.header.addresses {
            Addresses::Unspecified => None,
            Addresses::Ip {
                source,
                destination,
            } => Some((
                Endpoint::from_socket(*destination),
                Endpoint::from_socket(*source),
            )),
            Addresses::Unix {
                source,
                destination,
            } => Some((unix(destination), unix(source))),
        }
    }
}

fn unix(path: &[u8]) -> Endpoint {
    match path {
        [] => Endpoint::Unix(None),
        [0, name @ ..] => {
            Endpoint::Unix(Some(format!("@{}", String::from_utf8_lossy(name)).into()))
        }
        _ => Endpoint::Unix(Some(String::from_utf8_lossy(path).into())),
    }
}

/// Reads the header of a trusted peer. `None`: there is none, and none is required.
pub(super) async fn read(
    wire: &mut Wire,
    mode: ProxyMode,
    timeouts: &Timeouts,
) -> Result<Option<Proxied>, Refused> {
    let mut buffer = BytesMut::with_capacity(256);
    let reading = header(wire, &mut buffer);
    let result = match timeouts.proxy_header {
        None => reading.await,
        Some(limit) => match timeout(limit, reading).await {
            Ok(result) => result,
            // Who sent nothing yet is not about to send a header.
            Err(_) if buffer.is_empty() && mode == ProxyMode::Optional => Ok(None),
            Err(_) => Err(Refusal::ProxyTimeout.into()),
        },
    };
    let found = match result? {
        Some((header, consumed)) => {
            let _ = buffer.split_to(consumed);
            Some(Proxied { header })
        }
        None if mode == ProxyMode::Required => return Err(Refusal::ProxyMissing.into()),
        None => None,
    };
    if !buffer.is_empty() {
        wire.unread(Bytes::from(buffer.to_vec()));
    }
    Ok(found)
}

async fn header(
    wire: &mut Wire,
    buffer: &mut BytesMut,
) -> Result<Option<(Header, usize)>, Refused> {
    loop {
        match proxy::parse(buffer, proxy::MAX_BYTES) {
            Ok(Step::Done { header, consumed }) => return Ok(Some((header, consumed))),
            Ok(Step::NotProxy) => return Ok(None),
            Ok(Step::NeedMore { .. }) => {}
            Err(error) => {
                return Err(Refused {
                    reason: Refusal::ProxyInvalid,
                    detail: error.label(),
                });
            }
        }
        match wire.read_buf(buffer).await {
            Ok(0) if buffer.is_empty() => return Err(Refusal::Probe.into()),
            Ok(0) => return Err(Refusal::PeerClosed.into()),
            Ok(_) => {}
            Err(error) => return Err(lost(&error)),
        }
    }
}

/// The refusal that an error of the socket before the handler stands for.
pub(super) fn lost(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => Refusal::PeerClosed.into(),
        _ => Refusal::Io.into(),
    }
}
