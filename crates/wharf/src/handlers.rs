//! The user's functions, by the protocol that was agreed on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use wharf_policy::first_bytes::Protocol;
use wharf_udp::BatchHandler;

use crate::batch::Seat;
use crate::{BoxError, Datagrams, Messages, Stream};

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

pub(crate) type StreamFunction = Arc<dyn Fn(Stream) -> Running + Send + Sync>;
type MessagesFunction = Arc<dyn Fn(Messages) -> Running + Send + Sync>;

pub(crate) type DatagramsFunction = Arc<dyn Fn(Datagrams) -> Running + Send + Sync>;

/// A function for one kind of connection.
#[derive(Clone)]
pub struct Handler(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Stream(StreamFunction),
    Messages(MessagesFunction),
    Datagrams(DatagramsFunction),
    /// The streams and the datagrams of one QUIC connection.
    #[cfg(feature = "quic")]
    Both(StreamFunction, MessagesFunction),
    #[cfg(feature = "quic")]
    Quic(Arc<dyn Fn(crate::QuicConnection) -> Running + Send + Sync>),
    Batch(MakeBatch),
}

/// Makes the handlers of a listener's worker threads.
#[derive(Clone)]
pub(crate) struct MakeBatch(pub(crate) Arc<Make>);

type Make = dyn Fn(&Seat) -> Box<dyn BatchHandler> + Send + Sync;

impl fmt::Debug for MakeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeBatch")
    }
}

/// What a handler returns: nothing, or a `Result` whose error is logged and counted.
pub trait Outcome {
    /// As a result.
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

impl Handler {
    /// A function of bytes: `async fn(Stream)`.
    pub fn stream<F, Fut>(function: F) -> Self
    where
        F: Fn(Stream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Kind::Stream(streams(function)))
    }

    /// A function of single datagrams: `async fn(Datagrams)`, for `udp` and `unixgram`.
    pub fn datagrams<F, Fut>(function: F) -> Self
    where
        F: Fn(Datagrams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Kind::Datagrams(Arc::new(move |datagrams| {
            Box::pin(function(datagrams).map(Outcome::into_result))
        })))
    }

    /// A function of messages: `async fn(Messages)`, for transports that keep their boundaries.
    pub fn messages<F, Fut>(function: F) -> Self
    where
        F: Fn(Messages) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Kind::Messages(messages(function)))
    }

    /// A function for each stream of a QUIC connection, and one for its datagrams, side by side. The
    /// connection goes on when the second returns, and ends when it panics.
    #[cfg(feature = "quic")]
    pub fn both<F, Fut, G, Gut>(of_streams: F, of_messages: G) -> Self
    where
        F: Fn(Stream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
        G: Fn(Messages) -> Gut + Send + Sync + 'static,
        Gut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Kind::Both(streams(of_streams), messages(of_messages)))
    }

    /// A function of a QUIC connection as a whole, for protocols that use all of it, such as HTTP/3.
    #[cfg(feature = "quic")]
    pub fn quic<F, Fut>(function: F) -> Self
    where
        F: Fn(crate::QuicConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Kind::Quic(Arc::new(move |connection| {
            Box::pin(function(connection).map(Outcome::into_result))
        })))
    }

    /// A function that makes the handler of each worker thread of a datagram listener; see
    /// [`batch`](crate::batch). It is the listener's only handler: there is nothing to choose by.
    pub fn batch<F, H>(make: F) -> Self
    where
        F: Fn(&Seat) -> H + Send + Sync + 'static,
        H: BatchHandler,
    {
        Self(Kind::Batch(MakeBatch(Arc::new(move |seat| {
            Box::new(make(seat))
        }))))
    }
}

fn streams<F, Fut>(function: F) -> StreamFunction
where
    F: Fn(Stream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + Send + 'static,
{
    // An async block would keep room for the future twice.
    Arc::new(move |stream| Box::pin(function(stream).map(Outcome::into_result)))
}

fn messages<F, Fut>(function: F) -> MessagesFunction
where
    F: Fn(Messages) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + Send + 'static,
{
    Arc::new(move |messages| Box::pin(function(messages).map(Outcome::into_result)))
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Stream(_) => "Handler(stream)",
            Kind::Messages(_) => "Handler(messages)",
            Kind::Datagrams(_) => "Handler(datagrams)",
            #[cfg(feature = "quic")]
            Kind::Both(..) => "Handler(streams, messages)",
            #[cfg(feature = "quic")]
            Kind::Quic(_) => "Handler(quic)",
            Kind::Batch(_) => "Handler(batch)",
        })
    }
}

/// Handlers by the application protocol that TLS agreed on (ALPN), and by the first bytes. Where
/// `tls.alpn` is empty the listener offers the protocols that have a handler.
///
/// What TLS agreed on comes before the first bytes, and these before [`or`](Self::or).
///
/// ```
/// use wharf::{Handler, Handlers, Stream};
/// async fn h2(_: Stream) {}
/// async fn http1(_: Stream) {}
/// let handlers = Handlers::alpn("h2", Handler::stream(h2)).or(Handler::stream(http1));
///
/// use wharf::Protocol;
/// async fn sip(_: Stream) {}
/// async fn ssh(_: Stream) {}
/// let handlers = Handlers::first(Protocol::Sip, Handler::stream(sip)).or(Handler::stream(ssh));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Handlers {
    by_protocol: Vec<(Box<[u8]>, Handler)>,
    by_first: Vec<(Protocol, Handler)>,
    otherwise: Option<Handler>,
}

