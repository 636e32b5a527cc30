//! Messages with descriptors over a Unix stream socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::HandoverError;
use super::protocol::{ANSWER_WITHIN, MAX_DESCRIPTORS, MAX_MESSAGE, Said};

/// The connection of the two processes.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// Whether the other end runs as root or as this process's user.
    ///
    /// # Errors
    /// It runs as somebody else: for one who asks, the sockets are not his; for one who answers,
    /// they are not what the successor expects.
    pub(super) fn judge(&self) -> Result<(), HandoverError> {
        let peer = wharf_udp::peer_credentials(&self.0).map_err(failed("asking who it is"))?;
        let own = rustix::process::geteuid().as_raw();
        if peer.uid == own || peer.uid == 0 {
            return Ok(());
        }
        Err(HandoverError::Stranger { uid: peer.uid })
    }

    /// Says something, with at most [`MAX_DESCRIPTORS`] descriptors.
    pub(super) async fn send(
        &self,
        said: &Said,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        let text = serde_json::to_vec(said).map_err(|error| failed("sending")(error.into()))?;
        if text.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
            return Err(HandoverError::TooMuch);
        }
        let mut frame = (text.len() as u32).to_be_bytes().to_vec();
        frame.extend(text);
        let send = async {
            let mut sent = 0;
            while sent < frame.len() {
                // Only once: what was sent with the first bytes is on its way.
                let now = if sent == 0 { descriptors } else { &[] };
                let write = || send_once(self.0.as_fd(), &frame[sent..], now);
                sent += self.0.async_io(Interest::WRITABLE, write).await?;
            }
            Ok(())
        };
        within(ANSWER_WITHIN, "room for a message", "sending", send).await
    }

    /// The next message, waited for until `limit`, and its descriptors.
    pub(super) async fn recv(
        &self,
        limit: Duration,
        awaited: &'static str,
    ) -> Result<(Said, Vec<OwnedFd>), HandoverError> {
        let mut descriptors = Vec::new();
        let mut head = [0; 4];
        let read = self.fill(&mut head, &mut descriptors);
        within(limit, awaited, "receiving", read).await?;
        let length = u32::from_be_bytes(head) as usize;
        if length > MAX_MESSAGE {
            let garbage = format!("a message of {length} bytes");
            return Err(HandoverError::Garbage(garbage));
        }
        let mut text = vec![0; length];
        let read = self.fill(&mut text, &mut descriptors);
        within(ANSWER_WITHIN, awaited, "receiving", read).await?;
        match serde_json::from_slice(&text) {
            Ok(said) => Ok((said, descriptors)),
            Err(error) => Err(HandoverError::Garbage(error.to_string())),
        }
    }

    /// Reads as many bytes as there are in `bytes`, and no more.
    async fn fill(&self, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            let read = || receive_once(self.0.as_fd(), &mut bytes[filled..], descriptors);
            match self.0.async_io(Interest::READABLE, read).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                some => filled += some,
            }
        }
        Ok(())
    }
}

fn send_once(to: BorrowedFd<'_>, bytes: &[u8], with: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !with.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(with));
    }
    // A successor that is gone is an error, not a signal.
    let flags = SendFlags::NOSIGNAL;
    Ok(sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags)?)
}

fn receive_once(
    from: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    // The kernel leaves out what has no room, and what this process may not open.
    let lost = received.flags.contains(ReturnFlags::CTRUNC);
    if lost || descriptors.len() > MAX_DESCRIPTORS {
        let why = "descriptors were lost; is the limit of open files (RLIMIT_NOFILE) high enough?";
        return Err(io::Error::other(why));
    }
    Ok(received.bytes)
}

async fn within<T>(
    limit: Duration,
    awaited: &'static str,
    step: &'static str,
    doing: impl Future<Output = io::Result<T>>,
) -> Result<T, HandoverError> {
    match timeout(limit, doing).await {
        Ok(done) => done.map_err(failed(step)),
        Err(_) => Err(HandoverError::Late { awaited, limit }),
    }
}

pub(super) fn failed(step: &'static str) -> impl FnOnce(io::Error) -> HandoverError {
    move |source| HandoverError::Io { step, source }
}
