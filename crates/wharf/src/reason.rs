//! Why an arrival was refused, and why a connection was closed: the labels of counters and events.

mod dropped;

use std::io;

pub use dropped::Dropped;

/// Why an arrival never reached its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// `limits.max-connections` of the listener.
    ListenerFull,
    /// `limits.max-connections` of the server.
    ServerFull,
    /// `limits.memory` of the server.
    Memory,
    /// `limits.per-prefix`.
    PrefixFull,
    /// No room in the table of prefixes.
    PrefixTableFull,
    /// `limits.max-handshakes`.
    HandshakesFull,
    /// `limits.handshakes-per-prefix`.
    PrefixHandshakesFull,
    /// `rates.accept`.
    Rate,
    /// `rates.accept-per-prefix`.
    PrefixRate,
    /// `access`, by the address of the socket.
    Access,
    /// `access`, by the address in the PROXY header.
    ProxiedAccess,
    /// `unix.peers`.
    Identity,
    /// `proxy.mode = "required"`, and the source is not in `proxy.trusted`.
    ProxyUntrusted,
    /// `proxy.mode = "required"`, and no header came.
    ProxyMissing,
    /// The PROXY header was malformed.
    ProxyInvalid,
    /// `timeouts.proxy-header`.
    ProxyTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The WebSocket upgrade was refused.
    Upgrade,
    /// `timeouts.handshake`.
    HandshakeTimeout,
    /// The user's `admit` hook said no.
    Hook,
    /// No handler serves the negotiated protocol.
    NoHandler,
    /// The process has no descriptor or buffer left.
    Exhausted,
    /// The peer closed before its handshakes were complete, having sent something.
    PeerClosed,
    /// The peer closed without a byte, as load balancers do to see whether a port is open.
    Probe,
    /// The listener was stopped while handshakes were pending.
    Stopped,
    /// The socket failed.
    Io,
    /// A client reached none of the addresses.
    Unreachable,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 27] = [
        Self::ListenerFull,
        Self::ServerFull,
        Self::Memory,
        Self::PrefixFull,
        Self::PrefixTableFull,
        Self::HandshakesFull,
        Self::PrefixHandshakesFull,
        Self::Rate,
        Self::PrefixRate,
        Self::Access,
        Self::ProxiedAccess,
        Self::Identity,
        Self::ProxyUntrusted,
        Self::ProxyMissing,
        Self::ProxyInvalid,
        Self::ProxyTimeout,
        Self::Tls,
        Self::Upgrade,
        Self::HandshakeTimeout,
        Self::Hook,
        Self::NoHandler,
        Self::Exhausted,
        Self::PeerClosed,
        Self::Probe,
        Self::Stopped,
        Self::Io,
        Self::Unreachable,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::ListenerFull => "listener-full",
            Self::ServerFull => "server-full",
            Self::Memory => "memory",
            Self::PrefixFull => "prefix-full",
            Self::PrefixTableFull => "prefix-table-full",
            Self::HandshakesFull => "handshakes-full",
            Self::PrefixHandshakesFull => "prefix-handshakes-full",
            Self::Rate => "rate",
            Self::PrefixRate => "prefix-rate",
            Self::Access => "access",
            Self::ProxiedAccess => "proxied-access",
            Self::Identity => "identity",
            Self::ProxyUntrusted => "proxy-untrusted",
            Self::ProxyMissing => "proxy-missing",
            Self::ProxyInvalid => "proxy-invalid",
            Self::ProxyTimeout => "proxy-timeout",
            Self::Tls => "tls",
            Self::Upgrade => "upgrade",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::Hook => "hook",
            Self::NoHandler => "no-handler",
            Self::Exhausted => "exhausted",
            Self::PeerClosed => "peer-closed",
            Self::Probe => "probe",
            Self::Stopped => "stopped",
            Self::Io => "io",
            Self::Unreachable => "unreachable",
        }
    }

    /// Refused for want of room in the server.
    pub fn is_capacity(self) -> bool {
        matches!(
            self,
            Self::ListenerFull
                | Self::ServerFull
                | Self::Memory
                | Self::PrefixTableFull
                | Self::HandshakesFull
                | Self::Exhausted
        )
    }

    /// It failed in a handshake: PROXY header, TLS or upgrade.
    pub fn is_handshake(self) -> bool {
        matches!(
            self,
            Self::ProxyMissing
                | Self::ProxyInvalid
                | Self::ProxyTimeout
                | Self::Tls
                | Self::Upgrade
                | Self::HandshakeTimeout
                | Self::PeerClosed
        )
    }

    /// Refused because a limit was reached: `on-full` says how it is ended.
    pub fn is_room(self) -> bool {
        self.is_capacity()
            || matches!(
                self,
                Self::PrefixFull | Self::PrefixHandshakesFull | Self::Rate | Self::PrefixRate
            )
    }

    /// Refused by a rule or rate, or a handshake that failed: what an attack consists of.
    pub fn is_suspicious(self) -> bool {
        !self.is_capacity()
            && !matches!(
                self,
                Self::Probe | Self::Stopped | Self::Io | Self::NoHandler | Self::Unreachable
            )
    }
}

