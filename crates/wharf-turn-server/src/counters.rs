//! What is counted, per worker and without contention: only the worker writes, anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wharf_stun::Method;
use wharf_turn::{AuthFailure, DropReason, Reply};
use wharf_udp::TrafficCount;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+) => {
        /// A number that a worker keeps. All count up, but for those of which
        /// [`Counter::is_gauge`] says that they go up and down.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Counter { $($(#[doc = $doc])+ $name,)+ }

        impl Counter {
            /// All of them, in the order of their index.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name, in lower case with underscores.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Whether it goes down, too.
            pub const fn is_gauge(self) -> bool {
                matches!(
                    self,
                    Self::Streams
                        | Self::DtlsSessions
                        | Self::DtlsHandshakes
                        | Self::Allocations
                        | Self::Permissions
                        | Self::Channels
                        | Self::FreePorts
                )
            }

            /// What is counted.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

counters! {
    /// Datagrams received from clients.
    ClientPackets => "client_packets",
    /// Bytes received from clients, UDP payload.
    ClientBytes => "client_bytes",
    /// Datagrams received from peers.
    PeerPackets => "peer_packets",
    /// Bytes received from peers, UDP payload.
    PeerBytes => "peer_bytes",
    /// Datagrams sent to peers.
    ToPeerPackets => "to_peer_packets",
    /// Bytes sent to peers, UDP payload.
    ToPeerBytes => "to_peer_bytes",
    /// Datagrams sent to clients, replies included.
    ToClientPackets => "to_client_packets",
    /// Bytes sent to clients, UDP payload.
    ToClientBytes => "to_client_bytes",
    /// Datagrams handed from one client's allocation to another's without the network between.
    HandedAcross => "handed_across",
    /// Datagrams not sent because the socket's buffer was full.
    SendBlocked => "send_blocked",
    /// Datagrams that the system refused to send.
    SendFailed => "send_failed",
    /// Datagrams that the kernel dropped before they were read, for want of buffer space.
    KernelDrops => "kernel_drops",
    /// Datagrams too large for the buffer, dropped.
    Truncated => "truncated",
    /// ICMP errors received about relayed datagrams.
    IcmpErrors => "icmp_errors",
    /// Allocations made.
    Allocated => "allocated",
    /// Allocations ended by their clients.
    Released => "released",
    /// Allocations ended by expiry.
    Expired => "expired",
    /// Allocations ended with the connection of their client.
    Disconnected => "disconnected",
    /// Allocate requests for which no relay socket could be had.
    NoRelay => "no_relay",
    /// Relay sockets that could not be bound because somebody else has the port.
    PortInUse => "port_in_use",
    /// Relay sockets that could not be bound for another reason.
    BindFailed => "bind_failed",
    /// Requests for peers that the peer policy refused.
    PeerRefused => "peer_refused",
    /// Requests by unknown users or with expired credentials.
    UnknownUser => "unknown_user",
    /// Requests with a message integrity that does not match.
    WrongPassword => "wrong_password",
    /// Requests by another user than the allocation's.
    WrongUser => "wrong_user",
    /// Frames received over streams: STUN messages and ChannelData.
    StreamFrames => "stream_frames",
    /// Bytes of frames received over streams.
    StreamBytes => "stream_bytes",
    /// Frames queued for clients over streams, replies included.
    ToStreamFrames => "to_stream_frames",
    /// Bytes of frames queued for clients over streams.
    ToStreamBytes => "to_stream_bytes",
    /// Relayed datagrams not queued for a stream because its client reads too slowly.
    StreamDropped => "stream_dropped",
    /// Streams opened, over TCP and TLS.
    StreamsOpened => "streams_opened",
    /// Streams ended by their clients.
    StreamsClosed => "streams_closed",
    /// Streams that could not be read or written any more.
    StreamsFailed => "streams_failed",
    /// Streams ended because they carried something else than STUN messages and ChannelData.
    StreamsGarbled => "streams_garbled",
    /// Streams ended because they had no allocation and brought nothing for a time.
    StreamsIdle => "streams_idle",
    /// Streams given up by the listener that had accepted them.
    StreamsAbandoned => "streams_abandoned",
    /// Streams ended because another connection of the same addresses came.
    StreamsReplaced => "streams_replaced",
    /// Streams without an allocation ended by a drain.
    StreamsDrained => "streams_drained",
    /// DTLS clients that were asked to prove their address by a cookie.
    DtlsChallenged => "dtls_challenged",
    /// Datagrams of DTLS that belong to no session and begin none.
    DtlsIgnored => "dtls_ignored",
    /// DTLS handshakes not begun because there were too many of them, of their source or sessions.
    DtlsRefused => "dtls_refused",
    /// DTLS handshakes completed.
    DtlsEstablished => "dtls_established",
    /// DTLS handshakes that failed.
    DtlsFailed => "dtls_failed",
    /// DTLS handshakes given up because they took too long.
    DtlsTimedOut => "dtls_timed_out",
    /// Messages received over DTLS.
    DtlsMessages => "dtls_messages",
    /// Messages sent over DTLS, replies included.
    ToDtlsMessages => "to_dtls_messages",
    /// Datagrams in a DTLS session that brought nothing: forged, replayed or garbled records.
    DtlsBadRecords => "dtls_bad_records",
    /// DTLS sessions ended by their clients.
    DtlsClosed => "dtls_closed",
    /// DTLS sessions ended by an alert or an error.
    DtlsBroken => "dtls_broken",
    /// DTLS sessions ended because they had no allocation and brought nothing for a time.
    DtlsIdle => "dtls_idle",
    /// DTLS sessions ended because their client began another from the same address.
    DtlsReplaced => "dtls_replaced",
    /// DTLS sessions without an allocation ended by a drain.
    DtlsDrained => "dtls_drained",
    /// Panics caught. Each is a defect of the server or of an event hook.
    Panics => "panics",
    /// Open streams.
    Streams => "streams",
    /// DTLS sessions whose handshakes are complete.
    DtlsSessions => "dtls_sessions",
    /// DTLS sessions whose handshakes are not complete.
    DtlsHandshakes => "dtls_handshakes",
    /// Live allocations.
    Allocations => "allocations",
    /// Live permissions.
    Permissions => "permissions",
    /// Live channels.
    Channels => "channels",
    /// Ports that may still be allocated.
    FreePorts => "free_ports",
}

/// Error codes of replies, `0` for success; the index of [`Snapshot::replies`].
pub const ERROR_CODES: [u16; 15] = [
    0, 300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508,
];

/// Methods of replies; the other index of [`Snapshot::replies`].
pub const METHODS: [Method; 5] = [
    Method::BINDING,
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
];

const COUNTERS: usize = Counter::ALL.len();
const DROPS: usize = DropReason::ALL.len();
const REPLIES: usize = METHODS.len() * ERROR_CODES.len();

/// One worker's counters.
#[derive(Debug)]
pub struct Counters {
    values: [AtomicU64; COUNTERS],
    drops: [AtomicU64; DROPS],
    replies: [AtomicU64; REPLIES],
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; COUNTERS],
            drops: [const { AtomicU64::new(0) }; DROPS],
            replies: [const { AtomicU64::new(0) }; REPLIES],
        }
    }

    pub(crate) fn add(&self, counter: Counter, n: u64) {
        bump(&self.values[counter as usize], n);
    }

    pub(crate) fn set(&self, counter: Counter, value: u64) {
        self.values[counter as usize].store(value, Relaxed);
    }

    pub(crate) fn dropped(&self, reason: DropReason) {
        bump(&self.drops[reason.index()], 1);
    }

    pub(crate) fn replied(&self, reply: &Reply<'_>) {
        let method = METHODS.iter().position(|method| *method == reply.method);
        let code = reply.error.unwrap_or(0);
        let code = ERROR_CODES.iter().position(|known| *known == code);
        if let (Some(method), Some(code)) = (method, code) {
            bump(&self.replies[method * ERROR_CODES.len() + code], 1);
        }
    }

    pub(crate) fn failed(&self, why: AuthFailure) {
        self.add(
            match why {
                AuthFailure::UnknownUser => Counter::UnknownUser,
                AuthFailure::WrongPassword => Counter::WrongPassword,
                AuthFailure::WrongUser => Counter::WrongUser,
            },
            1,
        );
    }
}

