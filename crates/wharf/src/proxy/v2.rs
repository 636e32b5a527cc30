//! Version 2: binary (section 2.2).

use std::net::{IpAddr, SocketAddr};

use super::tlv;
use super::{
    Addresses, Command, EncodeError, EncodeOptions, Error, Header, Step, Transport, Version,
};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of what follows.
const FIXED: usize = 16;
const UNIX_NAME: usize = 108;

/// Reads a header from bytes that agree with the signature.
pub(super) fn parse(buf: &[u8], max_bytes: usize) -> Result<Step, Error> {
    // What is wrong is told as soon as it is seen, so that the sender notices.
    let Some(&version_command) = buf.get(12) else {
        return Ok(Step::NeedMore {
            at_least: FIXED - buf.len(),
        });
    };
    let command = match (version_command >> 4, version_command & 0xF) {
        (2, 0) => Command::Local,
        (2, 1) => Command::Proxy,
        (2, command) => return Err(Error::Command(command)),
        (version, _) => return Err(Error::Version(version)),
    };
    let family = match (command, buf.get(13)) {
        (_, None) => {
            return Ok(Step::NeedMore {
                at_least: FIXED - buf.len(),
            });
        }
        // The whole block is to be discarded, its family included.
        (Command::Local, _) => 0,
        (Command::Proxy, Some(&family)) => family,
    };
    let (transport, addresses_len) = match family {
        0x00 => (Transport::Unspecified, 0),
        0x11 => (Transport::Stream, 2 * (4 + 2)),
        0x12 => (Transport::Datagram, 2 * (4 + 2)),
        0x21 => (Transport::Stream, 2 * (16 + 2)),
        0x22 => (Transport::Datagram, 2 * (16 + 2)),
        0x31 => (Transport::Stream, 2 * UNIX_NAME),
        0x32 => (Transport::Datagram, 2 * UNIX_NAME),
        family => return Err(Error::Family(family)),
    };
    let Some(&[high, low]) = buf.get(14..FIXED).and_then(<[u8]>::first_chunk) else {
        return Ok(Step::NeedMore {
            at_least: FIXED - buf.len(),
        });
    };
    let bytes = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if bytes > max_bytes {
        return Err(Error::TooLong {
            bytes,
            max: max_bytes,
        });
    }
    let tlvs_at = FIXED + addresses_len;
    if bytes < tlvs_at {
        return Err(Error::ShortAddresses);
    }
    let Some(whole) = buf.get(..bytes) else {
        return Ok(Step::NeedMore {
            at_least: bytes - buf.len(),
        });
    };
    let tlvs = match command {
        Command::Local => Vec::new(),
        Command::Proxy => tlv::decode_all(whole, tlvs_at)?,
    };
    let addresses = addresses(&whole[FIXED..tlvs_at]);
    let version = Version::V2;
    let header = Header {
        version,
        command,
        transport,
        addresses,
        tlvs,
    };
    Ok(Step::Done {
        header,
        consumed: bytes,
    })
}

/// The block's length tells its family.
fn addresses(block: &[u8]) -> Addresses {
    let ip = |source: IpAddr, destination: IpAddr| {
        let [.., a, b, c, d] = *block else {
            return Addresses::Unspecified;
        };
        Addresses::Ip {
            source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
            destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
        }
    };
    if let Some((source, rest)) = block.split_first_chunk::<UNIX_NAME>() {
        Addresses::Unix {
            source: unix_name(source),
            destination: unix_name(rest),
        }
    } else if let Some((&source, rest)) = block.split_first_chunk::<16>() {
        rest.first_chunk::<16>()
            .map_or(Addresses::Unspecified, |&destination| {
                ip(source.into(), destination.into())
            })
    } else if let Some(&[a, b, c, d, e, f, g, h]) = block.first_chunk() {
        ip([a, b, c, d].into(), [e, f, g, h].into())
    } else {
        Addresses::Unspecified
    }
}

/// A path ends at its first NUL; an abstract name, which begins with one, at its last other byte.
fn unix_name(field: &[u8]) -> Vec<u8> {
    let len = match field.first() {
        Some(0) => field
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1),
        _ => field
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(field.len()),
    };
    field[..len].to_vec()
}

pub(super) fn encode(header: &Header, options: EncodeOptions) -> Result<Vec<u8>, EncodeError> {
    let mut out = SIGNATURE.to_vec();
    match header.command {
        Command::Local => out.extend([0x20, 0, 0, 0]),
        Command::Proxy => {
            out.extend([0x21, family(header)?, 0, 0]);
            push_addresses(&mut out, &header.addresses)?;
            for tlv in &header.tlvs {
                tlv::encode(&mut out, tlv)?;
            }
        }
    }
    if options.crc32c {
        tlv::push(&mut out, tlv::CRC32C, &[0; 4])?;
    }
    let len = u16::try_from(out.len() - FIXED).map_err(|_| EncodeError::TooLong)?;
    out[14..FIXED].copy_from_slice(&len.to_be_bytes());
    if options.crc32c {
        // Section 2.2.3: of the whole header, while the checksum itself is zeros.
        let sum = crc32c::crc32c(&out).to_be_bytes();
        let at = out.len() - sum.len();
        out[at..].copy_from_slice(&sum);
    }
    Ok(out)
}

fn family(header: &Header) -> Result<u8, EncodeError> {
    let family = match &header.addresses {
        Addresses::Unspecified => return Ok(0x00),
        Addresses::Ip {
            source: SocketAddr::V4(_),
            destination: SocketAddr::V4(_),
        } => 0x10,
        Addresses::Ip {
            source: SocketAddr::V6(_),
            destination: SocketAddr::V6(_),
        } => 0x20,
        Addresses::Ip { .. } => return Err(EncodeError::MixedFamilies),
        Addresses::Unix { .. } => 0x30,
    };
    match header.transport {
        Transport::Stream => Ok(family | 0x1),
        Transport::Datagram => Ok(family | 0x2),
        Transport::Unspecified => Err(EncodeError::NoTransport),
    }
}

fn push_addresses(out: &mut Vec<u8>, addresses: &Addresses) -> Result<(), EncodeError> {
    match addresses {
        Addresses::Unspecified => {}
        Addresses::Ip {
            source,
            destination,
        } => {
            for address in [source, destination] {
                match address.ip() {
                    IpAddr::V4(v4) => out.extend(v4.octets()),
                    IpAddr::V6(v6) => out.extend(v6.octets()),
                }
            }
            out.extend(source.port().to_be_bytes());
            out.extend(destination.port().to_be_bytes());
        }
        Addresses::Unix {
            source,
            destination,
        } => {
            for name in [source, destination] {
                let mut field = [0; UNIX_NAME];
                let place = field.get_mut(..name.len()).ok_or(EncodeError::UnixName)?;
                place.copy_from_slice(name);
                if unix_name(&field) != *name {
                    return Err(EncodeError::UnixName);
                }
                out.extend(field);
            }
        }
    }
    Ok(())
}
