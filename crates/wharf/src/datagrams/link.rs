//! A flow of plain datagrams as messages.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::front::Opening;
use crate::admission::{Ready, Standing};
use crate::link::Link;
use crate::message::Message;
use crate::messages::MessageError;
use crate::reason::Closed;
use crate::wire::Packets;

/// Each datagram is a message. There is no goodbye: the end is silence.
pub(crate) struct PlainLink {
    packets: Packets,
    /// A message that is to be sent.
    outgoing: Option<Bytes>,
    /// This side receives only what is there, and sends no more.
    closing: bool,
}

/// Begins a flow that needs no handshake.
pub(crate) fn open() -> Opening {
    Opening {
        deliver: true,
        standing: Standing::Unprovable,
        begin: Box::new(|packets| {
            let link = PlainLink::new(packets);
            Box::pin(std::future::ready(Ok(Ready::Messages(Box::new(link)))))
        }),
    }
}

impl PlainLink {
    pub(crate) fn new(mut packets: Packets) -> Self {
        packets.established();
        Self {
            packets,
            outgoing: None,
            closing: false,
        }
    }
}

impl Link for PlainLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        if self.closing {
            let left = self.packets.try_recv_datagram();
            return Poll::Ready(left.map(|datagram| Ok(Message::binary(datagram))));
        }
        match ready!(self.packets.poll_recv_datagram(cx)) {
            Ok(datagram) => Poll::Ready(Some(Ok(Message::binary(datagram)))),
            // Silence is how a peer ends a flow.
            Err(_) if self.packets.ending() == Some(Closed::Idle) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        if self.closing {
            return Poll::Ready(Err(MessageError::Closing));
        }
        self.poll_flush(cx)
    }

    fn start_send(&mut self, message: Message) -> Result<(), MessageError> {
        if self.closing {
            return Err(MessageError::Closing);
        }
        let limit = self.packets.longest();
        let length = message.payload().len();
        if length > limit {
            return Err(MessageError::TooLong {
                length: length as u64,
                limit: limit as u64,
            });
        }
        self.outgoing = Some(message.into_payload());
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        let Some(datagram) = &self.outgoing else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(self.packets.poll_send_datagram(cx, datagram));
        self.outgoing = None;
        Poll::Ready(sent.map_err(MessageError::from))
    }

    fn start_close(&mut self, _: u16, _: &str) -> Result<(), MessageError> {
        self.closing = true;
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_flush(cx)
    }

    fn last_words(&mut self, _: u16) {
        if let Some(datagram) = self.outgoing.take() {
            // As far as the socket takes it at once.
            let _ = self.packets.try_send_datagram(&datagram);
        }
    }
}
