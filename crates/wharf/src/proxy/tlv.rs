//! What a header of version 2 says beyond addresses (sections 2.2.1 to 2.2.8).

use super::{EncodeError, Error};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
pub(super) const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIG_ALG: u8 = 0x24;
const SSL_KEY_ALG: u8 = 0x25;
const NETNS: u8 = 0x30;
/// Section 2.2.5.
const MAX_UNIQUE_ID: usize = 128;

/// One thing that a proxy says. Text is as the proxy sent it and may hold control characters. The
/// checksum and the padding are not here: the one is verified, the other dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tlv {
    /// The application protocol that the client negotiated (section 2.2.1).
    Alpn(Vec<u8>),
    /// The host name that the client asked for, such as the TLS server name (section 2.2.2).
    Authority(String),
    /// The proxy's name for the connection, at most 128 bytes (section 2.2.5).
    UniqueId(Vec<u8>),
    /// The client's TLS session (section 2.2.6).
    Ssl(Box<Ssl>),
    /// The network namespace, in ASCII (section 2.2.7).
    Netns(String),
    /// Of a type that is not listed here.
    Raw(RawTlv),
}

/// A TLV that is not interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTlv {
    /// Its type; 0xE0 to 0xEF are the application's (section 2.2.8).
    pub kind: u8,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// The client's TLS session with the proxy (section 2.2.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ssl {
    /// A bit for each of [`Ssl::TLS`], [`Ssl::CERT_CONN`] and [`Ssl::CERT_SESS`].
    pub client: u8,
    /// Zero when the certificate was verified, if there was one: see [`Ssl::is_verified`].
    pub verify: u32,
    /// The TLS version in ASCII, such as `TLSv1.3`.
    pub version: Option<String>,
    /// The common name in the client's certificate.
    pub cn: Option<String>,
    /// The cipher in ASCII, such as `ECDHE-RSA-AES128-GCM-SHA256`.
    pub cipher: Option<String>,
    /// The algorithm that signed the proxy's certificate, in ASCII, such as `RSA-SHA256`.
    pub sig_alg: Option<String>,
    /// The algorithm of the proxy's key, in ASCII, such as `RSA2048`.
    pub key_alg: Option<String>,
    /// Subtypes that are not listed here.
    pub others: Vec<RawTlv>,
}

impl Ssl {
    /// The client connected over TLS.
    pub const TLS: u8 = 0x01;
    /// The client showed a certificate on this connection.
    pub const CERT_CONN: u8 = 0x02;
    /// The client showed a certificate in the TLS session that this connection belongs to.
    pub const CERT_SESS: u8 = 0x04;

    /// Whether the client showed a certificate and the proxy verified it. Some proxies send a
    /// `verify` of zero when there was no certificate, so that alone says nothing.
    pub fn is_verified(&self) -> bool {
        self.client & (Self::CERT_CONN | Self::CERT_SESS) != 0 && self.verify == 0
    }
}

/// A type, its value, and what follows it.
type Split<'a> = (u8, &'a [u8], &'a [u8]);

/// The next TLV; nothing at the end.
fn split(bytes: &[u8]) -> Result<Option<Split<'_>>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (&[kind, high, low], rest) = bytes.split_first_chunk().ok_or(Error::ShortTlv)?;
    let len = u16::from_be_bytes([high, low]).into();
    let (value, rest) = rest.split_at_checked(len).ok_or(Error::ShortTlv)?;
    Ok(Some((kind, value, rest)))
}

/// Reads the TLVs that begin at `at` of the whole header.
pub(super) fn decode_all(header: &[u8], at: usize) -> Result<Vec<Tlv>, Error> {
    let mut tlvs = Vec::new();
    let mut rest = &header[at..];
    while let Some((kind, value, after)) = split(rest)? {
        match kind {
            CRC32C => check(header, header.len() - after.len(), value)?,
            // Section 2.2.4: to be ignored.
            NOOP => {}
            _ => tlvs.push(decode(kind, value)?),
        }
        rest = after;
    }
    Ok(tlvs)
}

/// Section 2.2.3: the checksum is of the whole header, with zeros in the checksum's place.
fn check(header: &[u8], end: usize, value: &[u8]) -> Result<(), Error> {
    let received: [u8; 4] = value.try_into().map_err(|_| Error::TlvValue(CRC32C))?;
    let before = crc32c::crc32c(&header[..end - 4]);
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(before, &[0; 4]), &header[end..]);
    if sum == u32::from_be_bytes(received) {
        Ok(())
    } else {
        Err(Error::Checksum)
    }
}

