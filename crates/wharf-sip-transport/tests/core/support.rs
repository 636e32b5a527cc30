//! A responder, and what it has seen.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use wharf::config::Transport;
use wharf::testkit::{Connector, memory};
use wharf::{DrainReport, Handle, Server};
use wharf_sip::{Priority, Reply};
use wharf_sip_transport::{
    CloseReason, Event, FlowRef, Incoming, Outgoing, Sip, SipOptions, Taken, Upper,
};

/// What has happened, in the order in which it has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Message(String, FlowRef),
    Opened(FlowRef),
    Closed(FlowRef, CloseReason),
    Other(String),
}

/// Answers OPTIONS and tells everything.
pub(crate) struct Responder {
    seen: mpsc::UnboundedSender<Seen>,
    full: AtomicBool,
    room: Notify,
}

pub(crate) struct Above(Arc<Responder>);

impl Upper for Above {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        if self.0.full.load(Ordering::SeqCst) {
            return Taken::Full;
        }
        let message = String::from_utf8_lossy(incoming.message).into_owned();
        let _ = self.0.seen.send(Seen::Message(message, incoming.flow));
        if incoming.scan.method(incoming.message) == Some(b"OPTIONS") {
            let ok = Reply {
                code: 200,
                reason: "OK",
                tag: "t",
                source: None,
                fields: &[],
            };
            out.respond(incoming, &ok).unwrap();
        }
        Taken::Yes
    }

    fn event(&self, event: Event) {
        let seen = match event {
            Event::Opened(flow) => Seen::Opened(flow),
            Event::Closed(flow, reason) => Seen::Closed(flow, reason),
            other => Seen::Other(format!("{other:?}")),
        };
        let _ = self.0.seen.send(seen);
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let notified = self.0.room.notified();
            if self.0.full.load(Ordering::SeqCst) {
                notified.await;
            }
        })
    }
}

/// A layer with a responder above it.
pub(crate) struct Site {
    pub(crate) sip: Sip,
    responder: Arc<Responder>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Site {
    pub(crate) fn new(options: SipOptions) -> Self {
        Self::with(|above| Sip::new(options, above))
    }

    /// The layer is made of what stands above it.
    pub(crate) fn with(layer: impl FnOnce(Above) -> Sip) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let responder = Arc::new(Responder {
            seen: sender,
            full: AtomicBool::new(false),
            room: Notify::new(),
        });
        Self {
            sip: layer(Above(responder.clone())),
            responder,
            seen,
        }
    }

    /// Serves connections in memory.
    pub(crate) fn in_memory(&self) -> (Handle, Connector) {
        let (listen, connector) = memory(Transport::Tcp);
        let server = Server::builder().listen_with("sip", listen, self.sip.streams());
        let (handle, _) = run(server.build().unwrap());
        (handle, connector)
    }

    pub(crate) async fn next(&mut self) -> Seen {
        let next = tokio::time::timeout(Duration::from_mins(3), self.seen.recv());
        next.await.expect("something happens").unwrap()
    }

    /// Whether nothing else has happened.
    pub(crate) fn is_silent(&self) -> bool {
        self.seen.is_empty()
    }

    pub(crate) async fn message(&mut self) -> (String, FlowRef) {
        loop {
            if let Seen::Message(message, flow) = self.next().await {
                return (message, flow);
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> CloseReason {
        loop {
            if let Seen::Closed(_, reason) = self.next().await {
                return reason;
            }
        }
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.responder.full.store(full, Ordering::SeqCst);
        self.responder.room.notify_waiters();
    }
}

pub(crate) fn run(server: Server) -> (Handle, tokio::task::JoinHandle<DrainReport>) {
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    (handle, running)
}

/// A request with this number.
pub(crate) fn options(number: u32, via: &str) -> String {
    format!(
        "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\n\
         Call-ID: c{number}\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Sends to a flow as the layer above does.
pub(crate) fn send(sip: &Sip, flow: &FlowRef, message: &str) {
    sip.send(flow, message.to_owned().into(), Priority::Normal)
        .unwrap();
}
