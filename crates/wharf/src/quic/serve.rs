//! The life of an established connection: its handlers, and its end.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use futures_util::FutureExt;
use quinn::{RecvStream, SendStream, VarInt};
use tokio::task::{JoinSet, yield_now};

use super::connection::QuicConnection;
use super::fault;
use super::stream::QuicStream;
use crate::connection::{Connection, Hold, Shared};
use crate::handlers::{Kind, Running, StreamFunction};
use crate::reason::Closed;
use crate::{BoxError, Stream};

/// What a connection is closed with when its handlers have returned.
const FINISHED: VarInt = VarInt::from_u32(0);
/// What a connection is closed with when its handler has panicked.
const INTERNAL: VarInt = VarInt::from_u32(1);
/// How often the driver of a connection is given its turn before it is closed, to send the datagrams
/// that wait. quinn tells nobody when it has sent them.
const TURNS: usize = 64;

/// A connection whose handshake is complete, or as complete as early data needs.
pub(crate) struct Established {
    pub(super) quinn: quinn::Connection,
    pub(super) hold: Hold,
    /// `quic.drain-code`.
    pub(super) drain_code: VarInt,
    /// Room for datagrams to be sent when none waits.
    pub(super) datagram_buffer: usize,
}

/// What the future that has the whole connection, if there is one, is polled as.
enum Whole {
    None,
    Runs(Running),
    Done(Result<(), BoxError>),
}

impl Established {
    /// What `kind` makes of it: ends with the connection, or when a handler that has it as a whole
    /// returns.
    pub(crate) fn begin(self, kind: &Kind) -> Running {
        let connection = QuicConnection::new(self.quinn.clone(), self.hold.clone());
        let (streams, whole) = match kind {
            Kind::Stream(streams) => (Some(streams), Whole::None),
            Kind::Messages(messages) => (None, Whole::Runs(messages(connection.messages()))),
            Kind::Both(streams, messages) => {
                (Some(streams), Whole::Runs(messages(connection.messages())))
            }
            Kind::Quic(function) => (None, Whole::Runs(function(connection.clone()))),
            // The builder refuses such a pair: nothing is served.
            Kind::Datagrams(_) | Kind::Batch(_) => (None, Whole::None),
        };
        Box::pin(self.serve(connection, streams.cloned(), whole))
    }

    async fn serve(
        self,
        connection: QuicConnection,
        streams: Option<StreamFunction>,
        mut whole: Whole,
    ) -> Result<(), BoxError> {
        let shared = self.hold.shared();
        let mut handlers = JoinSet::new();
        let mut accepts = streams;
        let mut closed = false;
        loop {
            if accepts.is_none() && handlers.is_empty() && !matches!(whole, Whole::Runs(_)) {
                break;
            }
            tokio::select! {
                biased;
                reason = ending(shared), if !closed => {
                    closed = true;
                    self.quinn.close(self.drain_code, reason.label().as_bytes());
                }
                () = shared.owner.draining.cancelled(), if accepts.is_some() => accepts = None,
                opened = self.quinn.accept_bi(), if accepts.is_some() => match (&accepts, opened) {
                    (Some(function), Ok(halves)) => {
                        handlers.spawn(one(function.clone(), halves, self.hold.clone()));
                    }
                    _ => accepts = None,
                },
                // A handler's task ends without a panic: its handler's is caught within.
                Some(_) = handlers.join_next() => {}
                result = run(&mut whole) => whole = Whole::Done(result),
            }
        }
        if let Some(error) = self.quinn.close_reason() {
            fault::note(shared, &error);
        }
        connection.finished().await;
        self.send_datagrams().await;
        match whole {
            Whole::Done(result) => result,
            Whole::None | Whole::Runs(_) => Ok(()),
        }
    }

    async fn send_datagrams(&self) {
        for _ in 0..TURNS {
            let waits = self.quinn.datagram_send_buffer_space() < self.datagram_buffer;
            if !waits || self.quinn.close_reason().is_some() {
                return;
            }
            yield_now().await;
        }
    }
}

impl Drop for Established {
    /// However it ends, the peer is told.
    fn drop(&mut self) {
        let shared = self.hold.shared();
        let (code, reason) = if std::thread::panicking() {
            (INTERNAL, Closed::Panic.label())
        } else if let Some(reason) = shared.ending() {
            (self.drain_code, reason.label())
        } else if shared.owner.drains() {
            (self.drain_code, Closed::Drained.label())
        } else {
            (FINISHED, "")
        };
        // A connection that has ended is closed no more.
        self.quinn.close(code, reason.as_bytes());
    }
}

/// Ends when the server closes the connection.
pub(super) async fn ending(shared: &Shared) -> Closed {
    poll_fn(|cx| {
        shared.writer.register(cx.waker());
        shared.ending().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Runs the handler that has the connection as a whole.
async fn run(whole: &mut Whole) -> Result<(), BoxError> {
    match whole {
        Whole::Runs(running) => running.await,
        Whole::None | Whole::Done(_) => std::future::pending().await,
    }
}

/// One stream from its opening until the peer has taken what its handler sent.
async fn one(function: StreamFunction, halves: (SendStream, RecvStream), hold: Hold) {
    let shared = hold.shared().clone();
    let (stream, done) = QuicStream::new(halves, hold);
    let stream = Stream::over_quic(stream, Connection::new(shared.clone()));
    let running = match catch_unwind(AssertUnwindSafe(|| function(stream))) {
        Ok(running) => running,
        Err(panic) => return settle(&shared, Err(panic)),
    };
    let result = AssertUnwindSafe(running).catch_unwind().await;
    settle(&shared, result);
    done.await;
}

/// A stream's failure is its own: the connection goes on, and ends for this reason if for no other.
fn settle(shared: &Shared, result: Result<Result<(), BoxError>, Box<dyn Any + Send>>) {
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            shared.note(Closed::HandlerError);
            tracing::debug!(%error, "stream's handler failed");
        }
        Err(_) => {
            shared.note(Closed::Panic);
            tracing::error!(id = shared.id, "stream's handler panicked");
        }
    }
}
