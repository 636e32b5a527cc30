//! The PROXY header that is sent.

use super::{ProxiedClient, SendProxy};
use crate::path::Endpoint;
use crate::proxy::{Addresses, Command, EncodeError, EncodeOptions, Header, Transport, Version};

/// The header of a connection of this shape, with our end and the peer's.
pub(super) fn encode(
    proxy: &SendProxy,
    shape: Transport,
    ends: (&Endpoint, &Endpoint),
) -> Result<Vec<u8>, EncodeError> {
    let addresses = match &proxy.of {
        ProxiedClient::Ourselves => own(ends),
        ProxiedClient::Other(addresses) => addresses.clone(),
        ProxiedClient::Nobody => Addresses::Unspecified,
    };
    let header = Header {
        version: proxy.version,
        command: match proxy.of {
            ProxiedClient::Nobody => Command::Local,
            _ => Command::Proxy,
        },
        transport: match addresses {
            Addresses::Unspecified => Transport::Unspecified,
            _ => shape,
        },
        addresses,
        tlvs: proxy.tlvs.clone(),
    };
    match proxy.version {
        Version::V1 => Ok(header.encode_v1()),
        Version::V2 => header.encode_v2(&EncodeOptions {
            crc32c: proxy.crc32c,
        }),
    }
}

/// The two ends of the connection itself.
fn own(ends: (&Endpoint, &Endpoint)) -> Addresses {
    match ends {
        (Endpoint::Ip(source), Endpoint::Ip(destination)) => Addresses::Ip {
            source: *source,
            destination: *destination,
        },
        (Endpoint::Unix(source), Endpoint::Unix(destination)) => Addresses::Unix {
            source: unix(source.as_deref()),
            destination: unix(destination.as_deref()),
        },
        // A socket has two ends of one kind.
        _ => Addresses::Unspecified,
    }
}

fn unix(name: Option<&str>) -> Vec<u8> {
    let name = name.unwrap_or_default();
    match name.strip_prefix('@') {
        Some(name) => [b"\0", name.as_bytes()].concat(),
        None => name.as_bytes().to_vec(),
    }
}
