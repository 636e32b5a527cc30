//! A datagram socket as a listener holds it.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use wharf_policy::first_bytes::Protocol;

use super::front::Fronted;
use super::socket::DatagramSocket;
use super::{driver, turns};
use crate::config::{Address, ListenerConfig, SocketOptions, Transport, UnixOptions};
#[cfg(feature = "dtls")]
use crate::dtls::DtlsFront;
use crate::listener::Listener;
use crate::path::Endpoint;
use crate::sockets::{BindError, BoundDatagrams, SocketFile, change_datagrams, steer};

/// How far a port serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    /// Flows go on, none begins.
    Suspended,
    /// As suspended, until the last flow has ended.
    Stopping,
    /// Another process reads the socket. Flows may still send, and read what waits for them.
    Left,
}

/// What decides about peers without a flow, by what is spoken.
fn front_of(listener: &Arc<Listener>) -> Option<Fronted> {
    let config = &listener.owner.live().config;
    #[cfg(feature = "dtls")]
    if config.speaks_dtls() {
        return Some(Fronted {
            protocol: (config.transport != Transport::Dtls).then_some(Protocol::Dtls),
            front: Box::new(DtlsFront::new(listener.clone())),
        });
    }
    None
}

/// A bound datagram socket, and the task that serves it.
#[derive(Debug)]
pub(crate) struct Port {
    socket: Arc<DatagramSocket>,
    local: Endpoint,
    /// What it was configured as.
    address: Option<Address>,
    /// The options that it has.
    options: Mutex<SocketOptions>,
    mode: watch::Sender<Mode>,
    started: Mutex<bool>,
}

impl Port {
    /// On the server's runtime.
    pub(crate) fn new(
        bound: BoundDatagrams,
        address: Option<Address>,
        options: SocketOptions,
    ) -> io::Result<Arc<Self>> {
        let socket = DatagramSocket::new(bound)?;
        Ok(Arc::new(Self {
            local: socket.local(),
            socket: Arc::new(socket),
            address,
            options: Mutex::new(options),
            mode: watch::Sender::new(Mode::Suspended),
            started: Mutex::new(false),
        }))
    }

    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match &*self.socket {
            DatagramSocket::Udp(_) => None,
            DatagramSocket::Unix(_, file) => file.as_ref(),
        }
    }

    pub(crate) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Serves from now on; the task, when it was not there yet.
    pub(crate) fn start(self: &Arc<Self>, listener: &Arc<Listener>) -> Option<JoinHandle<()>> {
        self.set(Mode::Running);
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *started, true) {
            return None;
        }
        let (listener, socket, mode) =
            (listener.clone(), self.socket.clone(), self.mode.subscribe());
        Some(if let Some(function) = listener.handlers.of_datagrams() {
            tokio::spawn(turns::run(listener, socket, mode, function))
        } else {
            let front = front_of(&listener);
            tokio::spawn(driver::run(listener, socket, mode, front))
        })
    }

    /// Changes the mode; a port that stops goes on stopping.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_if_modified(|now| {
            let stays = match *now {
                Mode::Running | Mode::Suspended => *now == mode,
                Mode::Stopping => mode != Mode::Left,
                Mode::Left => true,
            };
            let change = !stays;
            if change {
                *now = mode;
            }
            change
        });
    }

    /// Has the kernel spread datagrams over the ports of its address as the configuration says.
    pub(crate) fn steer(&self, wanted: &ListenerConfig) -> Result<(), BindError> {
        match (&*self.socket, self.socket.local_ip()) {
            (DatagramSocket::Udp(socket), Some(local)) if wanted.accept.reuse_port => {
                let count = usize::try_from(wanted.accept.acceptors).unwrap_or(usize::MAX);
                steer(socket.get_ref(), local, wanted.datagrams.steering, count)
            }
            _ => Ok(()),
        }
    }

    /// The port itself, with those options that can change on a bound socket.
    pub(crate) fn again(
        self: &Arc<Self>,
        wanted: &SocketOptions,
        unix: &UnixOptions,
    ) -> Result<Arc<Self>, BindError> {
        let mut have = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let options = (&*have, wanted);
        match &*self.socket {
            DatagramSocket::Udp(socket) => change_datagrams(socket, None, options, unix, true),
            DatagramSocket::Unix(socket, file) => {
                change_datagrams(socket, file.as_ref(), options, unix, false)
            }
        }?;
        have.clone_from(wanted);
        drop(have);
        Ok(self.clone())
    }
}
