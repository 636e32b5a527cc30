//! What a listener is bound to: a socket that connections arrive on, or one of datagrams.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::acceptor::{self, Acceptor};
use crate::config::{Address, ListenerConfig};
use crate::datagrams::{Crew, Mode, Port};
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::sockets::{BindError, SocketFile};

/// One bound socket of a listener.
#[derive(Debug, Clone)]
pub(crate) enum Bound {
    /// Connections are taken from it one by one.
    Streams(Arc<Acceptor>),
    /// It carries the datagrams of all peers.
    Datagrams(Arc<Port>),
    /// Sockets of one address that carry datagrams, each with a thread.
    Batch(Arc<Crew>),
}

impl Bound {
    /// The acceptor, if connections arrive on it.
    pub(crate) fn acceptor(&self) -> Option<Arc<Acceptor>> {
        match self {
            Self::Streams(acceptor) => Some(acceptor.clone()),
            Self::Datagrams(_) | Self::Batch(_) => None,
        }
    }

    /// Where it is bound, as peers find it.
    pub(crate) fn local(&self) -> &Endpoint {
        match self {
            Self::Streams(acceptor) => acceptor.local(),
            Self::Datagrams(port) => port.local(),
            Self::Batch(crew) => crew.local(),
        }
    }

    /// What it was configured as; `None` for a socket made elsewhere.
    pub(crate) fn address(&self) -> Option<&Address> {
        match self {
            Self::Streams(acceptor) => acceptor.address.as_ref(),
            Self::Datagrams(port) => port.address(),
            Self::Batch(crew) => crew.address(),
        }
    }

    /// The same by a new configuration, as far as that can change on a bound socket.
    pub(crate) fn again(&self, wanted: &ListenerConfig) -> Result<Self, BindError> {
        match self {
            Self::Streams(acceptor) => acceptor
                .again(&wanted.accept, &wanted.socket, &wanted.unix, &wanted.sctp)
                .map(|acceptor| Self::Streams(Arc::new(acceptor))),
            Self::Datagrams(port) => {
                port.steer(wanted)?;
                let port = port.again(&wanted.socket, &wanted.unix);
                port.map(Self::Datagrams)
            }
            Self::Batch(crew) => crew.again(wanted).map(Self::Batch),
        }
    }

    /// Takes arrivals from now on, in new tasks where there are none.
    pub(crate) fn start(&self, listener: &Arc<Listener>, tasks: &mut Tasks) {
        match self {
            Self::Streams(acceptor) => {
                let accept = &listener.owner.live().config.accept;
                // With `reuse-port` each socket is an acceptor's own.
                let many = if accept.reuse_port {
                    1
                } else {
                    accept.acceptors
                };
                let run = || tokio::spawn(acceptor::run(listener.clone(), acceptor.clone()));
                tasks.accepting.extend((0..many).map(|_| run()));
            }
            Self::Datagrams(port) => tasks.serving.extend(port.start(listener)),
            Self::Batch(crew) => tasks.threads.extend(crew.start(listener)),
        }
    }

    /// Takes no arrivals; flows that are there go on.
    pub(crate) fn suspend(&self) {
        self.set(Mode::Suspended);
    }

    /// Takes no arrivals any more, and lets go once the last flow has ended.
    pub(crate) fn stop(&self) {
        self.set(Mode::Stopping);
    }

    fn set(&self, mode: Mode) {
        match self {
            // Its tasks are aborted.
            Self::Streams(_) => {}
            Self::Datagrams(port) => port.set(mode),
            Self::Batch(crew) => crew.set(mode),
        }
    }

    /// Its sockets, for another process, in the order in which they were bound; a listener in memory has
    /// none.
    pub(crate) fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Streams(acceptor) => acceptor.socket().into_iter().collect(),
            Self::Datagrams(port) => vec![port.socket()],
            Self::Batch(crew) => crew.handles().iter().map(AsFd::as_fd).collect(),
        }
    }

    /// The file of its socket, if it has one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Self::Streams(acceptor) => acceptor.file(),
            Self::Datagrams(port) => port.file(),
            Self::Batch(_) => None,
        }
    }

    /// Leaves the socket to another process. Says whether its connections must end for that.
    pub(crate) fn leave(&self) -> bool {
        match self {
            Self::Streams(acceptor) => acceptor.leave(),
            Self::Datagrams(port) => {
                port.set(Mode::Left);
                false
            }
            Self::Batch(crew) => {
                crew.set(Mode::Stopping);
                false
            }
        }
    }

    /// What tells it from others without holding it.
    pub(crate) fn token(&self) -> Weak<dyn Any + Send + Sync> {
        match self {
            Self::Streams(acceptor) => {
                let any: Arc<dyn Any + Send + Sync> = acceptor.clone();
                Arc::downgrade(&any)
            }
            Self::Datagrams(port) => {
                let any: Arc<dyn Any + Send + Sync> = port.clone();
                Arc::downgrade(&any)
            }
            Self::Batch(crew) => {
                let any: Arc<dyn Any + Send + Sync> = crew.clone();
                Arc::downgrade(&any)
            }
        }
    }

    /// Whether this is the same socket, not only the same address.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Streams(one), Self::Streams(other)) => Arc::ptr_eq(one, other),
            (Self::Datagrams(one), Self::Datagrams(other)) => Arc::ptr_eq(one, other),
            (Self::Batch(one), Self::Batch(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// The tasks of a listener's sockets.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Accept connections; they can be aborted where they wait.
    accepting: Vec<JoinHandle<()>>,
    /// Serve datagrams, until the last flow of their socket has ended.
    serving: Vec<JoinHandle<()>>,
    /// Complete when threads that serve datagrams have ended.
    threads: Vec<oneshot::Receiver<()>>,
}

impl Tasks {
    /// Ends those that accept.
    pub(crate) fn abort_accepting(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        self.accepting.retain(|task| !task.is_finished());
        self.serving.retain(|task| !task.is_finished());
        let gone = Err(oneshot::error::TryRecvError::Closed);
        self.threads.retain_mut(|thread| thread.try_recv() != gone);
    }

    /// Ends all, and waits until they are gone.
    pub(crate) async fn end(self) {
        for task in self.accepting.iter().chain(&self.serving) {
            task.abort();
        }
        for task in self.accepting.into_iter().chain(self.serving) {
            // Aborted, as asked.
            let _ = task.await;
        }
        for thread in self.threads {
            // Its other end is dropped, never used.
            let _ = thread.await;
        }
    }
}
