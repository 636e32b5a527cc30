//! One SIP connection over bytes: TCP and TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use wharf::Stream;
use wharf_sip::{Frame, FrameError, FrameKind, Framer, Limits, PING, PONG};

use crate::FlowRef;
use crate::clock::now;
use crate::counters::Counters;
use crate::flows::Entry;
use crate::layer::Inner;
use crate::outgoing::{Way, with_outgoing};
use crate::pace::Pace;
use crate::upper::{CloseReason, Event, Incoming, Taken};

/// Bytes read at a time, on the stack: what is complete is handled there and never copied.
const CHUNK: usize = 8 << 10;

/// Bytes to be written from which on nothing more is read or taken from the outbox.
const ENOUGH: usize = 64 << 10;

/// How long somebody may wait for an answer: 64*T1 (RFC 3261 §17.1.2.2).
pub(crate) const TRANSACTION: Duration = Duration::from_secs(32);

/// The task of a connection. It holds no buffer while nothing is under way.
struct Session {
    stream: Stream,
    layer: Arc<Inner>,
    entry: Arc<Entry>,
    framer: Framer,
    /// Bytes of a message that is not complete, or not taken yet.
    carry: Vec<u8>,
    /// Bytes to be written, and how many of them were.
    out: Vec<u8>,
    written: usize,
    timer: Option<Pin<Box<Sleep>>>,
    /// Nothing is handled before this is ready: the layer above had no room, or the messages were too many.
    pause: Option<Pause>,
    pace: Pace,
    /// Nothing more is read: what is to be written is, then the connection closes.
    ending: Option<CloseReason>,
    /// When the last message was received or sent.
    active: Instant,
    /// Why it has closed.
    reason: CloseReason,
}

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is sent on a connection is put behind what is to be written.
struct Behind<'a> {
    out: &'a mut Vec<u8>,
    flow: &'a FlowRef,
    counters: &'a Counters,
}

impl Way for Behind<'_> {
    fn send(&mut self, message: &[u8]) {
        self.out.extend_from_slice(message);
        self.counters.sent.add(1);
    }

    fn direct(&mut self, to: &FlowRef, message: &[u8]) -> bool {
        let ours = to == self.flow;
        if ours {
            self.send(message);
        }
        ours
    }
}

impl Session {
    fn new(stream: Stream, layer: Arc<Inner>, entry: Arc<Entry>, limits: Arc<Limits>) -> Self {
        let active = now();
        let framer = Framer::new(limits, active);
        let pace = Pace::new(layer.options.messages, active);
        Self {
            stream,
            layer,
            entry,
            framer,
            carry: Vec::new(),
            out: Vec::new(),
            written: 0,
            timer: None,
            pause: None,
            pace,
            ending: None,
            active,
            reason: CloseReason::Failed,
        }
    }

