//! The client's side of the upgrade (RFC 6455 §4.1).

use std::fmt::Write as _;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::head::{self, HeadError, MAX_FIELDS, has_token, is_token};
use super::key;

/// Bytes of the longest answer that is read.
const MAX_HEAD: usize = 16 << 10;

/// What to ask a server for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientRequest {
    /// The `Host`: a name or an address, with `:port` unless that is the scheme's own.
    pub host: String,
    /// The path with its query, such as `/chat?room=1`.
    pub path: String,
    /// The `Origin`. Default: none, as programs that are not browsers do.
    pub origin: Option<String>,
    /// The subprotocols to offer, the preferred first.
    pub subprotocols: Vec<String>,
    /// Further fields, name and value, such as `Authorization`.
    pub headers: Vec<(String, String)>,
}

impl ClientRequest {
    /// A request for a path of a host, with nothing else.
    pub fn new(host: impl Into<String>, path: impl Into<String>) -> ClientRequest {
        ClientRequest {
            host: host.into(),
            path: path.into(),
            ..ClientRequest::default()
        }
    }

    /// Whether it can be asked; `Err` names the part that cannot stand in a request.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.head("").map(drop)
    }

    /// The request; `Err` names the part that would break it.
    fn head(&self, key: &str) -> Result<String, &'static str> {
        let clean = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let word = |text: &str| clean(text) && !text.is_empty() && !text.contains(' ');
        if !word(&self.host) {
            return Err("host");
        }
        if !word(&self.path) || !self.path.starts_with('/') || self.path.contains('#') {
            return Err("path");
        }
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
            self.path, self.host
        );
        let mut field = |name: &str, value: &str| {
            let _ = write!(head, "{name}: {value}\r\n");
        };
        if let Some(origin) = &self.origin {
            if !word(origin) {
                return Err("origin");
            }
            field("Origin", origin);
        }
        if !self.subprotocols.is_empty() {
            if !self.subprotocols.iter().all(|name| is_token(name)) {
                return Err("subprotocols");
            }
            field("Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        for (name, value) in &self.headers {
            if !is_token(name) || !clean(value) {
                return Err("headers");
            }
            field(name, value);
        }
        head.push_str("\r\n");
        Ok(head)
    }
}

/// A connection on which the server has agreed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected<IO> {
    /// The connection.
    pub io: IO,
    /// What the server sent behind its answer: for [`WebSocket::client`](super::WebSocket::client).
    pub leftover: BytesMut,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
}

/// Why there is no WebSocket connection at the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// A part of the [`ClientRequest`] that cannot stand in a request.
    #[error("`{0}` of the request is empty or has a character that cannot stand there")]
    Request(&'static str),
    /// The server ended the connection before its answer was whole.
    #[error("the connection ended within the answer")]
    Closed,
    /// The answer is not HTTP/1.1, or above 16 KiB or 100 fields.
    #[error("the answer is not a well-formed HTTP/1.1 response of at most 16 KiB")]
    Malformed,
    /// The server did not switch protocols; its status.
    #[error("the server refused with status {0}")]
    Status(u16),
    /// A field of the answer that RFC 6455 §4.1 asks for is missing or wrong.
    #[error("the answer's `{0}` is missing or not what was asked for")]
    Field(&'static str),
}

/// Asks for an upgrade and checks the answer. It waits as long as the server likes: bound it by a
/// timeout.
///
/// # Errors
/// See [`HandshakeError`]; the connection is of no more use.
pub async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    request: &ClientRequest,
) -> Result<Connected<IO>, HandshakeError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(io::Error::from)?;
    let key = key::encode(nonce);
    let head = request.head(&key).map_err(HandshakeError::Request)?;
    io.write_all(head.as_bytes()).await?;
    io.flush().await?;
    let mut input = BytesMut::new();
    let starts = |input: &[u8]| input.iter().zip(b"HTTP/1.1 ").all(|(a, b)| a == b);
    let head = head::read(&mut io, &mut input, MAX_HEAD, starts).await;
    let head = head.map_err(|error| match error {
        HeadError::Io(error) => HandshakeError::Io(error),
        HeadError::Closed => HandshakeError::Closed,
        HeadError::TooLong | HeadError::NotHttp => HandshakeError::Malformed,
    })?;
    let subprotocol = check(&head, &key, &request.subprotocols)?;
    Ok(Connected {
        io,
        leftover: input,
        subprotocol,
    })
}

/// Judges an answer (RFC 6455 §4.1); says the subprotocol that was chosen. Pure.
fn check(head: &Bytes, key: &str, offered: &[String]) -> Result<Option<String>, HandshakeError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(head) {
        Ok(httparse::Status::Complete(size)) if size == head.len() => {}
        _ => return Err(HandshakeError::Malformed),
    }
    match response.code {
        Some(101) => {}
        status => return Err(HandshakeError::Status(status.unwrap_or_default())),
    }
    let values = |name: &'static str| {
        let named = response.headers.iter();
        let named = named.filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| std::str::from_utf8(field.value).unwrap_or_default())
    };
    if !values("upgrade").any(|value| has_token(value, "websocket")) {
        return Err(HandshakeError::Field("Upgrade"));
    }
    if !values("connection").any(|value| has_token(value, "upgrade")) {
        return Err(HandshakeError::Field("Connection"));
    }
    if !values("sec-websocket-accept").eq([key::accept(key).as_str()]) {
        return Err(HandshakeError::Field("Sec-WebSocket-Accept"));
    }
    // None is offered, so none may be chosen (RFC 6455 §4.1).
    if values("sec-websocket-extensions").any(|value| !value.is_empty()) {
        return Err(HandshakeError::Field("Sec-WebSocket-Extensions"));
    }
    let chosen: Vec<&str> = values("sec-websocket-protocol").collect();
    match chosen.as_slice() {
        [] => Ok(None),
        [one] if offered.iter().any(|name| name == one) => Ok(Some((*one).to_owned())),
        _ => Err(HandshakeError::Field("Sec-WebSocket-Protocol")),
    }
}
