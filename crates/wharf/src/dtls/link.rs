//! A session over a flow of datagrams, as messages.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use wharf_dtls::{Failure, Info, Outcome, Received, SendError, Session, hello_random};

use super::front::Cookies;
use super::handshake::refused;
use crate::admission::Refused;
use crate::link::Link;
use crate::message::Message;
use crate::messages::MessageError;
use crate::path::Endpoint;
use crate::reason::Refusal;
use crate::timer::Timer;
use crate::wire::Packets;

/// A session and the flow below it.
pub(super) struct DtlsLink {
    packets: Packets,
    session: Session,
    /// Of a server.
    begun: Option<Begun>,
    timer: Timer,
    /// This side has said goodbye: what is there is still received.
    closing: bool,
    /// The client has begun another session, and takes this one for lost.
    replaced: bool,
}

/// How a server's session has begun, which tells who begins anew.
pub(super) struct Begun {
    /// Whoever begins anew is asked for one.
    pub(super) cookies: Arc<Cookies>,
    /// The random of the client's hello.
    pub(super) random: [u8; 32],
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl DtlsLink {
    pub(super) fn new(packets: Packets, session: Session, begun: Option<Begun>) -> Self {
        Self {
            packets,
            session,
            begun,
            timer: Timer::default(),
            closing: false,
            replaced: false,
        }
    }

    pub(super) fn info(&self) -> Option<Info> {
        self.session.info()
    }

    pub(super) fn established(&mut self) {
        self.packets.established();
    }

    /// Drives the handshake to its end.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        loop {
            let written = self.poll_write(cx);
            if let Poll::Ready(Err(_)) = written {
                return Poll::Ready(Err(Refusal::Io.into()));
            }
            if self.session.is_open() {
                return Poll::Ready(Ok(()));
            }
            if let Err(failure) = self.session.recv(&mut BytesMut::new()) {
                // What the peer is told goes as far as the socket takes it at once.
                return Poll::Ready(Err(refused(&failure)));
            }
            if ready!(self.poll_input(cx)).is_err() {
                return Poll::Ready(Err(Refusal::Io.into()));
            }
            if self.replaced {
                return Poll::Ready(Err(Refused {
                    reason: Refusal::Tls,
                    detail: "replaced",
                }));
            }
        }
    }

    /// Waits for a datagram or for the deadline, and gives it to the session.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.packets.poll_recv_datagram(cx) {
            Poll::Ready(Ok(datagram)) => {
                self.take(datagram);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let deadline = self.session.deadline().map(Instant::from_std);
                ready!(self.timer.poll(cx, deadline));
                self.session.handle_timeout(now());
                Poll::Ready(Ok(()))
            }
        }
    }

    fn take(&mut self, datagram: Bytes) {
        let hello = self.begun.as_ref().zip(hello_random(&datagram));
        match hello {
            Some((begun, random)) if *random != begun.random => {
                let cookies = begun.cookies.clone();
                self.challenge(&cookies, &datagram);
            }
            // A copy of the hello that this session began with, which begins no other.
            Some(_) if self.session.is_open() => {}
            // In a handshake it asks for the flight that answers it once more (RFC 6347 §4.2.4).
            _ => self.session.handle_datagram(now(), datagram),
        }
    }

    /// Another hello than that of this session: of a client that has lost it, or of anybody who has
    /// guessed its address (RFC 6347 §4.2.8). It is asked for a cookie; a good one ends this session,
    /// and the client, which sends its hello again, finds none in its way.
    fn challenge(&mut self, cookies: &Cookies, datagram: &[u8]) {
        let shared = self.packets.shared();
        let Endpoint::Ip(from) = shared.socket_peer else {
            return;
        };
        let challenge = cookies.ask(now(), from, datagram, |outcome| match outcome {
            Outcome::Ignored(_) => Ok(None),
            Outcome::Challenge(challenge) => Ok(Some(Bytes::copy_from_slice(challenge))),
            Outcome::Verified(_) => Err(()),
        });
        match challenge {
            // What does not leave at once is asked for again.
            Ok(Some(challenge)) => drop(self.packets.try_send_datagram(&challenge)),
            Ok(None) => {}
            Err(()) => self.replaced = true,
        }
    }

    /// Sends what the session has written. A datagram that the kernel refuses is lost, as datagrams
    /// may be; an error is the end of the connection.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(datagram) = self.session.transmit() {
            let sent = ready!(self.packets.poll_send_datagram(cx, datagram));
            self.session.sent();
            if sent.is_err() && self.packets.ending().is_some() {
                return Poll::Ready(sent);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Link for DtlsLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, MessageError>>> {
        loop {
            let mut message = BytesMut::new();
            match self.session.recv(&mut message) {
                Ok(Received::Message) => {
                    return Poll::Ready(Some(Ok(Message::binary(message.freeze()))));
                }
                Ok(Received::Nothing) => {}
                Ok(Received::Closed) => {
                    // Our answer goes with the last words, if it does not go now.
                    let _ = self.poll_write(cx);
                    return Poll::Ready(None);
                }
                Err(failure) => {
                    let _ = self.poll_write(cx);
                    return Poll::Ready(Some(Err(broken(failure))));
                }
            }
            // Reading may have answered a flight that the peer has sent again.
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Some(Err(error.into())));
            }
            if self.replaced {
                return Poll::Ready(None);
            }
            if self.closing {
                match self.packets.try_recv_datagram() {
                    Some(datagram) => self.take(datagram),
                    None => return Poll::Ready(None),
                }
            } else if let Err(error) = ready!(self.poll_input(cx)) {
                return Poll::Ready(Some(Err(error.into())));
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        if self.closing {
            return Poll::Ready(Err(MessageError::Closing));
        }
        self.poll_flush(cx)
    }

    fn start_send(&mut self, message: Message) -> Result<(), MessageError> {
        match self.session.send(message.payload()) {
            Ok(()) => Ok(()),
            Err(SendError::NotOpen) => Err(MessageError::Closing),
            Err(SendError::TooLarge(length, limit)) => Err(MessageError::TooLong {
                length: length as u64,
                limit: limit as u64,
            }),
            Err(SendError::Empty) => Err(MessageError::Empty),
            Err(SendError::Failed(failure)) => Err(broken(failure)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_write(cx).map_err(MessageError::from)
    }

    fn start_close(&mut self, _: u16, _: &str) -> Result<(), MessageError> {
        self.closing = true;
        self.session.close();
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_flush(cx)
    }

    fn last_words(&mut self, _: u16) {
        self.session.close();
        self.packets.last_words();
        while let Some(datagram) = self.session.transmit() {
            let _ = self.packets.try_send_datagram(datagram);
            self.session.sent();
        }
    }
}

fn broken(failure: Failure) -> MessageError {
    MessageError::Protocol {
        protocol: "dtls",
        error: failure.into(),
    }
}