    /// Writes what is to be written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let stream = Pin::new(&mut self.stream);
            let taken = ready!(stream.poll_write(cx, &self.out[self.written..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += taken;
        }
        if self.written > 0 {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.out = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what others have to send; says whether there was anything.
    fn take_outbox(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.out.len();
        while self.out.len() < ENOUGH {
            let Poll::Ready(message) = self.entry.outbox.poll_next(cx) else {
                break;
            };
            if *message == *PING {
                self.framer.ping_sent();
                if self.pause.is_some() {
                    self.excuse_pong();
                }
            }
            self.out.extend_from_slice(&message);
            self.layer.counters.sent.add(1);
        }
        let took = self.out.len() > before;
        if took {
            self.active = now();
        }
        took
    }

    /// Handles what is complete of `bytes`; says how many of them are done with.
    fn handle(&mut self, bytes: &[u8]) -> usize {
        let now = now();
        let mut done = 0;
        while self.pause.is_none() && self.ending.is_none() && self.out.len() < ENOUGH {
            let rest = &bytes[done..];
            match self.framer.advance(rest, now) {
                Ok(Some(frame)) => {
                    let end = frame.end;
                    if self.frame(&rest[..end], &frame, now) {
                        done += end;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.refuse(rest, error);
                    return bytes.len();
                }
            }
        }
        done
    }

    /// Handles a frame; false when it has to come again.
    fn frame(&mut self, bytes: &[u8], frame: &Frame, now: Instant) -> bool {
        let counters = &self.layer.counters;
        match &frame.kind {
            FrameKind::Message(scan) => {
                self.active = now;
                if let Some(at) = self.pace.wait(now) {
                    counters.throttled.add(1);
                    self.pause(Box::pin(tokio::time::sleep_until(at.into())));
                    return false;
                }
                let incoming = Incoming {
                    message: bytes,
                    scan,
                    flow: self.entry.flow,
                    source: self.entry.source(),
                    at: now,
                    connection: Some(&self.entry.connection),
                    identities: self.entry.identities(),
                };
                self.layer.take_offer(&self.entry, &incoming);
                let mut way = Behind {
                    out: &mut self.out,
                    flow: &self.entry.flow,
                    counters,
                };
                if self.layer.hand_over(&incoming, &mut way) == Taken::Full {
                    let layer = self.layer.clone();
                    self.pause(Box::pin(async move { layer.upper.room().await }));
                    return false;
                }
                self.pace.took_one(now);
            }
            FrameKind::Ping => {
                counters.pings.add(1);
                self.out.extend_from_slice(PONG);
            }
            FrameKind::Pong => self.layer.pong(&self.entry.flow),
            FrameKind::Blank => {}
        }
        true
    }

    fn pause(&mut self, pause: Pause) {
        self.pause = Some(pause);
        self.excuse_pong();
    }

    /// The answer to a ping of ours is not read during a pause: that is no failure of the flow.
    fn excuse_pong(&self) {
        self.layer.keep_alives.pong(&self.entry.flow);
    }

    /// Answers bytes that are no message, where they can be answered, and ends the connection
    /// (RFC 3261 §18.3).
    fn refuse(&mut self, bytes: &[u8], error: FrameError) {
        let layer = &self.layer;
        layer.counters.refused(&error);
        layer.upper.event(Event::Refused(self.entry.flow, error));
        let source = self.entry.source();
        let mut way = Behind {
            out: &mut self.out,
            flow: &self.entry.flow,
            counters: &layer.counters,
        };
        with_outgoing(layer, &mut way, |outgoing| {
            outgoing.refuse(bytes, error, source);
        });
        self.ending = Some(CloseReason::Protocol);
    }

    /// Reads once, and handles what has come. Ready when there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [std::mem::MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        if chunk.filled().is_empty() {
            let whole = self.carry.is_empty();
            self.ending = Some(if whole {
                CloseReason::Peer
            } else {
                CloseReason::Incomplete
            });
        } else if self.carry.is_empty() {
            let done = self.handle(chunk.filled());
            self.carry.extend_from_slice(&chunk.filled()[done..]);
        } else {
            self.carry.extend_from_slice(chunk.filled());
            self.handle_carry();
        }
        Poll::Ready(Ok(()))
    }

    fn handle_carry(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        let done = self.handle(&carry);
        if done == 0 {
            self.carry = carry;
        } else {
            // A few bytes that are left, and may stay for long, do not keep the room of a long message.
            self.carry = carry[done..].to_vec();
        }
    }

    /// When a connection of a listener that drains may close: when nobody can be waiting for an answer
    /// on it any more (RFC 3261 §18: 64*T1 after the last message).
    fn farewell(&self) -> Option<Instant> {
        // A drain wakes whoever waits for bytes: no future of it takes memory here.
        self.drains().then_some(self.active + TRANSACTION)
    }

    fn drains(&self) -> bool {
        let draining = self.entry.connection.is_draining();
        if draining {
            self.layer.draining(&self.entry);
        }
        draining
    }

    /// Waits for the deadline of the message that is under way, or for the farewell. Ready when one of
    /// them has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = [self.framer.deadline(), self.farewell()];
            let Some(deadline) = due.into_iter().flatten().min() else {
                self.timer = None;
                return Poll::Pending;
            };
            let deadline = tokio::time::Instant::from_std(deadline);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
            if let Err(error) = self.framer.expire(now()) {
                self.refuse(&[], error);
                return Poll::Ready(());
            }
            if self.farewell().is_some_and(|due| due <= now()) {
                self.ending = Some(CloseReason::Drained);
                return Poll::Ready(());
            }
        }
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<CloseReason>> {
        loop {
            if self.poll_write(cx)?.is_pending() {
                self.drains();
                return Poll::Pending;
            }
            if let Some(reason) = self.ending {
                return Poll::Ready(Ok(reason));
            }
            if self.take_outbox(cx) {
                continue;
            }
            if self.pause.is_some() {
                // Whoever closes it, or drains its listener, is not held up by the pause.
                if self.stream.poll_ending(cx).is_ready() {
                    return Poll::Ready(Ok(CloseReason::Failed));
                }
                if self.poll_deadline(cx).is_ready() {
                    continue;
                }
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if !self.carry.is_empty() {
                self.handle_carry();
                if !self.out.is_empty() || self.pause.is_some() || self.ending.is_some() {
                    continue;
                }
            }
            if self.poll_read(cx)?.is_ready() {
                continue;
            }
            if self.poll_deadline(cx).is_ready() {
                continue;
            }
            return Poll::Pending;
        }
    }
}

/// Serves a connection until it ends. `limits` are those of the layer, or for a connection of ours without a
/// time for the first message.
pub(crate) fn run(
    stream: Stream,
    layer: &Arc<Inner>,
    entry: Arc<Entry>,
    limits: &Arc<Limits>,
) -> impl Future<Output = io::Result<()>> + Send + use<> {
    Session::new(stream, layer.clone(), entry, limits.clone())
}

impl Future for Session {
    type Output = Result<(), io::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.reason = ready!(self.poll_all(cx))?;
        Poll::Ready(match self.reason {
            // By this kind the listener counts it as the peer's fault.
            CloseReason::Protocol => Err(io::ErrorKind::InvalidData.into()),
            _ => Ok(()),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.layer.closed(&self.entry, self.reason);
    }
}
