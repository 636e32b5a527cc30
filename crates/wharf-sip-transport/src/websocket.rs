//! One SIP connection over a WebSocket (RFC 7118): each message is one of SIP.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::Instant;
use wharf::{Message, MessageError, Messages};
use wharf_sip::{Boundary, FrameKind, PING, PONG, packet};

use crate::FlowRef;
use crate::flows::Entry;
use crate::layer::Inner;
use crate::outgoing::{Way, with_outgoing};
use crate::session::TRANSACTION;
use crate::upper::{CloseReason, Event, Incoming, Taken};

/// Tells that the connection has closed, however its task ends.
struct Open {
    layer: Arc<Inner>,
    entry: Arc<Entry>,
    reason: CloseReason,
    /// When the last message was received or sent.
    active: Instant,
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

/// The task of a connection.
pub(crate) async fn run(
    mut messages: Messages,
    layer: Arc<Inner>,
    entry: Arc<Entry>,
) -> Result<(), MessageError> {
    let mut open = Open {
        layer,
        entry,
        reason: CloseReason::Failed,
        active: Instant::now(),
    };
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
                if !handle(&mut messages, &mut open, received.payload()).await? {
                    open.reason = CloseReason::Protocol;
                    return messages.close(NOT_SIP, "not SIP").await;
                }
            }
            () = farewell(&open) => {
                open.reason = CloseReason::Drained;
                return messages.close(GOING_AWAY, "").await;
            }
        }
    }
}

/// Completes when a connection of a listener that drains may close: when nobody can be waiting for an
/// answer on it any more.
async fn farewell(open: &Open) {
    open.entry.connection.draining().await;
    tokio::time::sleep_until(open.active + TRANSACTION).await;
}

/// RFC 6455 §7.4.1: data within a message that is not consistent with the type of the message.
const NOT_SIP: u16 = 1007;
/// RFC 6455 §7.4.1: the server goes down.
const GOING_AWAY: u16 = 1001;

/// Handles a message; false when the connection has to close.
async fn handle(
    messages: &mut Messages,
    open: &mut Open,
    bytes: &[u8],
) -> Result<bool, MessageError> {
    let (layer, entry) = (&open.layer, &open.entry);
    let mut answers = Answers {
        messages: Vec::new(),
        flow: &entry.flow,
    };
    let mut fits = true;
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
                while layer.hand_over(&incoming, &mut answers) == Taken::Full {
                    let mut room = layer.upper.room();
                    // The answer to a ping of ours is not read now: that is no failure of the flow.
                    layer.keep_alives.pong(&entry.flow);
                    // What others send leaves meanwhile.
                    while let Some(message) = tokio::select! {
                        biased;
                        () = &mut room => None,
                        message = poll_fn(|cx| entry.outbox.poll_next(cx)) => Some(message),
                    } {
                        messages.send(message_of(&message)).await?;
                        layer.counters.sent.add(1);
                        open.active = Instant::now();
                        if *message == *PING {
                            layer.keep_alives.pong(&entry.flow);
                        }
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
            fits = false;
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
    Ok(fits)
}