/// Only the worker writes, so that a load and a store do for an addition.
fn bump(value: &AtomicU64, n: u64) {
    value.store(value.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Counters of all workers, summed at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    values: [u64; COUNTERS],
    drops: [u64; DROPS],
    replies: [u64; REPLIES],
}

impl Snapshot {
    pub(crate) fn sum<'a>(workers: impl Iterator<Item = (&'a Counters, TrafficCount)>) -> Self {
        let mut sum = Self {
            values: [0; COUNTERS],
            drops: [0; DROPS],
            replies: [0; REPLIES],
        };
        for (worker, traffic) in workers {
            sum.add_traffic(&traffic);
            add_all(&mut sum.values, &worker.values);
            add_all(&mut sum.drops, &worker.drops);
            add_all(&mut sum.replies, &worker.replies);
        }
        sum
    }

    /// What the worker's loop counts for it.
    fn add_traffic(&mut self, traffic: &TrafficCount) {
        let (clients, peers) = (&traffic.listeners, &traffic.own);
        for (counter, value) in [
            (Counter::ClientPackets, clients.received),
            (Counter::ClientBytes, clients.received_bytes),
            (Counter::ToClientPackets, clients.sent),
            (Counter::ToClientBytes, clients.sent_bytes),
            (Counter::PeerPackets, peers.received),
            (Counter::PeerBytes, peers.received_bytes),
            (Counter::ToPeerPackets, peers.sent),
            (Counter::ToPeerBytes, peers.sent_bytes),
            (Counter::SendBlocked, traffic.send_blocked),
            (Counter::SendFailed, traffic.send_failed),
            (Counter::KernelDrops, traffic.kernel_drops),
            (Counter::Truncated, traffic.truncated),
            (Counter::IcmpErrors, traffic.icmp_errors),
            (Counter::Panics, traffic.panics),
        ] {
            let sum = &mut self.values[counter as usize];
            *sum = sum.wrapping_add(value);
        }
    }

    /// One number.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize]
    }

    /// Datagrams dropped for this reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()]
    }

    /// Replies by method and error code, of [`METHODS`] and [`ERROR_CODES`]; 0 for others.
    pub fn replies(&self, method: Method, code: u16) -> u64 {
        let method = METHODS.iter().position(|known| *known == method);
        let code = ERROR_CODES.iter().position(|known| *known == code);
        method.zip(code).map_or(0, |(method, code)| {
            self.replies[method * ERROR_CODES.len() + code]
        })
    }
}

fn add_all(sum: &mut [u64], values: &[AtomicU64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.wrapping_add(value.load(Relaxed));
    }
}
