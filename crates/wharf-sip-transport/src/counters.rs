//! What was counted.

use std::sync::atomic::{AtomicU64, Ordering};

use wharf_sip::FrameError;

/// Declares the counters, what their snapshot says, and how the one is made of the others.
macro_rules! counters {
    (
        $counters:ident =>
        $(#[doc = $about:literal])+
        $stats:ident {$($(#[doc = $doc:literal])+ $name:ident,)+}
    ) => {
        #[derive(Debug, Default)]
        pub(crate) struct $counters {
            $(pub(crate) $name: $crate::counters::Counter,)+
        }

        impl $counters {
            pub(crate) fn snapshot(&self) -> $stats {
                $stats { $($name: self.$name.get(),)+ }
            }
        }

        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct $stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl $stats {
            /// Each counter: its name, what it counts, and how many.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+), self.$name),)+].into_iter()
            }
        }
    };
}

pub(crate) use counters;

counters! {
    Counters =>
    /// The counters of a [`Sip`](crate::Sip) layer. Those of connections, bytes and datagrams are the
    /// listeners'.
    SipStats {
        /// Messages that the layer above has taken.
        received,
        /// Messages, and keep-alives of ours, that were handed to a socket.
        sent,
        /// Messages that were taken for a connection or a worker which ended before they were sent.
        lost,
        /// Keep-alives that were answered (RFC 5626 §3.5.1).
        pings,
        /// Keep-alives of ours that were answered.
        pongs,
        /// Flows that have failed, since a keep-alive of ours was not answered as it should be (RFC 5626 §4.4).
        flows_failed,
        /// STUN Binding requests that were answered (RFC 5626 §3.5.2).
        stun,
        /// STUN messages that were not: malformed, or not asked for.
        stun_refused,
        /// Datagrams dropped because the layer above had no room.
        full,
        /// Times that a connection was not read for a while, because its messages were above `messages`.
        throttled,
        /// Responses dropped because their topmost Via is not ours (RFC 3261 §18.1.2).
        strays,
        /// Offers of a connection for requests to its peer (RFC 5923) for which there was no room.
        aliases_refused,
        /// Connections that have opened.
        opened,
        /// Connections that have closed.
        closed,
        /// Connections closed at once, because there were `max_connections`.
        crowded,
        /// ICMP errors that say that a datagram of ours did not arrive (RFC 3261 §18.4).
        unreachable,
        /// What could not be read as the head of a message.
        refused_head,
        /// Messages whose length was missing, malformed, too large or not true.
        refused_length,
        /// Connections whose message took too long.
        refused_time,
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Bytes were no message.
    pub(crate) fn refused(&self, error: &FrameError) {
        let counter = match error {
            FrameError::Head(_) => &self.refused_head,
            FrameError::HeadTime | FrameError::BodyTime | FrameError::FirstMessageTime => {
                &self.refused_time
            }
            _ => &self.refused_length,
        };
        counter.add(1);
    }
}