/// Why a connection that had reached its handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Closed {
    /// The handler returned.
    Finished,
    /// The handler returned an error of its own.
    HandlerError,
    /// The handler panicked.
    Panic,
    /// The peer reset the connection.
    Reset,
    /// The peer was gone when something was written.
    BrokenPipe,
    /// The kernel gave the connection up (keep-alive, user timeout).
    KernelTimeout,
    /// Another error of the socket.
    Io,
    /// The peer broke the protocol: TLS, WebSocket, or the handler's own, which it says by an
    /// [`io::Error`] of the kind [`InvalidData`](io::ErrorKind::InvalidData).
    Protocol,
    /// `timeouts.first-byte`.
    FirstByte,
    /// `timeouts.read-idle`.
    ReadIdle,
    /// `datagrams.idle`: nothing came for so long, which is how a flow of datagrams ends.
    Idle,
    /// `timeouts.write`.
    WriteTimeout,
    /// `timeouts.lifetime`.
    Lifetime,
    /// `timeouts.minimum-rate`.
    TooSlow,
    /// `websocket.ping`: no answer.
    PingTimeout,
    /// `buffers.slow-peer = "close"`.
    SlowPeer,
    /// A message was larger than allowed.
    Oversized,
    /// Closed by the control plane.
    Control,
    /// The drain's deadline passed.
    Drained,
    /// Its listener was removed.
    Removed,
}

impl Closed {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Finished,
        Self::HandlerError,
        Self::Panic,
        Self::Reset,
        Self::BrokenPipe,
        Self::KernelTimeout,
        Self::Io,
        Self::Protocol,
        Self::FirstByte,
        Self::ReadIdle,
        Self::Idle,
        Self::WriteTimeout,
        Self::Lifetime,
        Self::TooSlow,
        Self::PingTimeout,
        Self::SlowPeer,
        Self::Oversized,
        Self::Control,
        Self::Drained,
        Self::Removed,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::HandlerError => "handler-error",
            Self::Panic => "panic",
            Self::Reset => "reset",
            Self::BrokenPipe => "broken-pipe",
            Self::KernelTimeout => "kernel-timeout",
            Self::Io => "io",
            Self::Protocol => "protocol",
            Self::FirstByte => "first-byte",
            Self::ReadIdle => "read-idle",
            Self::Idle => "idle",
            Self::WriteTimeout => "write-timeout",
            Self::Lifetime => "lifetime",
            Self::TooSlow => "too-slow",
            Self::PingTimeout => "ping-timeout",
            Self::SlowPeer => "slow-peer",
            Self::Oversized => "oversized",
            Self::Control => "control",
            Self::Drained => "drained",
            Self::Removed => "removed",
        }
    }

    /// The reason that an error of the socket stands for.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Self::BrokenPipe,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => Self::KernelTimeout,
            io::ErrorKind::InvalidData => Self::Protocol,
            _ => Self::Io,
        }
    }

    /// What reads and writes answer once the server has closed the connection for this reason.
    pub(crate) fn error(self) -> io::Error {
        let kind = match self {
            Self::FirstByte
            | Self::ReadIdle
            | Self::Idle
            | Self::WriteTimeout
            | Self::Lifetime
            | Self::TooSlow
            | Self::PingTimeout => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, ClosedByServer(self))
    }
}

/// The source of the [`io::Error`] that reads and writes return once the server has closed a
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("closed by the server: {}", .0.label())]
pub struct ClosedByServer(pub Closed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        assert!(
            Refusal::ALL
                .iter()
                .enumerate()
                .all(|(n, reason)| *reason as usize == n)
        );
        assert!(
            Closed::ALL
                .iter()
                .enumerate()
                .all(|(n, reason)| *reason as usize == n)
        );
    }

    #[test]
    fn labels_are_distinct() {
        let refusals: std::collections::HashSet<_> =
            Refusal::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(refusals.len(), Refusal::ALL.len());
        let closed: std::collections::HashSet<_> =
            Closed::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(closed.len(), Closed::ALL.len());
    }

    #[test]
    fn an_error_made_for_a_reason_carries_it() {
        let error = Closed::ReadIdle.error();
        let source = error
            .get_ref()
            .and_then(|source| source.downcast_ref::<ClosedByServer>());
        assert_eq!(source, Some(&ClosedByServer(Closed::ReadIdle)));
    }
}
