//! Version 1: one line of text (section 2.1).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Addresses, Command, Error, Header, Step, Transport, Version, agrees};

pub(super) const SIGNATURE: &[u8] = b"PROXY";
/// The longest line, its CR LF included.
const MAX_LINE: usize = 107;
const UNKNOWN: &str = "PROXY UNKNOWN\r\n";
/// What a line may begin with.
const BEGINNINGS: [&[u8]; 4] = [
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN ",
    UNKNOWN.as_bytes(),
];

/// Reads a line from bytes that agree with the signature.
pub(super) fn parse(buf: &[u8]) -> Result<Step, Error> {
    let buf = &buf[..buf.len().min(MAX_LINE)];
    if !BEGINNINGS.iter().any(|beginning| agrees(buf, beginning)) {
        return Err(Error::Protocol);
    }
    let unknown = agrees(buf, &UNKNOWN.as_bytes()[..13]);
    let Some(end) = buf.windows(2).position(|pair| pair == b"\r\n") else {
        return incomplete(buf, unknown);
    };
    let line = &buf[..end];
    let addresses = if unknown {
        // Whatever stands before the CR LF is ignored.
        Addresses::Unspecified
    } else if line.contains(&b'\n') {
        return Err(Error::LineEnd);
    } else {
        addresses(line)?
    };
    let transport = if unknown {
        Transport::Unspecified
    } else {
        Transport::Stream
    };
    let (version, command, tlvs) = (Version::V1, Command::Proxy, Vec::new());
    let header = Header {
        version,
        command,
        transport,
        addresses,
        tlvs,
    };
    Ok(Step::Done {
        header,
        consumed: end + 2,
    })
}

fn incomplete(buf: &[u8], unknown: bool) -> Result<Step, Error> {
    if !unknown && buf.contains(&b'\n') {
        return Err(Error::LineEnd);
    }
    if buf.len() == MAX_LINE {
        return Err(Error::LineTooLong);
    }
    let line_end = if buf.ends_with(b"\r") { 1 } else { 2 };
    let at_least = UNKNOWN.len().saturating_sub(buf.len()).max(line_end);
    Ok(Step::NeedMore { at_least })
}

fn addresses(line: &[u8]) -> Result<Addresses, Error> {
    let mut fields = line.split(|&byte| byte == b' ').skip(1);
    let mut field = || fields.next().ok_or(Error::Fields);
    let family = field()?;
    let (source, destination) = (field()?, field()?);
    let (source_port, destination_port) = (field()?, field()?);
    if fields.next().is_some() {
        return Err(Error::Fields);
    }
    let ip = |field| match family {
        b"TCP4" => address::<Ipv4Addr>(field).map(IpAddr::from),
        // Real senders write a mapped address with dots, which the grammar does not know.
        _ => address::<Ipv6Addr>(field).map(IpAddr::from),
    };
    Ok(Addresses::Ip {
        source: SocketAddr::new(ip(source)?, port(source_port)?),
        destination: SocketAddr::new(ip(destination)?, port(destination_port)?),
    })
}

fn address<T: FromStr>(field: &[u8]) -> Result<T, Error> {
    let text = str::from_utf8(field).map_err(|_| Error::Address)?;
    text.parse().map_err(|_| Error::Address)
}

fn port(field: &[u8]) -> Result<u16, Error> {
    let text = str::from_utf8(field).map_err(|_| Error::Port)?;
    let plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    if plain {
        text.parse().map_err(|_| Error::Port)
    } else {
        Err(Error::Port)
    }
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    line(header).unwrap_or_else(|| UNKNOWN.into()).into_bytes()
}

/// Nothing for what version 1 cannot say.
fn line(header: &Header) -> Option<String> {
    let Addresses::Ip {
        source,
        destination,
    } = &header.addresses
    else {
        return None;
    };
    if (header.command, header.transport) != (Command::Proxy, Transport::Stream) {
        return None;
    }
    let family = match (source, destination) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return None,
    };
    let mut line = format!("PROXY {family} ");
    push(&mut line, source.ip());
    push(&mut line, destination.ip());
    let _ = write!(line, "{} {}\r\n", source.port(), destination.port());
    Some(line)
}

/// The address and a space. The grammar knows no dots in IPv6, so a mapped address gets none.
fn push(line: &mut String, ip: IpAddr) {
    let _ = match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            let [.., high, low] = v6.segments();
            write!(line, "::ffff:{high:x}:{low:x} ")
        }
        ip => write!(line, "{ip} "),
    };
}
