//! What the layer above sends while it handles a message.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use wharf_sip::{Edit, EditError, Editor, FrameError, Priority, Reply, Scan, Via};

use crate::layer::Inner;
use crate::upper::Incoming;
use crate::{FlowRef, ForwardError, SendError, Sip};

thread_local! {
    /// Room for what one message is edited into, kept from message to message.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Debug, Default)]
struct Scratch {
    editor: Editor,
    text: Vec<u8>,
}

/// The port of a sent-by without one (RFC 3261 §18.2.2).
const DEFAULT_PORT: u16 = 5060;

/// Longer texts than this are not kept from message to message.
const KEPT: usize = 64 << 10;

/// Where what is sent goes to: the flow that a message came on, and those that leave the same way.
pub(crate) trait Way {
    /// Sends one message back.
    fn send(&mut self, message: &[u8]);

    /// Sends one message back; over UDP to this port of the sender.
    fn send_to_port(&mut self, _port: u16, message: &[u8]) {
        self.send(message);
    }

    /// Sends one message to another flow; false where that one has another way.
    fn direct(&mut self, to: &FlowRef, message: &[u8]) -> bool;
}

/// What the layer above sends while it handles a message. What goes back on the same flow, or out of the same
/// UDP socket, leaves when the message is handled, with what others have led to.
pub struct Outgoing<'a> {
    layer: &'a Arc<Inner>,
    way: &'a mut dyn Way,
    scratch: &'a mut Scratch,
}

impl Outgoing<'_> {
    /// The layer that the message came to: it finds flows, and sends what is not to be sent at once.
    pub fn sip(&self) -> Sip {
        Sip::of(self.layer)
    }

    /// Sends these bytes, one SIP message, back on the flow that the message came on.
    pub fn send(&mut self, message: &[u8]) {
        self.way.send(message);
    }

    /// Sends these bytes, one SIP message, over any flow.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_over(
        &mut self,
        flow: &FlowRef,
        message: &[u8],
        priority: Priority,
    ) -> Result<(), SendError> {
        send_over(self.layer, self.way, flow, message, priority)
    }

    /// Answers the request that came (RFC 3261 §8.2.6). Its source is put into the top Via where it has to
    /// be (§18.2.1, RFC 3581 §4); that of the reply given here is not looked at.
    ///
    /// The answer goes back over the flow; over UDP to the port of sent-by, unless `rport` asks for the one
    /// that the request came from (§18.2.2, RFC 3581 §4). `maddr` is not followed: whoever sends a request
    /// would choose who gets the answer.
    ///
    /// # Errors
    /// The message is no request, or has no Via, or the reply is none; nothing is sent then.
    pub fn respond(&mut self, incoming: &Incoming<'_>, reply: &Reply<'_>) -> Result<(), EditError> {
        let reply = Reply {
            source: Some(incoming.source),
            ..*reply
        };
        let Scratch { editor, text } = &mut *self.scratch;
        text.clear();
        editor
            .edit(incoming.message, incoming.scan)
            .respond(&reply)?
            .write(text)?;
        send_back(self.way, incoming.message, incoming.scan, text);
        Ok(())
    }

    /// Sends the message that came, with these changes, over any flow.
    ///
    /// # Errors
    /// That of the change or of the flow; nothing is sent then.
    pub fn forward(
        &mut self,
        incoming: &Incoming<'_>,
        flow: &FlowRef,
        change: impl FnOnce(&mut Edit<'_>) -> Result<(), EditError>,
    ) -> Result<(), ForwardError> {
        let Scratch { editor, text } = &mut *self.scratch;
        text.clear();
        let mut edit = editor.edit(incoming.message, incoming.scan);
        change(&mut edit)?;
        edit.write(text)?;
        let priority = Priority::of(incoming.message, incoming.scan);
        send_over(self.layer, self.way, flow, text, priority)?;
        Ok(())
    }

    /// Answers bytes that are no message with what [`FrameError::status`] says, where their head is that of
    /// a request (RFC 3261 §18.3).
    pub(crate) fn refuse(&mut self, bytes: &[u8], error: FrameError, source: SocketAddr) {
        let Some((code, reason)) = error.status() else {
            return;
        };
        let Ok(scan) = Scan::of(bytes, &self.layer.options.limits) else {
            return;
        };
        let Scratch { editor, text } = &mut *self.scratch;
        text.clear();
        let reply = Reply {
            code,
            reason,
            tag: "refused",
            source: Some(source),
            fields: &[],
        };
        let mut edit = editor.edit(bytes, &scan);
        // What is no request, or has no Via, has no answer.
        let written = edit.respond(&reply).and_then(|edit| edit.write(text));
        if written.is_ok() {
            send_back(self.way, bytes, &scan, text);
        }
    }
}

/// Sends an answer where the top Via of its request has it.
fn send_back(way: &mut dyn Way, request: &[u8], scan: &Scan, answer: &[u8]) {
    let via = scan.via.map(|via| Via::parse(via.top.of(request)));
    match via {
        Some(Ok(via)) if via.rport().is_none() => {
            way.send_to_port(via.port.unwrap_or(DEFAULT_PORT), answer);
        }
        _ => way.send(answer),
    }
}

fn send_over(
    layer: &Inner,
    way: &mut dyn Way,
    flow: &FlowRef,
    message: &[u8],
    priority: Priority,
) -> Result<(), SendError> {
    if flow.flow.transport == wharf_sip::Transport::Udp {
        crate::ports::fits(message)?;
    }
    if way.direct(flow, message) {
        return Ok(());
    }
    layer.send(flow, Bytes::copy_from_slice(message), priority)
}

/// Calls `function` with something to send this way by.
pub(crate) fn with_outgoing<R>(
    layer: &Arc<Inner>,
    way: &mut dyn Way,
    function: impl FnOnce(&mut Outgoing<'_>) -> R,
) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        let result = function(&mut Outgoing {
            layer,
            way,
            scratch,
        });
        if scratch.text.capacity() > KEPT {
            scratch.text = Vec::new();
        }
        result
    })
}
