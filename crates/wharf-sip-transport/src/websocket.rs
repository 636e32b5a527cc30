//! One SIP connection over a WebSocket (RFC 7118): each message is one of SIP.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;
use wharf::{Message, MessageError, Messages};
use wharf_sip::{Boundary, FrameKind, PING, PONG, packet};

use crate::FlowRef;
use crate::flows::Entry;
use crate::layer::Inner;
use crate::outgoing::{Way, with_outgoing};
use crate::pace::Pace;
use crate::session::TRANSACTION;
use crate::upper::{CloseReason, Event, Incoming, Taken};

/// Tells that the connection has closed, however its task ends.
struct Open {
    layer: Arc<Inner>,
    entry: Arc<Entry>,
    reason: CloseReason,
    /// When the last message was received or sent.
    active: Instant,
    pace: Pace,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.layer.closed(&self.entry, self.reason);
    }
}

/// What is sent while a message is handled.
struct Answers<'a> {
    messages: Vec<Message>,
    flow: &'a FlowRef,
}

impl Way for Answers<'_> {
    fn send(&mut self, message: &[u8]) {
        self.messages.push(message_of(message));
    }

    fn direct(&mut self, to: &FlowRef, message: &[u8]) -> bool {
        let ours = to == self.flow;
        if ours {
            self.send(message);
        }
        ours
    }
}

/// Text where it is UTF-8 (RFC 7118 §5): many a client in a browser reads nothing else.
fn message_of(bytes: &[u8]) -> Message {
    match std::str::from_utf8(bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::binary(bytes.to_vec()),
    }
}

/// The task of a connection. From here on it is told when it has closed, even if the task never begins.
pub(crate) fn run(
    messages: Messages,
    layer: Arc<Inner>,
    entry: Arc<Entry>,
) -> impl Future<Output = Result<(), MessageError>> + Send {
    let active = Instant::now();
    let open = Open {
        pace: Pace::new(layer.options.messages, active.into_std()),
        layer,
        entry,
        reason: CloseReason::Failed,
        active,
    };
    serve(messages, open)
}

async fn serve(mut messages: Messages, mut open: Open) -> Result<(), MessageError> {
    loop {
        tokio::select! {
            biased;
            message = poll_fn(|cx| open.entry.outbox.poll_next(cx)) => {
                messages.send(message_of(&message)).await?;
                open.layer.counters.sent.add(1);
                open.active = Instant::now();
            }
            received = messages.recv() => {
                let Some(received) = received else {
                    open.reason = CloseReason::Peer;
                    return Ok(());
                };
                let received = received?;
                match handle(&mut messages, &mut open, received.payload()).await? {
                    Next::Message => {}
                    Next::Refused => {
                        open.reason = CloseReason::Protocol;
                        return messages.close(NOT_SIP, "not SIP").await;
                    }
                    Next::Farewell => return part(&mut messages, &mut open).await,
                }
            }
            () = farewell(&open.layer, &open.entry, open.active) => {
                return part(&mut messages, &mut open).await;
            }
        }
    }
}

/// Completes when a connection of a listener that drains may close: when nobody can be waiting for an
/// answer on it any more.
async fn farewell(layer: &Inner, entry: &Entry, active: Instant) {
    entry.connection.draining().await;
    layer.draining(entry);
    tokio::time::sleep_until(active + TRANSACTION).await;
}

/// Closes a connection of a listener that drains.
async fn part(messages: &mut Messages, open: &mut Open) -> Result<(), MessageError> {
    open.reason = CloseReason::Drained;
    messages.close(GOING_AWAY, "").await
}

type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What comes after a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next one, or the end, as the connection has it.
    Message,
    /// It was none: the connection closes.
    Refused,
    /// Its listener drains, and it may close.
    Farewell,
}

/// RFC 6455 §7.4.1: data within a message that is not consistent with the type of the message.
const NOT_SIP: u16 = 1007;
/// RFC 6455 §7.4.1: the server goes down.
const GOING_AWAY: u16 = 1001;

/// Handles a message.
async fn handle(
    messages: &mut Messages,
    open: &mut Open,
    bytes: &[u8],
) -> Result<Next, MessageError> {
    let (layer, entry) = (&open.layer, &open.entry);
    let mut answers = Answers {
        messages: Vec::new(),
        flow: &entry.flow,
    };
    let mut next = Next::Message;
    match packet(bytes, Boundary::WebSocket, &layer.options.limits) {
        Ok(frame) => match frame.kind {
            FrameKind::Message(scan) => {
                open.active = Instant::now();
                let incoming = Incoming {
                    message: &bytes[frame.start..frame.end],
                    scan: &scan,
                    flow: entry.flow,
                    source: entry.source(),
                    at: open.active.into_std(),
                    connection: Some(&entry.connection),
                    identities: entry.identities(),
                };
                loop {
                    let now = Instant::now().into_std();
                    let pause: Pause<'_> = if let Some(at) = open.pace.wait(now) {
                        layer.counters.throttled.add(1);
                        Box::pin(tokio::time::sleep_until(at.into()))
                    } else if layer.hand_over(&incoming, &mut answers) == Taken::Full {
                        layer.upper.room()
                    } else {
                        open.pace.took_one(now);
                        break;
                    };
                    let passed = pass(pause, messages, layer, entry, &mut open.active);
                    // On the heap: most connections never pause.
                    let ended = Box::pin(passed).await?;
                    if let Some(next) = ended {
                        return Ok(next);
                    }
                }
            }
            FrameKind::Ping => {
                layer.counters.pings.add(1);
                answers.send(PONG);
            }
            FrameKind::Pong => layer.pong(&entry.flow),
            FrameKind::Blank => {}
        },
        Err(error) => {
            next = Next::Refused;
            layer.counters.refused(&error);
            layer.upper.event(Event::Refused(entry.flow, error));
            with_outgoing(layer, &mut answers, |outgoing| {
                outgoing.refuse(bytes, error, entry.source());
            });
        }
    }
    for answer in answers.messages {
        messages.send(answer).await?;
        layer.counters.sent.add(1);
    }
    Ok(next)
}

/// Waits until messages are handled again; what others send leaves meanwhile. Whoever closes the connection, or
/// drains its listener, is not held up: then it says how to go on without the message at hand.
async fn pass(
    mut pause: Pause<'_>,
    messages: &mut Messages,
    layer: &Inner,
    entry: &Entry,
    active: &mut Instant,
) -> Result<Option<Next>, MessageError> {
    // The answer to a ping of ours is not read now: that is no failure of the flow.
    layer.keep_alives.pong(&entry.flow);
    loop {
        let message = tokio::select! {
            biased;
            // What has closed it is told by the next look for a message.
            _ = poll_fn(|cx| messages.poll_ending(cx)) => return Ok(Some(Next::Message)),
            () = farewell(layer, entry, *active) => return Ok(Some(Next::Farewell)),
            () = &mut pause => return Ok(None),
            message = poll_fn(|cx| entry.outbox.poll_next(cx)) => message,
        };
        messages.send(message_of(&message)).await?;
        layer.counters.sent.add(1);
        *active = Instant::now();
        if *message == *PING {
            layer.keep_alives.pong(&entry.flow);
        }
    }
}
