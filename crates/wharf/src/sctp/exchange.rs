//! What a handler and the thread of its association hand each other.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use wharf_sctp::Closed;

use crate::message::Message;
use crate::messages::MessageError;

/// Bytes of messages that wait in each direction; one message may always wait. More of those received stay with
/// the association, which closes its window to the peer.
const ROOM: usize = 64 << 10;
/// What a message that waits counts beside its payload.
const OVERHEAD: usize = 64;

/// How an association has ended, for the handler.
pub(super) enum End {
    Association(Closed),
    /// The server closed the connection, or its socket is gone.
    Socket(io::Error),
}

/// The two queues and the words between a [`Link`](super::link::SctpLink) and a [`Pump`](super::pump::Pump).
#[derive(Default)]
pub(super) struct Exchange {
    state: Mutex<State>,
    link: AtomicWaker,
    pump: AtomicWaker,
}

#[derive(Default)]
struct State {
    received: Queue,
    sending: Queue,
    /// The handler wants the association shut down.
    closes: bool,
    /// The handler is gone.
    left: bool,
    /// The association is over.
    over: bool,
    /// How, until the handler has heard of it.
    end: Option<End>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.bytes < ROOM
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.payload().len() + OVERHEAD;
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload().len() + OVERHEAD;
        Some(message)
    }
}

impl Exchange {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The handler's side.

    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, MessageError>>> {
        self.link.register(cx.waker());
        let mut state = self.state();
        let was_full = !state.received.has_room();
        if let Some(message) = state.received.pop() {
            let wake = was_full && state.received.has_room();
            drop(state);
            if wake {
                self.pump.wake();
            }
            return Poll::Ready(Some(Ok(message)));
        }
        if !state.over {
            return Poll::Pending;
        }
        Poll::Ready(state.end.take().and_then(End::into_error).map(Err))
    }

    /// Ready when there is room for a message.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.link.register(cx.waker());
        let state = self.state();
        if state.over || state.closes {
            return Poll::Ready(Err(MessageError::Closing));
        }
        if state.sending.has_room() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    pub(super) fn send(&self, message: Message) -> Result<(), MessageError> {
        let mut state = self.state();
        if state.over || state.closes {
            return Err(MessageError::Closing);
        }
        state.sending.push(message);
        drop(state);
        self.pump.wake();
        Ok(())
    }

    /// Ready when the association has taken all messages.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.link.register(cx.waker());
        let state = self.state();
        match (state.sending.messages.is_empty(), state.over) {
            (true, _) => Poll::Ready(Ok(())),
            (false, true) => Poll::Ready(Err(MessageError::Closing)),
            (false, false) => Poll::Pending,
        }
    }

    pub(super) fn close(&self) {
        self.state().closes = true;
        self.pump.wake();
    }

    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.closes = true;
        state.left = true;
        drop(state);
        self.pump.wake();
    }

    // The association's side.

    pub(super) fn register_pump(&self, waker: &Waker) {
        self.pump.register(waker);
    }

    /// Hands messages over while there is room; says whether one was.
    pub(super) fn deliver(&self, mut next: impl FnMut() -> Option<Message>) -> bool {
        let mut state = self.state();
        let mut any = false;
        while state.left || state.received.has_room() {
            let Some(message) = next() else { break };
            any = true;
            // Nobody reads what comes after the handler has gone.
            if !state.left {
                state.received.push(message);
            }
        }
        drop(state);
        if any {
            self.link.wake();
        }
        any
    }

    /// Takes a message to be sent.
    pub(super) fn take(&self) -> Option<Message> {
        let message = self.state().sending.pop()?;
        self.link.wake();
        Some(message)
    }

    /// Whether the association is to be shut down, and whether the handler is gone.
    pub(super) fn wishes(&self) -> (bool, bool) {
        let state = self.state();
        (state.closes, state.left)
    }

    pub(super) fn wake_link(&self) {
        self.link.wake();
    }

    /// The end, which is told once. The first one counts.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.over, true) {
            state.end = Some(end);
        }
        drop(state);
        self.link.wake();
    }
}

impl End {
    /// `None`: in order.
    fn into_error(self) -> Option<MessageError> {
        match self {
            Self::Association(Closed::Finished | Closed::Aborted) => None,
            Self::Association(closed @ Closed::Violation(_)) => Some(MessageError::Protocol {
                protocol: "sctp",
                error: closed.into(),
            }),
            end => Some(MessageError::Io(end.into_io())),
        }
    }

    fn into_io(self) -> io::Error {
        let closed = match self {
            Self::Socket(error) => return error,
            Self::Association(closed) => closed,
        };
        let kind = match closed {
            Closed::ByPeer(_) => io::ErrorKind::ConnectionReset,
            Closed::TimedOut(_) => io::ErrorKind::TimedOut,
            Closed::Violation(_) => io::ErrorKind::InvalidData,
            Closed::Finished | Closed::Aborted => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, closed)
    }
}