fn decode(kind: u8, value: &[u8]) -> Result<Tlv, Error> {
    Ok(match kind {
        ALPN => Tlv::Alpn(value.to_vec()),
        AUTHORITY => Tlv::Authority(text(kind, value)?),
        UNIQUE_ID if value.len() > MAX_UNIQUE_ID => return Err(Error::TlvValue(kind)),
        UNIQUE_ID => Tlv::UniqueId(value.to_vec()),
        SSL => Tlv::Ssl(Box::new(ssl(value)?)),
        NETNS => Tlv::Netns(ascii(kind, value)?),
        _ => Tlv::Raw(RawTlv {
            kind,
            value: value.to_vec(),
        }),
    })
}

fn ssl(value: &[u8]) -> Result<Ssl, Error> {
    let (&[client, a, b, c, d], mut rest) =
        value.split_first_chunk().ok_or(Error::TlvValue(SSL))?;
    let mut ssl = Ssl {
        client,
        verify: u32::from_be_bytes([a, b, c, d]),
        ..Ssl::default()
    };
    while let Some((kind, value, after)) = split(rest)? {
        let (field, text) = match kind {
            SSL_VERSION => (&mut ssl.version, ascii(kind, value)?),
            SSL_CN => (&mut ssl.cn, text(kind, value)?),
            SSL_CIPHER => (&mut ssl.cipher, ascii(kind, value)?),
            SSL_SIG_ALG => (&mut ssl.sig_alg, ascii(kind, value)?),
            SSL_KEY_ALG => (&mut ssl.key_alg, ascii(kind, value)?),
            _ => {
                ssl.others.push(RawTlv {
                    kind,
                    value: value.to_vec(),
                });
                rest = after;
                continue;
            }
        };
        // Two names for one client: neither can be believed.
        if field.replace(text).is_some() {
            return Err(Error::TlvValue(kind));
        }
        rest = after;
    }
    Ok(ssl)
}

fn text(kind: u8, value: &[u8]) -> Result<String, Error> {
    let text = str::from_utf8(value).map_err(|_| Error::TlvValue(kind))?;
    Ok(text.to_owned())
}

fn ascii(kind: u8, value: &[u8]) -> Result<String, Error> {
    if value.is_ascii() {
        text(kind, value)
    } else {
        Err(Error::TlvValue(kind))
    }
}

/// Appends one TLV.
pub(super) fn encode(out: &mut Vec<u8>, tlv: &Tlv) -> Result<(), EncodeError> {
    match tlv {
        Tlv::Alpn(value) => push(out, ALPN, value),
        Tlv::Authority(text) => push(out, AUTHORITY, text.as_bytes()),
        Tlv::UniqueId(value) if value.len() > MAX_UNIQUE_ID => {
            Err(EncodeError::TlvValue(UNIQUE_ID))
        }
        Tlv::UniqueId(value) => push(out, UNIQUE_ID, value),
        Tlv::Ssl(ssl) => push(out, SSL, &ssl_value(ssl)?),
        Tlv::Netns(text) => push_ascii(out, NETNS, text),
        Tlv::Raw(RawTlv { kind, value }) => match *kind {
            ALPN..=UNIQUE_ID | SSL | NETNS => Err(EncodeError::TlvValue(*kind)),
            kind => push(out, kind, value),
        },
    }
}

fn ssl_value(ssl: &Ssl) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![ssl.client];
    out.extend(ssl.verify.to_be_bytes());
    if let Some(cn) = &ssl.cn {
        push(&mut out, SSL_CN, cn.as_bytes())?;
    }
    let names = [
        (SSL_VERSION, &ssl.version),
        (SSL_CIPHER, &ssl.cipher),
        (SSL_SIG_ALG, &ssl.sig_alg),
        (SSL_KEY_ALG, &ssl.key_alg),
    ];
    for (kind, name) in names {
        if let Some(name) = name {
            push_ascii(&mut out, kind, name)?;
        }
    }
    for RawTlv { kind, value } in &ssl.others {
        match *kind {
            SSL_VERSION..=SSL_KEY_ALG => return Err(EncodeError::TlvValue(*kind)),
            kind => push(&mut out, kind, value)?,
        }
    }
    Ok(out)
}

fn push_ascii(out: &mut Vec<u8>, kind: u8, text: &str) -> Result<(), EncodeError> {
    if text.is_ascii() {
        push(out, kind, text.as_bytes())
    } else {
        Err(EncodeError::TlvValue(kind))
    }
}

pub(super) fn push(out: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), EncodeError> {
    let len = u16::try_from(value.len()).map_err(|_| EncodeError::TooLong)?;
    out.push(kind);
    out.extend(len.to_be_bytes());
    out.extend(value);
    Ok(())
}
