//! An association of the kernel as messages.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep};
use wharf_udp::{ReceivedSctp, receive_sctp, send_sctp};

use super::sendable::Sendable;
use super::socket::SctpSocket;
use crate::config::SctpOptions;
use crate::link::Link;
use crate::message::{Lane, Message};
use crate::messages::MessageError;
use crate::wire::{Socket, Wire};

/// Bytes that one system call may bring of a message.
const PIECE: usize = 16 << 10;

/// A one-to-one socket below messages. Dropping it shuts the association down in order, in the kernel, or aborts it
/// if the server has closed the connection (RFC 9260 §9.2, §9.1).
pub(crate) struct KernelLink {
    wire: Box<Wire>,
    limits: Sendable,
    /// The message that is coming in.
    partial: BytesMut,
    /// A message for which there was no room.
    unsent: Option<Message>,
    closing: bool,
    autoclose: Option<Autoclose>,
}

/// Ends a connection that is idle: for one-to-one sockets the kernel does not.
struct Autoclose {
    after: Duration,
    timer: Pin<Box<Sleep>>,
}

impl KernelLink {
    pub(crate) fn new(wire: Box<Wire>, options: &SctpOptions) -> Self {
        Self {
            wire,
            limits: Sendable {
                longest: usize::try_from(options.max_message).unwrap_or(usize::MAX),
                // What the peer allows is the kernel's to judge.
                streams: options.streams_out,
            },
            partial: BytesMut::new(),
            unsent: None,
            closing: false,
            autoclose: options.autoclose.map(|after| Autoclose {
                after,
                timer: Box::pin(sleep(after)),
            }),
        }
    }

    fn active(&mut self) {
        if let Some(autoclose) = &mut self.autoclose {
            let at = Instant::now() + autoclose.after;
            autoclose.timer.as_mut().reset(at);
        }
    }

    /// The next piece, behind what there is of its message.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ReceivedSctp>> {
        let (wire, partial) = (&mut self.wire, &mut self.partial);
        wire.poll_receive(cx, |socket, cx| match socket {
            Socket::Sctp(socket) => poll_receive(socket, cx, partial),
            _ => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        })
    }

    fn poll_closed_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.autoclose {
            Some(autoclose) if !self.closing => autoclose.timer.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}

/// Reads into `partial`: the piece, and its length for the counters.
fn poll_receive(
    socket: &SctpSocket,
    cx: &mut Context<'_>,
    partial: &mut BytesMut,
) -> Poll<io::Result<(ReceivedSctp, usize)>> {
    let have = partial.len();
    partial.resize(have + PIECE, 0);
    let received = socket.poll_with(cx, tokio::io::Interest::READABLE, |socket| {
        receive_sctp(socket, &mut partial[have..])
    });
    let length = match &received {
        Poll::Ready(Ok(piece)) => piece.length,
        _ => 0,
    };
    partial.truncate(have + length);
    received.map_ok(|piece| (piece, length))
}

impl Link for KernelLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        loop {
            let piece = match self.poll_piece(cx) {
                Poll::Pending => {
                    if self.poll_closed_idle(cx).is_pending() {
                        return Poll::Pending;
                    }
                    // Shut down: the end comes as the peer's answer.
                    if let Err(error) = self.start_close(0, "") {
                        return Poll::Ready(Some(Err(error)));
                    }
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(Ok(piece)) => piece,
            };
            if piece.length == 0 {
                return Poll::Ready(None);
            }
            self.active();
            if self.partial.len() > self.limits.longest {
                return Poll::Ready(Some(Err(MessageError::TooLong {
                    length: self.partial.len() as u64,
                    limit: self.limits.longest as u64,
                })));
            }
            if piece.complete {
                let message = Message::binary(self.partial.split().freeze()).on(Lane {
                    stream: piece.stream,
                    ppid: piece.ppid,
                    unordered: piece.unordered,
                });
                return Poll::Ready(Some(Ok(message)));
            }
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
        self.limits.check(&message)?;
        self.active();
        self.unsent = Some(message);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        let Some(message) = &self.unsent else {
            return Poll::Ready(Ok(()));
        };
        let (payload, lane) = (message.payload(), message.lane());
        let sent = ready!(self.wire.poll_send(cx, |socket, cx| {
            let Socket::Sctp(socket) = socket.get_mut() else {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            };
            socket
                .poll_with(cx, tokio::io::Interest::WRITABLE, |socket| {
                    send_sctp(socket, payload, lane.stream, lane.ppid, lane.unordered)
                })
                .map_ok(|()| payload.len())
        }));
        let stream = lane.stream;
        self.unsent = None;
        Poll::Ready(match sent {
            Ok(_) => Ok(()),
            // The only thing left that the kernel knows better: what the peer allows.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(MessageError::NoSuchStream { stream, streams: 0 })
            }
            Err(error) => Err(error.into()),
        })
    }

    /// SCTP has no room for the code and the reason.
    fn start_close(&mut self, _: u16, _: &str) -> Result<(), MessageError> {
        if !std::mem::replace(&mut self.closing, true) {
            let mut nobody = Context::from_waker(std::task::Waker::noop());
            // The kernel says at once.
            if let Poll::Ready(done) = Pin::new(&mut *self.wire).poll_shutdown(&mut nobody) {
                done?;
            }
        }
        Ok(())
    }

    fn last_words(&mut self, _: u16) {
        // Closing the socket is the goodbye.
    }
}

impl Drop for KernelLink {
    fn drop(&mut self) {
        self.wire.reset_if_closed();
    }
}
