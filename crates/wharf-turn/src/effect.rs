//! Effects as plain data: what the driver is asked to do, how it answers, and what happened.

use std::net::SocketAddr;
use std::sync::Arc;

use wharf_policy::PeerRefusal;

use crate::{ClientPath, Credential, RelayId, UserId};

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Find a user's credential and answer with [`Done::Credential`], now or later.
    LookUpCredential {
        /// Names the answer.
        id: CommandId,
        /// The user, by name or by USERHASH.
        user: UserId,
        /// Who asks.
        path: ClientPath,
    },
    /// Bind a UDP socket and answer with [`Done::Bound`].
    BindRelay {
        /// Names the answer.
        id: CommandId,
        /// The name of the socket from now on.
        relay: RelayId,
        /// The address to bind.
        local: SocketAddr,
    },
    /// Fetch a reserved socket from the worker that holds it and answer with [`Done::Claimed`].
    ClaimReservation {
        /// Names the answer.
        id: CommandId,
        /// The worker that holds it.
        worker: u8,
        /// The RESERVATION-TOKEN.
        token: [u8; 8],
        /// The name of the socket here.
        relay: RelayId,
    },
    /// Close a relay socket.
    CloseRelay {
        /// The socket.
        relay: RelayId,
    },
    /// Tell another worker that a port of its pool is free again
    /// ([`Server::return_port`](crate::Server::return_port)).
    ReturnPort {
        /// The worker that lent it.
        worker: u8,
        /// The address that was bound.
        local: SocketAddr,
    },
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// To [`Command::LookUpCredential`].
    Credential(CredentialAnswer),
    /// To [`Command::BindRelay`].
    Bound(Result<(), BindError>),
    /// To [`Command::ClaimReservation`]; `None` when the token is unknown, used or expired.
    Claimed(Option<ClaimedRelay>),
}

/// What a credential back-end found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialAnswer {
    /// The user's keys: several while a shared secret is rotated, and the first that verifies the
    /// request counts.
    Found(Vec<Arc<Credential>>),
    /// There is no such user, or the credential has expired: the client gets a 401.
    Unknown,
    /// The back-end can't say: the client gets a 500.
    Unavailable,
}

/// Why a relay socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// Somebody else has the port: another one is tried.
    AddressInUse,
    /// Anything else, such as no descriptors left: the client gets a 508.
    Failed,
}

/// A reserved relay on its way from one worker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedRelay {
    /// The socket's name at the worker that held it.
    pub relay: RelayId,
    /// The address it is bound to.
    pub local: SocketAddr,
    /// The address that clients and peers see.
    pub advertised: SocketAddr,
}

/// Something that happened, for logs, counters and hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An allocation was made.
    Allocated {
        /// The client.
        path: ClientPath,
        /// The user id that quotas count.
        user: Arc<str>,
        /// The relayed transport addresses: IPv4, IPv6.
        relayed: [Option<SocketAddr>; 2],
    },
    /// An allocation is gone.
    Freed {
        /// The client.
        path: ClientPath,
        /// The user id that quotas count.
        user: Arc<str>,
        /// Why.
        by: FreedBy,
    },
    /// A request carried credentials that do not hold; the client was told so.
    AuthenticationFailed {
        /// The client.
        path: ClientPath,
        /// The USERNAME given, cut at 128 bytes; `None` when a USERHASH was given.
        user: Option<Box<str>>,
        /// What is wrong.
        why: AuthFailure,
    },
    /// A peer was refused by the peer policy.
    PeerRefused {
        /// The client that asked for the peer.
        path: ClientPath,
        /// The peer; port 0 stands for any.
        peer: SocketAddr,
        /// The rule that refused it.
        why: PeerRefusal,
    },
    /// No relay socket could be had for an Allocate request.
    NoRelay {
        /// The client.
        path: ClientPath,
    },
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreedBy {
    /// A Refresh with LIFETIME 0.
    Client,
    /// Its lifetime ran out.
    Expiry,
    /// The client's connection ended (RFC 8656 §5).
    Disconnect,
}

/// What is wrong with a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// No such user, or an expired credential.
    UnknownUser,
    /// The message integrity does not match.
    WrongPassword,
    /// Right credentials of a user who does not own the allocation (441).
    WrongUser,
}

impl AuthFailure {
    /// A short name for counters and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::WrongUser => "wrong_user",
        }
    }
}
