//! The receiving side, which also keeps the connection alive and ends it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::{Phase, WebSocket};
use crate::message::Message;
use crate::scratch;
use crate::websocket::close::{self, Close};
use crate::websocket::error::Error;
use crate::websocket::inbound::Event;
use crate::websocket::keepalive::Due;
use crate::websocket::wakers::Side;

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// The poll form of [`WebSocket::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        loop {
            match self.phase {
                Phase::Open => {}
                Phase::Ending => {
                    // The outcome is settled: that the peer does not take the last bytes adds nothing.
                    let _ = ready!(self.poll_end(cx));
                    self.phase = Phase::Ended;
                    return Poll::Ready(None);
                }
                Phase::Ended => return Poll::Ready(None),
            }
            match self.inbound.next() {
                Ok(Some(Event::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Ok(Some(Event::Ping(payload))) => self.outbound.pong(payload),
                Ok(Some(Event::Pong)) => {}
                Ok(Some(Event::Close(close))) => self.answer(close),
                Ok(None) => match ready!(self.poll_more(cx)) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.phase = Phase::Ended;
                        let expected = self.outbound.is_closing();
                        return Poll::Ready((!expected).then_some(Err(Error::NoClose)));
                    }
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error, cx)))),
                },
                Err(violation) => return Poll::Ready(Some(Err(self.fail(violation.into(), cx)))),
            }
        }
    }

    /// Writes what waits, then reads once; `false` at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            if !self.outbound.is_idle()
                && let Poll::Ready(Err(error)) = self.poll_flush_for(Side::Receiver, cx)
            {
                return Poll::Ready(Err(error));
            }
            if let Poll::Ready(read) = self.poll_fill(cx) {
                if let Some(keepalive) = &mut self.keepalive {
                    keepalive.heard();
                }
                return Poll::Ready(read);
            }
            match self.keepalive.as_mut().map(|keepalive| keepalive.poll(cx)) {
                Some(Poll::Ready(Due::Ping)) => self.outbound.ping(),
                Some(Poll::Ready(Due::GiveUp)) => return Poll::Ready(Err(Error::PingTimeout)),
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    }

    /// Reads once, into the message when much of it is missing.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if let Some((message, room)) = self.inbound.direct() {
            let start = message.len();
            let io = Pin::new(&mut self.io);
            let count = ready!(poll_read_buf(io, cx, &mut message.limit(room)))?;
            self.inbound.filled(start)?;
            return Poll::Ready(Ok(count > 0));
        }
        let inbound = &mut self.inbound;
        let read = scratch::poll_read(&mut self.io, cx, |bytes| {
            inbound.feed(bytes);
            !bytes.is_empty()
        });
        Poll::Ready(Ok(ready!(read)?))
    }

    /// The peer's Close is answered with its own code (RFC 6455 §5.5.1), and a failure follows.
    fn answer(&mut self, close: Close) {
        let code = close.code.map_or_else(Bytes::new, |code| {
            BytesMut::from(&code.to_be_bytes()[..]).freeze()
        });
        self.outbound.close(code);
        self.close = Some(close);
        self.phase = Phase::Ending;
    }

    /// Tells the peer what is wrong as far as it takes it at once (RFC 6455 §7.1.7).
    pub(in crate::websocket) fn fail(&mut self, error: Error, cx: &mut Context<'_>) -> Error {
        let code = match &error {
            Error::Violation(violation) => violation.close_code(),
            Error::PingTimeout => close::INTERNAL,
            _ => {
                self.phase = Phase::Ended;
                return error;
            }
        };
        self.phase = Phase::Ending;
        self.failed = true;
        self.outbound
            .close(Bytes::copy_from_slice(&code.to_be_bytes()));
        // A failure to write adds nothing to the failure that is told.
        let _ = self.poll_flush_for(Side::Receiver, cx);
        error
    }

    /// Writes what waits and ends the sending side. The server ends first; so does whoever has
    /// failed the connection (RFC 6455 §7.1.1, §7.1.7).
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_flush_for(Side::Receiver, cx))?;
        if self.failed || !self.outbound.is_client() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads to the end of the connection.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while ready!(scratch::poll_read(&mut self.io, cx, |bytes| !bytes.is_empty()))? {}
        Poll::Ready(Ok(()))
    }
}
