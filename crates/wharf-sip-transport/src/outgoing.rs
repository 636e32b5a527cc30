//! What the layer above sends while it handles a message.

use std::cell::RefCell;
use std::net::SocketAddr;

use wharf_sip::{EditError, Editor, FrameError, Limits, Reply, Scan};

use crate::upper::{Incoming, Taken, Upper};

thread_local! {
    /// Room for what one message is edited into, kept from message to message.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Debug, Default)]
struct Scratch {
    editor: Editor,
    text: Vec<u8>,
}

/// Where what is sent goes to: the flow that a message came on.
pub(crate) trait Way {
    /// Sends one message.
    fn send(&mut self, message: &[u8]);
}

/// What the layer above sends while it handles a message. It leaves when the message is handled, with what
/// others have led to.
pub struct Outgoing<'a> {
    way: &'a mut dyn Way,
    scratch: &'a mut Scratch,
}

impl Outgoing<'_> {
    /// Sends these bytes, one SIP message, back on the flow that the message came on.
    pub fn send(&mut self, message: &[u8]) {
        self.way.send(message);
    }

    /// Answers the request that came (RFC 3261 §8.2.6). Its source is put into the top Via where it has to
    /// be (§18.2.1, RFC 3581 §4); that of the reply given here is not looked at.
    ///
    /// # Errors
    /// The message is no request, or has no Via, or the reply is none; nothing is sent then.
    pub fn respond(&mut self, incoming: &Incoming<'_>, reply: &Reply<'_>) -> Result<(), EditError> {
        let Scratch { editor, text } = &mut *self.scratch;
        text.clear();
        let reply = Reply {
            source: Some(incoming.source),
            ..*reply
        };
        editor
            .edit(incoming.message, incoming.scan)
            .respond(&reply)?
            .write(text)?;
        self.way.send(text);
        Ok(())
    }
}

impl Outgoing<'_> {
    /// Answers bytes that are no message with what [`FrameError::status`] says, where their head is that of
    /// a request (RFC 3261 §18.3).
    pub(crate) fn refuse(
        &mut self,
        bytes: &[u8],
        error: FrameError,
        source: SocketAddr,
        limits: &Limits,
    ) {
        let Some((code, reason)) = error.status() else {
            return;
        };
        let Ok(scan) = Scan::of(bytes, limits) else {
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
            self.way.send(text);
        }
    }
}

/// Hands a message to the layer above; what it sends goes this way.
pub(crate) fn hand_over(upper: &dyn Upper, incoming: &Incoming<'_>, way: &mut dyn Way) -> Taken {
    with_outgoing(way, |outgoing| upper.message(incoming, outgoing))
}

/// Calls `function` with something to send this way by.
pub(crate) fn with_outgoing<R>(
    way: &mut dyn Way,
    function: impl FnOnce(&mut Outgoing<'_>) -> R,
) -> R {
    SCRATCH.with_borrow_mut(|scratch| function(&mut Outgoing { way, scratch }))
}