impl Handlers {
    /// `handler` for connections that agreed on `protocol`.
    pub fn alpn(protocol: &str, handler: Handler) -> Self {
        Self::default().and(protocol, handler)
    }

    /// `handler` for connections whose first bytes are those of `protocol`; on datagrams, for flows of
    /// its datagrams, beside which the same peer may have others.
    pub fn first(protocol: Protocol, handler: Handler) -> Self {
        Self::default().and_first(protocol, handler)
    }

    /// `handler` for connections that agreed on `protocol`, too.
    #[must_use]
    pub fn and(mut self, protocol: &str, handler: Handler) -> Self {
        self.by_protocol.push((protocol.as_bytes().into(), handler));
        self
    }

    /// `handler` for connections whose first bytes are those of `protocol`, too.
    #[must_use]
    pub fn and_first(mut self, protocol: Protocol, handler: Handler) -> Self {
        self.by_first.push((protocol, handler));
        self
    }

    /// `handler` for all others. Without one they are refused.
    #[must_use]
    pub fn or(mut self, handler: Handler) -> Self {
        self.otherwise = Some(handler);
        self
    }

    /// The handler of a connection that agreed on `alpn`, or on none, and whose first bytes are those
    /// of `first`, or were not looked at.
    pub(crate) fn choose(&self, alpn: Option<&[u8]>, first: Option<Protocol>) -> Option<&Handler> {
        let by_first = || self.by_first.iter().find(|(one, _)| Some(*one) == first);
        self.of_alpn(alpn)
            .or_else(|| by_first().map(|(_, handler)| handler))
            .or(self.otherwise.as_ref())
    }

    /// The handler of those who agreed on `alpn`.
    pub(crate) fn of_alpn(&self, alpn: Option<&[u8]>) -> Option<&Handler> {
        let mut named = self.by_protocol.iter();
        let (_, handler) = named.find(|(name, _)| Some(&**name) == alpn)?;
        Some(handler)
    }

    /// The protocols that have a handler by first bytes.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = Protocol> {
        self.by_first.iter().map(|(protocol, _)| *protocol)
    }

    /// Whether messages are taken by a handler that not only `protocol` leads to.
    pub(crate) fn takes_messages_beside(&self, protocol: Protocol) -> bool {
        let mut others = self.by_first.iter().filter(|(first, _)| *first != protocol);
        let is = |handler: &Handler| matches!(handler.0, Kind::Messages(_));
        others.any(|(_, handler)| is(handler))
            || self.by_protocol.iter().any(|(_, handler)| is(handler))
            || self.otherwise.as_ref().is_some_and(is)
    }

    /// The protocols that have a handler of their own, in their order.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = String> {
        let names = self.by_protocol.iter().map(|(name, _)| name);
        names.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// The function of single datagrams, which no protocol is agreed on for.
    pub(crate) fn of_datagrams(&self) -> Option<DatagramsFunction> {
        match &self.otherwise.as_ref()?.0 {
            Kind::Datagrams(function) => Some(function.clone()),
            _ => None,
        }
    }

    pub(crate) fn takes_datagrams(&self) -> bool {
        self.any(|kind| matches!(kind, Kind::Datagrams(_)))
    }

    pub(crate) fn takes_messages(&self) -> bool {
        self.any(|kind| matches!(kind, Kind::Messages(_)))
    }

    pub(crate) fn takes_bytes(&self) -> bool {
        self.any(|kind| matches!(kind, Kind::Stream(_)))
    }

    /// Whether there is a handler that only QUIC has something for.
    #[cfg(feature = "quic")]
    pub(crate) fn takes_quic(&self) -> bool {
        self.any(|kind| matches!(kind, Kind::Both(..) | Kind::Quic(_)))
    }

    /// What peers of a QUIC listener are offered.
    #[cfg(feature = "quic")]
    pub(crate) fn takes(&self) -> crate::quic::Takes {
        crate::quic::Takes {
            streams: self.any(|kind| matches!(kind, Kind::Stream(_) | Kind::Both(..))),
            datagrams: self.any(|kind| matches!(kind, Kind::Messages(_) | Kind::Both(..))),
            connections: self.any(|kind| matches!(kind, Kind::Quic(_))),
        }
    }

    /// What makes batch handlers, if any of these is one.
    pub(crate) fn batch(&self) -> Option<&MakeBatch> {
        self.all().find_map(|handler| match &handler.0 {
            Kind::Batch(make) => Some(make),
            _ => None,
        })
    }

    fn any(&self, is: impl Fn(&Kind) -> bool) -> bool {
        self.all().any(|handler| is(&handler.0))
    }

    fn all(&self) -> impl Iterator<Item = &Handler> {
        let by_protocol = self.by_protocol.iter().map(|(_, handler)| handler);
        let by_first = self.by_first.iter().map(|(_, handler)| handler);
        by_protocol.chain(by_first).chain(&self.otherwise)
    }
}

impl From<Handler> for Handlers {
    fn from(handler: Handler) -> Self {
        Self {
            otherwise: Some(handler),
            ..Self::default()
        }
    }
}
