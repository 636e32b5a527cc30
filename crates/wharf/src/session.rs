//! Whole messages of a user's own protocol, over any transport.

mod bytes_carrier;
mod error;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use bytes_carrier::BytesCarrier;
pub use error::SessionError;

use crate::config::Transport;
use crate::connection::Connection;
use crate::counters::one_more;
use crate::events::Event;
use crate::message::Message;
use crate::path::Path;
use crate::reason::Closed;
use crate::{Messages, Sender, Stream};

/// Whole messages over a [`Stream`] or over [`Messages`]: a handler that is written once for every
/// transport.
///
/// The codec is one of `tokio_util::codec`. Over bytes it finds the messages in them; over messages
/// each of them is one, and must decode to exactly one. A message above `buffers.max-message` is an
/// error and counted; `rates.messages` holds back reading.
///
/// ```
/// use tokio_util::codec::LinesCodec;
/// use wharf::{BoxError, Session, Stream};
///
/// async fn shout(stream: Stream) -> Result<(), BoxError> {
///     let mut session = Session::new(stream, LinesCodec::new());
///     while let Some(line) = session.recv().await {
///         session.send(line?.to_uppercase()).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Session<C> {
    carrier: Carrier,
    codec: C,
}

/// What receiving leads to.
type Received<C> = Result<<C as Decoder>::Item, SessionError<<C as Decoder>::Error>>;

/// What a [`Session`] runs over; made from a [`Stream`] or [`Messages`].
#[derive(Debug)]
pub struct Carrier(Kinds);

#[derive(Debug)]
enum Kinds {
    Bytes(Box<BytesCarrier>),
    Messages(Messages),
}

impl From<Stream> for Carrier {
    fn from(stream: Stream) -> Self {
        Self(Kinds::Bytes(Box::new(BytesCarrier::new(stream))))
    }
}

impl From<Messages> for Carrier {
    fn from(messages: Messages) -> Self {
        Self(Kinds::Messages(messages))
    }
}

impl<C: Decoder> Session<C> {
    /// A session over `carrier`, which is a [`Stream`] or [`Messages`].
    pub fn new(carrier: impl Into<Carrier>, codec: C) -> Self {
        Self {
            carrier: carrier.into(),
            codec,
        }
    }

    /// The connection: who it is with, and how to close it.
    pub fn connection(&self) -> &Connection {
        match &self.carrier.0 {
            Kinds::Bytes(carrier) => carrier.stream().connection(),
            Kinds::Messages(messages) => messages.connection(),
        }
    }

    /// Between whom it is, and over what.
    pub fn path(&self) -> Path {
        self.connection().path()
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.path().transport
    }

    /// The next message; `None` when the peer has ended in order. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`SessionError`]; after one the session should be dropped.
    pub async fn recv(&mut self) -> Option<Result<C::Item, SessionError<C::Error>>> {
        let result = poll_fn(|cx| self.poll_recv(cx)).await;
        if let Some(Err(error)) = &result {
            self.note(error);
        }
        result
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received<C>>> {
        let messages = match &mut self.carrier.0 {
            Kinds::Bytes(carrier) => return carrier.poll_recv(cx, &mut self.codec),
            Kinds::Messages(messages) => messages,
        };
        let Some(message) = ready!(messages.poll_recv(cx)) else {
            return Poll::Ready(None);
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Some(Err(SessionError::Messages(error)))),
        };
        let limit = messages
            .connection()
            .shared()
            .owner
            .live()
            .config
            .buffers
            .max_message;
        if message.payload().len() as u64 > limit {
            return Poll::Ready(Some(Err(SessionError::Oversized { limit })));
        }
        let mut bytes = BytesMut::from(message.into_payload());
        let decoded = match self.codec.decode(&mut bytes) {
            // A codec that waits for what ends a message takes the end of this one for it.
            Ok(None) => self.codec.decode_eof(&mut bytes),
            decoded => decoded,
        };
        Poll::Ready(Some(match decoded {
            Ok(Some(item)) if bytes.is_empty() => Ok(item),
            Ok(_) => Err(SessionError::NotOne),
            Err(error) => Err(SessionError::Codec(error)),
        }))
    }

    fn note(&self, error: &SessionError<C::Error>) {
        let shared = self.connection().shared();
        let counters = &shared.owner.counters;
        let (counter, closed, what) = match error {
            SessionError::Oversized { .. } => {
                (&counters.messages_oversized, Closed::Oversized, "oversized")
            }
            SessionError::Incomplete => (
                &counters.messages_incomplete,
                Closed::Protocol,
                "incomplete",
            ),
            SessionError::NotOne | SessionError::Codec(_) => (
                &counters.messages_unparsable,
                Closed::Protocol,
                "unparsable",
            ),
            _ => return,
        };
        one_more(counter);
        shared.note(closed);
        shared.owner.events.emit(|| Event::BadMessage {
            listener: shared.owner.name.clone(),
            id: shared.id,
            what,
        });
    }

    /// Sends a message: returns when the socket has taken it. What a dropped future leaves unsent
    /// is sent with the next.
    ///
    /// # Errors
    /// [`SessionError`]: it could not be encoded, or not sent.
    pub async fn send<Item>(
        &mut self,
        item: Item,
    ) -> Result<(), SessionError<<C as Encoder<Item>>::Error>>
    where
        C: Encoder<Item>,
    {
        let mut encoded = BytesMut::new();
        self.codec
            .encode(item, &mut encoded)
            .map_err(SessionError::Codec)?;
        match &mut self.carrier.0 {
            Kinds::Bytes(carrier) => Ok(carrier.send(&encoded).await?),
            Kinds::Messages(messages) => {
                let message = whole(encoded.freeze());
                messages.send(message).await.map_err(SessionError::Messages)
            }
        }
    }

    /// Encodes a message for [`SessionSender::send`], as often as there are receivers.
    ///
    /// # Errors
    /// It could not be encoded.
    pub fn encode<Item>(&mut self, item: Item) -> Result<Bytes, <C as Encoder<Item>>::Error>
    where
        C: Encoder<Item>,
    {
        let mut encoded = BytesMut::new();
        self.codec.encode(item, &mut encoded)?;
        Ok(encoded.freeze())
    }

    /// Sends encoded messages to this session from elsewhere. They are written while the handler
    /// receives or sends.
    pub fn sender(&mut self) -> SessionSender {
        match &mut self.carrier.0 {
            Kinds::Bytes(carrier) => SessionSender::Bytes(carrier.sender()),
            Kinds::Messages(messages) => SessionSender::Messages(messages.sender()),
        }
    }
}

/// Encoded bytes as a message: text where they are text.
fn whole(encoded: Bytes) -> Message {
    match std::str::from_utf8(&encoded) {
        Ok(text) => Message::text(text),
        Err(_) => Message::binary(encoded),
    }
}

/// Sends encoded messages to one [`Session`] from anywhere. Cheap to clone. See [`Sender`] for what
/// happens when the peer is slow.
#[derive(Debug, Clone)]
pub enum SessionSender {
    /// To a stream.
    Bytes(Sender<Bytes>),
    /// To a message transport.
    Messages(Sender<Message>),
}

impl SessionSender {
    /// Queues a message that is already [encoded](Session::encode).
    ///
    /// # Errors
    /// The connection is closed, or its peer too slow.
    pub async fn send(&self, encoded: Bytes) -> Result<(), crate::SendError> {
        match self {
            Self::Bytes(sender) => sender.send(encoded).await,
            Self::Messages(sender) => sender.send(whole(encoded)).await,
        }
    }
}
