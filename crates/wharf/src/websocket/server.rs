//! The server's side of the upgrade (RFC 6455 §4.2).

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::head::{self, HeadError, has_token};
use super::key;
use super::refusal::{Refusal, UpgradeError};
use super::request::UpgradeRequest;
use crate::config::WebSocketOptions;

/// A connection that has been upgraded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Upgraded<IO> {
    /// The connection.
    pub io: IO,
    /// What the client sent behind its request: for [`WebSocket::server`](super::WebSocket::server).
    pub leftover: BytesMut,
    /// What the client asked for.
    pub request: UpgradeRequest,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
}

/// Reads an upgrade request and answers it. `prefix` is what has been read of it before; `secure`
/// says that the connection is encrypted, which decides the port that a `Host` without one means.
/// It waits as long as the client likes: bound it by a timeout.
///
/// # Errors
/// [`UpgradeError::Refused`] after the answer has been written: the caller closes the connection.
pub async fn upgrade<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    prefix: &[u8],
    options: &WebSocketOptions,
    secure: bool,
) -> Result<Upgraded<IO>, UpgradeError> {
    let mut input = BytesMut::from(prefix);
    let max = usize::try_from(options.max_head).unwrap_or(usize::MAX);
    let head = match head::read(&mut io, &mut input, max, starts_with_method).await {
        Ok(head) => Ok(head),
        Err(HeadError::Io(error)) => return Err(UpgradeError::Io(error)),
        Err(HeadError::Closed) => return Err(UpgradeError::Closed),
        Err(HeadError::TooLong) => Err(Refusal::HeadTooLong),
        Err(HeadError::NotHttp) => Err(Refusal::Malformed),
    };
    let decision = head.and_then(|head| decide(head, options, secure));
    let answer = match &decision {
        Ok(accept) => accept.response(),
        Err(refusal) => refusal.response(),
    };
    let written = io.write_all(answer.as_bytes()).await;
    // The refusal counts, also when its answer does not arrive.
    let accept = decision?;
    written?;
    io.flush().await?;
    Ok(Upgraded {
        io,
        leftover: input,
        request: accept.request,
        subprotocol: accept.subprotocol,
    })
}

/// Whether the first bytes can begin a request: a method of letters, then a space. A TLS hello or a
/// binary protocol fails at its first byte.
fn starts_with_method(input: &[u8]) -> bool {
    let letters = input
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    letters <= 16
        && input
            .get(letters)
            .is_none_or(|&byte| letters > 0 && byte == b' ')
}

/// An upgrade that is granted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Accept {
    /// What the client asked for.
    pub request: UpgradeRequest,
    /// The first of the server's subprotocols that the client offers.
    pub subprotocol: Option<String>,
}

impl Accept {
    /// The answer (RFC 6455 §4.2.2).
    pub fn response(&self) -> String {
        let key = self.request.header("sec-websocket-key").unwrap_or_default();
        let mut response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n",
            key::accept(key)
        );
        if let Some(subprotocol) = &self.subprotocol {
            response.push_str("Sec-WebSocket-Protocol: ");
            response.push_str(subprotocol);
            response.push_str("\r\n");
        }
        response.push_str("\r\n");
        response
    }
}

/// Judges a request by its head, which ends with the empty line; pure. First what HTTP asks for,
/// then what WebSocket asks for, then what the options allow. An offer of extensions is ignored: no
/// extension is ever agreed on (RFC 6455 §9.1).
pub fn decide(head: Bytes, options: &WebSocketOptions, secure: bool) -> Result<Accept, Refusal> {
    let request = UpgradeRequest::parse(head)?;
    if request.method() != "GET" {
        return Err(Refusal::Method);
    }
    // RFC 9112 §3.2: one `Host`. A body would be taken for frames.
    let length = request.header("content-length").unwrap_or("0");
    if request.count("host") != 1
        || request.host().is_empty()
        || request.count("transfer-encoding") > 0
        || length != "0"
        || request.count("origin") > 1
        || !request.path().starts_with('/')
    {
        return Err(Refusal::Malformed);
    }
    check_handshake(&request)?;
    check_rules(&request, options, secure)?;
    let offered = |name: &&String| request.subprotocols().any(|each| each == **name);
    let subprotocol = options.subprotocols.iter().find(offered).cloned();
    if subprotocol.is_none() && options.subprotocol_required {
        return Err(Refusal::Subprotocol);
    }
    Ok(Accept {
        request,
        subprotocol,
    })
}

/// RFC 6455 §4.2.1.
fn check_handshake(request: &UpgradeRequest) -> Result<(), Refusal> {
    let asks = |name, token| request.values(name).any(|value| has_token(value, token));
    if !asks("upgrade", "websocket") || !asks("connection", "upgrade") {
        return Err(Refusal::NotWebSocket);
    }
    let once = |name| match request.count(name) {
        1 => request.header(name),
        _ => None,
    };
    if once("sec-websocket-version") != Some("13") {
        return Err(Refusal::Version);
    }
    match once("sec-websocket-key") {
        Some(key) if key::is_valid(key) => Ok(()),
        _ => Err(Refusal::Key),
    }
}

fn check_rules(
    request: &UpgradeRequest,
    options: &WebSocketOptions,
    secure: bool,
) -> Result<(), Refusal> {
    if !allowed(&options.paths, |path| path == request.path()) {
        return Err(Refusal::Path);
    }
    if !allowed(&options.hosts, |host| is_host(host, request.host(), secure)) {
        return Err(Refusal::Host);
    }
    let is_origin = |allowed: &str| {
        let origin = request.origin();
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(allowed))
    };
    if !allowed(&options.origins, is_origin) {
        return Err(Refusal::Origin);
    }
    Ok(())
}

/// Whether one of a list fits; an empty list lets everything pass.
fn allowed(list: &[String], fits: impl Fn(&str) -> bool) -> bool {
    list.is_empty() || list.iter().any(|each| fits(each))
}

/// Whether a host is the listed `name` on any port, or the listed `name:port`.
fn is_host(listed: &str, host: &str, secure: bool) -> bool {
    let default = if secure { "443" } else { "80" };
    let (name, port) = split_port(host);
    let (listed_name, listed_port) = split_port(listed);
    let same_port = listed_port.is_none_or(|listed| listed == port.unwrap_or(default));
    name.eq_ignore_ascii_case(listed_name) && same_port
}

/// The name and the port of a host; the colons of `[::1]` are no port's.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            (name, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests;
