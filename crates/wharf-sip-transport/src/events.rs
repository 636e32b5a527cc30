//! Messages and events as values, for a layer above that has a task of its own.
//!
//! ```
//! use wharf_sip_transport::events::{Arrival, lanes};
//! use wharf_sip_transport::{Sip, SipOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (upper, mut arrivals) = lanes(1024);
//! let sip = Sip::new(SipOptions::default(), upper);
//! // Serve listeners with `sip`, and then:
//! let serve = async move {
//!     while let Some(arrival) = arrivals.recv().await {
//!         match arrival {
//!             Arrival::Message(message) => println!("{} bytes", message.bytes.len()),
//!             Arrival::Event(event) => println!("{event:?}"),
//!             Arrival::Missed(events) => println!("{events} events were missed"),
//!         }
//!     }
//! };
//! # drop((sip, serve));
//! # }
//! ```

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use wharf::Connection;
use wharf_sip::identity::Identities;
use wharf_sip::{Priority, Scan};

use crate::room::Room;
use crate::upper::{Event, Incoming, Taken, Upper};
use crate::{FlowRef, Outgoing};

/// A message that has come.
#[derive(Debug, Clone)]
pub struct Message {
    /// The very bytes that came.
    pub bytes: Bytes,
    /// Where in them is what.
    pub scan: Scan,
    /// What it came over. `flow.flow.local` is the address that it was sent to.
    pub flow: FlowRef,
    /// Who sent it; with a PROXY header, the client behind the proxy.
    pub source: SocketAddr,
    /// When it came.
    pub at: Instant,
    /// Its connection, with what TLS knows of the peer; `None` on UDP.
    pub connection: Option<Connection>,
    /// The domains that the peer has proven to speak for, by a certificate that was verified (RFC 5922). `None`
    /// when it has shown none, and on UDP.
    pub identities: Option<Identities>,
}

/// What a [`Arrivals`] yields.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// Something has happened beside messages.
    Event(Event),
    /// A message has come.
    Message(Box<Message>),
    /// The lane of events was full: so many were dropped since the last time. What is open can be asked of
    /// [`Sip`](crate::Sip).
    Missed(u64),
}

/// Puts what a [`Sip`](crate::Sip) layer receives into bounded lanes: see [`lanes`].
#[derive(Debug)]
pub struct Lanes {
    control: Sender<Event>,
    high: Sender<Box<Message>>,
    normal: Sender<Box<Message>>,
    missed: Arc<AtomicU64>,
    room: Arc<Room>,
}

/// Takes from the lanes.
#[derive(Debug)]
pub struct Arrivals {
    control: Receiver<Event>,
    high: Receiver<Box<Message>>,
    normal: Receiver<Box<Message>>,
    missed: Arc<AtomicU64>,
    room: Arc<Room>,
}

/// Three lanes of `capacity` each, at least one: for events; for responses, ACK, CANCEL and BYE; for other
/// requests. The first that has something is taken from, in this order, so that no flood of requests holds up
/// an event or the end of a call.
///
/// A lane of messages that is full pushes back: a connection is not read until there is room, and a datagram is
/// dropped and counted. An event that finds its lane full is dropped, and [`Arrival::Missed`] says so.
pub fn lanes(capacity: usize) -> (Lanes, Arrivals) {
    let capacity = capacity.max(1);
    let (control, events) = channel(capacity);
    let (high, urgent) = channel(capacity);
    let (normal, others) = channel(capacity);
    let missed = Arc::new(AtomicU64::new(0));
    let room = Arc::new(Room::default());
    let lanes = Lanes {
        control,
        high,
        normal,
        missed: missed.clone(),
        room: room.clone(),
    };
    let arrivals = Arrivals {
        control: events,
        high: urgent,
        normal: others,
        missed,
        room,
    };
    (lanes, arrivals)
}

impl Upper for Lanes {
    fn message(&self, incoming: &Incoming<'_>, _out: &mut Outgoing<'_>) -> Taken {
        let lane = match Priority::of(incoming.message, incoming.scan) {
            Priority::Critical | Priority::High => &self.high,
            Priority::Normal | Priority::Low => &self.normal,
        };
        // What nobody will take is not copied.
        let Ok(place) = lane.try_reserve() else {
            return if lane.is_closed() {
                Taken::Yes
            } else {
                Taken::Full
            };
        };
        place.send(Box::new(Message {
            bytes: Bytes::copy_from_slice(incoming.message),
            scan: *incoming.scan,
            flow: incoming.flow,
            source: incoming.source,
            at: incoming.at,
            connection: incoming.connection.cloned(),
            identities: incoming.identities.cloned(),
        }));
        Taken::Yes
    }

    fn event(&self, event: Event) {
        if self.control.try_send(event).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Where nobody takes anything any more there is no lack of room.
        let has_room = |lane: &Sender<Box<Message>>| lane.is_closed() || lane.capacity() > 0;
        let is_there = move || has_room(&self.high) && has_room(&self.normal);
        Box::pin(self.room.until(is_there))
    }
}

impl Arrivals {
    /// The next arrival; `None` when the layer is gone and all was taken.
    pub async fn recv(&mut self) -> Option<Arrival> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            return Some(Arrival::Missed(missed));
        }
        let arrival = tokio::select! {
            biased;
            Some(event) = self.control.recv() => Some(Arrival::Event(event)),
            Some(message) = self.high.recv() => Some(Arrival::Message(message)),
            Some(message) = self.normal.recv() => Some(Arrival::Message(message)),
            else => None,
        };
        if matches!(arrival, Some(Arrival::Message(_))) {
            self.room.made();
        }
        arrival
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.high.close();
        self.normal.close();
        self.room.made();
    }
}
