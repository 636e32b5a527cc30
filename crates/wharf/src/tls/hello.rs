//! The server's handshake, with a pause after the ClientHello.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use rustls::ServerConfig;
use rustls::server::{Accepted, Acceptor, ClientHello};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::alert::{AlertReason, UNEXPECTED_MESSAGE, finish, send_last};
use super::failure::{HandshakeError, Side};
use super::state::State;

/// The most that is read in wait for a complete ClientHello, in bytes: one record of the largest
/// size (RFC 8446 §5.1). Those of browsers have two thousand.
pub const MAX_HELLO: usize = 16 * 1024;

/// How much is read at once. It stands on the stack of one poll, not in the connection's task.
const CHUNK: usize = 2048;

/// A connection whose ClientHello has arrived. Nothing was answered yet. Dropping it closes the
/// connection without an alert.
#[derive(Debug)]
pub struct Hello<IO> {
    io: IO,
    accepted: Accepted,
    server_name: Option<Box<str>>,
    state: Arc<State>,
}

impl<IO> Hello<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) async fn read(mut io: IO, state: Arc<State>) -> Result<Self, HandshakeError> {
        let mut reading = Reading::default();
        let accepted = match poll_fn(|cx| reading.poll(&mut io, cx)).await {
            Ok(accepted) => accepted,
            Err((error, alert)) => {
                send_last(&mut io, &alert).await;
                return Err(error);
            }
        };
        let server_name = accepted.client_hello().server_name().map(Box::from);
        Ok(Self {
            io,
            accepted,
            server_name,
            state,
        })
    }

    /// The server name that the client asks for, in lower case (RFC 6066 §3).
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The application protocols that the client offers, in its order (RFC 7301 §3.1).
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.accepted.client_hello().alpn().into_iter().flatten()
    }

    /// Cipher suites, signature schemes, groups and the rest of the ClientHello.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// The connection below, for its addresses. To read from it or to write to it breaks the
    /// handshake.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Goes on with the server's own options: certificate by name, protocol by preference.
    pub async fn proceed(self) -> Result<TlsStream<IO>, HandshakeError> {
        if !self.state.map.serves(self.server_name()) {
            let name = self.server_name().map(str::to_owned);
            self.refuse(AlertReason::UnrecognizedName).await;
            return Err(HandshakeError::UnknownName(name));
        }
        let config = Arc::clone(self.state.config_for(self.alpn()));
        self.proceed_with(config).await
    }

    /// Goes on with another configuration. Of the server's own options none is in force then.
    pub async fn proceed_with(
        self,
        config: Arc<ServerConfig>,
    ) -> Result<TlsStream<IO>, HandshakeError> {
        let Self { io, accepted, .. } = self;
        let start = StartHandshake::from_parts(accepted, io);
        match start.into_stream(config).into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, mut io)) => {
                finish(&mut io).await;
                Err(HandshakeError::from_io(error, Side::Server))
            }
        }
    }

    /// Sends a fatal alert and closes.
    pub async fn refuse(mut self, reason: AlertReason) {
        send_last(&mut self.io, &reason.record()).await;
    }
}

/// A ClientHello on its way in.
#[derive(Default)]
struct Reading {
    acceptor: Acceptor,
    /// The first bytes, to tell what else it may be.
    first: [u8; 4],
    received: usize,
}

/// A failure with the alert that tells the peer.
type Failure = (HandshakeError, Vec<u8>);

impl Reading {
    fn poll<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<Accepted, Failure>> {
        let mut space = [0; CHUNK];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            if let Err(error) = ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer)) {
                return Poll::Ready(Err((HandshakeError::Io(error), Vec::new())));
            }
            match self.add(buffer.filled()) {
                Ok(None) => {}
                Ok(Some(accepted)) => return Poll::Ready(Ok(accepted)),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }

    fn add(&mut self, mut bytes: &[u8]) -> Result<Option<Accepted>, Failure> {
        if bytes.is_empty() {
            return Err((HandshakeError::Closed, Vec::new()));
        }
        let empty = self.first.iter_mut().skip(self.received);
        empty.zip(bytes).for_each(|(to, from)| *to = *from);
        self.received += bytes.len();
        while !bytes.is_empty() {
            if let Err(error) = self.acceptor.read_tls(&mut bytes) {
                return Err((HandshakeError::Io(error), Vec::new()));
            }
        }
        match self.acceptor.accept() {
            Ok(None) if self.received >= MAX_HELLO => Err((
                HandshakeError::HelloTooLarge,
                AlertReason::InternalError.record().to_vec(),
            )),
            Ok(accepted) => Ok(accepted),
            Err((error, mut alert)) => {
                let mut record = Vec::new();
                // Writing to memory does not fail.
                drop(alert.write_all(&mut record));
                if record.is_empty() {
                    record.extend(UNEXPECTED_MESSAGE);
                }
                Err((self.failure(error), record))
            }
        }
    }

    fn failure(&self, error: rustls::Error) -> HandshakeError {
        const METHODS: [&[u8; 4]; 9] = [
            b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ",
        ];
        // RFC 8446 §5.1: a handshake record begins with 22 and the major version 3.
        if self.first.starts_with(&[22, 3]) {
            HandshakeError::from_rustls(error, Side::Server)
        } else if METHODS.contains(&&self.first) {
            HandshakeError::PlainHttp
        } else {
            HandshakeError::NotTls
        }
    }
}
