//! A socket that is read only while its gate is open: quinn reads from the moment it has a socket, and
//! one that two processes share must be read by one of them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// The socket, its gate closed at first. Sending needs no gate.
#[derive(Debug)]
pub(super) struct Gated {
    socket: Arc<dyn AsyncUdpSocket>,
    open: AtomicBool,
    /// Of the endpoint's driver, which alone receives.
    waker: AtomicWaker,
}

impl Gated {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self {
            socket,
            open: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    /// Opens the gate, or closes it.
    pub(super) fn set(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
        self.waker.wake();
    }
}

impl AsyncUdpSocket for Gated {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.waker.register(cx.waker());
        if !self.open.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.socket.poll_recv(cx, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
