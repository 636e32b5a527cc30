//! A datagram socket of a connection that we make.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wharf_udp::IcmpError;

use super::end;
use crate::counters::one_more;
use crate::events::Event;
use crate::owner::Owner;
use crate::path::Endpoint;
use crate::reason::Dropped;
use crate::scratch;

/// A socket that the kernel has connected: it receives from its peer only. What waits to be received
/// waits in the kernel, within `socket.receive-buffer`; what finds no room there is lost.
pub(crate) struct Connected {
    socket: AsyncFd<Kind>,
    owner: Arc<Owner>,
    local: Endpoint,
    peer: Endpoint,
    /// What each datagram that is sent begins with.
    header: Vec<u8>,
    /// The longest datagram that is received.
    longest: usize,
    hears_refusals: bool,
}

/// A connected socket.
pub(crate) enum Kind {
    /// With `errors`, for the ICMP errors.
    Udp(wharf_udp::Socket, SocketAddr),
    Unix(UnixDatagram, Endpoint),
}

impl AsFd for Kind {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket, _) => socket.as_fd(),
            Self::Unix(socket, _) => socket.as_fd(),
        }
    }
}

impl AsRawFd for Kind {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Connected {
    /// Takes a connected socket onto the runtime. Longer datagrams than `longest` are dropped and
    /// counted.
    #[expect(
        deprecated,
        reason = "its unsafe successor asks that a socket keep its descriptor for life, which these do"
    )]
    pub(crate) fn new(socket: Kind, longest: u64, owner: Arc<Owner>) -> io::Result<Self> {
        let (local, peer) = match &socket {
            Kind::Udp(socket, peer) => (
                Endpoint::from_socket(socket.local_addr()),
                Endpoint::from_socket(*peer),
            ),
            Kind::Unix(socket, peer) => (Endpoint::from_unix(&socket.local_addr()?), peer.clone()),
        };
        // Priority stands for errors that wait.
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        Ok(Self {
            socket: AsyncFd::with_interest(socket, interest)?,
            owner,
            local,
            peer,
            header: Vec::new(),
            longest: usize::try_from(longest).unwrap_or(usize::MAX),
            hears_refusals: true,
        })
    }

    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    pub(crate) fn peer(&self) -> &Endpoint {
        &self.peer
    }

    /// Begins each datagram with these bytes.
    pub(crate) fn begin_with(&mut self, header: Vec<u8>) {
        self.header = header;
    }

    /// From here on a refusal by ICMP ends nothing: the protocol above proves what is the peer's.
    pub(crate) fn distrust_refusals(&mut self) {
        self.hears_refusals = false;
    }

    pub(super) fn longest(&self) -> usize {
        let family = self.peer.ip().map(|peer| peer.is_ipv4());
        end::longest(family).saturating_sub(self.header.len())
    }

    /// The next datagram, which may be empty.
    ///
    /// # Errors
    /// Nobody receives at the peer's address, as ICMP tells ([`io::ErrorKind::ConnectionRefused`],
    /// unless refusals are distrusted), or the socket is broken. Other ICMP errors pass and are told
    /// as events.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match self.receive()? {
                Some(datagram) => return Poll::Ready(Ok(datagram)),
                None => ready.clear_ready(),
            }
        }
    }

    /// A datagram that is there already.
    pub(super) fn try_recv(&self) -> Option<Bytes> {
        self.receive().ok().flatten()
    }

    /// Sends a datagram as soon as there is room.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        loop {
            match self.try_send(datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            let mut ready = ready!(self.socket.poll_write_ready(cx))?;
            match self.try_send(datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                done => return Poll::Ready(done),
            }
        }
    }

    /// Sends a datagram if there is room now.
    pub(crate) fn try_send(&self, datagram: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(&self.header), IoSlice::new(datagram)];
        let send = || {
            let socket = SockRef::from(self.socket.get_ref());
            socket.send_vectored(&parts).map(drop)
        };
        match (send(), self.socket.get_ref()) {
            // The kernel tells here, once, of the ICMP error of an earlier datagram.
            (Err(error), Kind::Udp(..)) if is_unreachable(&error) => send(),
            (sent, _) => sent,
        }
    }

    /// A datagram; `None` when there is none.
    fn receive(&self) -> io::Result<Option<Bytes>> {
        let counters = &self.owner.counters;
        loop {
            let received = scratch::lend(self.longest, |buffer| {
                let (_, length) = recv(&self.socket, &mut *buffer, RecvFlags::TRUNC)?;
                Ok::<_, io::Error>(buffer.get(..length).map(Bytes::copy_from_slice))
            });
            match received {
                Ok(Some(datagram)) => {
                    one_more(&counters.datagrams_received);
                    one_more(&counters.datagrams_delivered);
                    return Ok(Some(datagram));
                }
                Ok(None) => {
                    one_more(&counters.datagrams_received);
                    counters.dropped(Dropped::Oversized);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tell_errors()?;
                    return Ok(None);
                }
                Err(error) => {
                    let told = self.tell_errors()?;
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    if (refused && self.hears_refusals) || !(told || is_unreachable(&error)) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Tells the ICMP errors that wait; says whether there were any.
    fn tell_errors(&self) -> io::Result<bool> {
        let Kind::Udp(socket, _) = self.socket.get_ref() else {
            return Ok(false);
        };
        let (mut any, mut refused) = (false, false);
        while let Some(error) = socket.receive_error()? {
            any = true;
            refused |= is_refusal(&error);
            one_more(&self.owner.counters.icmp_errors);
            self.owner.events.emit(|| Event::Icmp {
                listener: self.owner.name.clone(),
                peer: self.peer.clone(),
                icmp_type: error.icmp_type,
                code: error.code,
            });
        }
        if refused && self.hears_refusals {
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        Ok(any)
    }
}

/// Whether nobody receives there: protocol or port unreachable (RFC 792, RFC 4443 §3.1), which only
/// the host itself says. Anything else may pass (RFC 1122 §3.2.2.1).
fn is_refusal(error: &IcmpError) -> bool {
    match error.destination {
        SocketAddr::V4(_) => error.icmp_type == 3 && matches!(error.code, 2 | 3),
        SocketAddr::V6(_) => error.icmp_type == 1 && error.code == 4,
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
