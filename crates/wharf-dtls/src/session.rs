//! One session: datagrams in and out on one side, messages on the other.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, NameType, ShutdownState, Ssl, SslStream};
use openssl::x509::X509VerifyResult;
use thiserror::Error;

use crate::client::{ClientContext, ServerName};
use crate::error::{Failure, text};
use crate::front::Verified;
use crate::memory::Memory;
use crate::record::{self, Expansion};
use crate::server::ServerContext;
use crate::timer::Timer;

/// The most bytes that a record carries (RFC 5246 §6.2.1): no message is larger.
pub const MAX_MESSAGE: usize = 1 << 14;

/// The least bytes of a protected record during a handshake, when the suite is not known: every
/// Finished has more (RFC 5246 §7.4.9).
const LEAST: usize = 24;

/// The most records of a handshake that come before their keys and are kept, at 17 KB each: a client that
/// sends its last flight again once a second has 16 s. OpenSSL would keep 100.
const EARLY: u8 = 16;

/// A DTLS 1.2 session, of a server or of a client.
///
/// After each input ([`handle_datagram`](Self::handle_datagram),
/// [`handle_timeout`](Self::handle_timeout), [`send`](Self::send), [`close`](Self::close)) call
/// [`recv`](Self::recv) until there is nothing, then [`transmit`](Self::transmit) and
/// [`sent`](Self::sent) until there is nothing, and look at [`deadline`](Self::deadline).
///
/// Messages may be lost, doubled by the network (a session drops the second one) and reordered, as
/// datagrams are; their boundaries are kept. Garbage and forged records are dropped without a word
/// (RFC 6347 §4.1.2.7).
#[derive(Debug)]
pub struct Session {
    stream: SslStream<Memory>,
    state: State,
    timer: Timer,
    /// OpenSSL may have something to read.
    unread: bool,
    /// It may have more than one message.
    more: bool,
    /// The largest datagram that came: no message in it is larger.
    longest: usize,
    mtu: usize,
    /// How many records may still come before their keys.
    early: u8,
    /// What the cipher suite adds, from the end of the handshake on.
    expansion: Option<Expansion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Handshake,
    Open,
    /// We have sent close_notify, and read what the peer has under way.
    Closing,
    Closed,
    Failed(Failure),
}

/// What [`Session::recv`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message, which was appended.
    Message,
    /// Nothing more until the next datagram.
    Nothing,
    /// The peer has closed the session, or we have given the handshake up.
    Closed,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// The handshake is not complete, or the session is over.
    #[error("the session is not open")]
    NotOpen,
    /// OpenSSL sends no empty records.
    #[error("an empty message")]
    Empty,
    /// It does not fit into a datagram of the MTU. The numbers are its length and the largest.
    #[error("a message of {0} bytes does not fit into a datagram, which takes {1}")]
    TooLarge(usize, usize),
    /// The session has failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What a handshake has agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The cipher suite by its IANA name: `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate in DER, which was verified, now or in the session that is resumed.
    pub certificate: Option<Vec<u8>>,
    /// The identity of the pre-shared key.
    pub psk_identity: Option<Vec<u8>>,
    /// Whether an older session was resumed by a ticket.
    pub resumed: bool,
}

impl Session {
    /// The server's side, from a hello that the front has verified. A handshake that fails at once
    /// fails in [`recv`](Self::recv), and has told the client; an error is OpenSSL's want of memory.
    pub fn accept(
        context: &ServerContext,
        verified: &Verified,
        now: Instant,
    ) -> Result<Self, Failure> {
        let mut session = Self::begin(context.begin(verified.is_proven()))?;
        let hello = verified.hello();
        // OpenSSL counts messages from the first hello on: it gets those that the front has
        // answered, and what it says to them is thrown away.
        for number in 0..hello.message_sequence {
            let unanswered = hello.without_cookie(number).into();
            session.stream.get_mut().put(unanswered);
            session.drive();
        }
        let memory = session.stream.get_mut();
        // The first ServerHello has the number of the hello that it answers (RFC 6347 §4.2.1).
        let said = memory.written() as u64;
        memory.set_ahead(hello.record_sequence.saturating_sub(said));
        memory.clear();
        session.handle_datagram(now, Bytes::copy_from_slice(hello.record));
        Ok(session)
    }

    /// The client's side, with the first hello to be sent. `server` is whom its certificate must be
    /// for; with a pre-shared key it shows none. An error is a name that is none, or OpenSSL's want
    /// of memory.
    pub fn connect(
        context: &ClientContext,
        server: &ServerName,
        now: Instant,
    ) -> Result<Self, Failure> {
        let mut session = Self::begin(context.begin(server))?;
        session.drive();
        session.timer.sent(now);
        Ok(session)
    }

    fn begin(begun: Result<(Ssl, u16), ErrorStack>) -> Result<Self, Failure> {
        let other = |error: ErrorStack| Failure::Other(text(&error));
        let (ssl, mtu) = begun.map_err(other)?;
        Ok(Self {
            stream: SslStream::new(ssl, Memory::default()).map_err(other)?,
            state: State::Handshake,
            timer: Timer::default(),
            unread: false,
            more: false,
            longest: 0,
            mtu: mtu.into(),
            early: EARLY,
            expansion: None,
        })
    }

    /// Takes a datagram from the peer. One that was given before and not read is lost.
    pub fn handle_datagram(&mut self, now: Instant, mut datagram: Bytes) {
        let least = self.expansion.map_or(LEAST, |expansion| expansion.least);
        let mut sound = record::sound(&datagram, least);
        if self.state == State::Handshake {
            sound = record::within(&datagram[..sound], &mut self.early);
        }
        if sound == 0 {
            return;
        }
        self.longest = self.longest.max(sound.min(MAX_MESSAGE));
        self.unread = true;
        self.more = record::length(&datagram) != Some(sound);
        datagram.truncate(sound);
        self.stream.get_mut().put(datagram);
        if self.state == State::Handshake && self.drive() {
            self.timer.sent(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timer.deadline()
    }

    /// Sends the last flight again if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_due(now) {
            let resent = self.drive();
            if self.state == State::Handshake {
                self.timer.expired(now, resent);
            }
        }
    }

    /// Lets OpenSSL go on with the handshake. Says whether it has written a datagram.
    fn drive(&mut self) -> bool {
        let before = self.stream.get_ref().written();
        match self.stream.do_handshake() {
            Ok(()) => {
                self.state = State::Open;
                let cipher = self.stream.ssl().current_cipher();
                self.expansion = cipher.map(|cipher| Expansion::of(cipher.name()));
                self.timer.stop();
                // What came with the last flight, or before it, is still to be read.
                (self.unread, self.more) = (true, true);
            }
            Err(error) if is_wait(&error) => {}
            Err(error) => self.fail(&error),
        }
        self.stream.get_ref().written() > before
    }

    fn fail(&mut self, error: &openssl::ssl::Error) {
        let verification = self.stream.ssl().verify_result();
        let wrong =
            (verification != X509VerifyResult::OK).then(|| verification.error_string().to_owned());
        self.timer.stop();
        self.state = State::Failed(Failure::of(error.ssl_error(), wrong));
    }

    /// Appends the next message to `buffer`. An error is the end of the session.
    pub fn recv(&mut self, buffer: &mut BytesMut) -> Result<Received, Failure> {
        match &self.state {
            State::Failed(failure) => return Err(failure.clone()),
            State::Closed => return Ok(Received::Closed),
            State::Handshake => return Ok(Received::Nothing),
            State::Open | State::Closing if !self.unread => return Ok(Received::Nothing),
            State::Open | State::Closing => {}
        }
        let start = buffer.len();
        buffer.resize(start + self.longest, 0);
        let read = self.stream.ssl_read(&mut buffer[start..]);
        buffer.truncate(start + read.as_ref().map_or(0, |length| *length));
        match read {
            Ok(_) => {
                self.unread = self.more;
                Ok(Received::Message)
            }
            Err(error) if is_wait(&error) => {
                self.unread = false;
                Ok(Received::Nothing)
            }
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                // The peer's close_notify is answered with ours (RFC 5246 §7.2.1).
                self.close();
                self.state = State::Closed;
                Ok(Received::Closed)
            }
            Err(error) => {
                self.fail(&error);
                self.recv(buffer)
            }
        }
    }

    /// Puts a message, of 1 to [`max_message`](Self::max_message) bytes, into a datagram.
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        match &self.state {
            State::Open => {}
            State::Failed(failure) => return Err(failure.clone().into()),
            State::Handshake | State::Closing | State::Closed => {
                return Err(SendError::NotOpen);
            }
        }
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if message.len() > self.max_message() {
            return Err(SendError::TooLarge(message.len(), self.max_message()));
        }
        match self.stream.ssl_write(message) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.fail(&error);
                self.send(message)
            }
        }
    }

    /// The largest message that fits into a datagram of the MTU, in bytes; 0 before the handshake
    /// is complete. See [`exceed_mtu`](Self::exceed_mtu).
    pub fn max_message(&self) -> usize {
        self.expansion
            .map_or(0, |expansion| (self.mtu - expansion.most).min(MAX_MESSAGE))
    }

    /// Lets messages be as large as a record carries, [`MAX_MESSAGE`]: for messages that are as large
    /// without DTLS, and that somebody else has to cut. IP cuts the datagrams over the MTU into
    /// fragments. Handshakes keep to the MTU.
    pub fn exceed_mtu(&mut self) {
        self.mtu = usize::from(u16::MAX);
    }

    /// Sends close_notify. Nothing more is sent; what the peer has under way is still received,
    /// until its own close_notify, which may be lost. A handshake is given up.
    pub fn close(&mut self) {
        match self.state {
            State::Open => {
                // It is written, and no answer is waited for (RFC 5246 §7.2.1).
                let _ = self.stream.shutdown();
                self.state = State::Closing;
            }
            State::Handshake => {
                self.timer.stop();
                self.state = State::Closed;
            }
            State::Closing | State::Closed | State::Failed(_) => {}
        }
    }

    /// The next datagram to send, until it was [`sent`](Self::sent). 128 KiB of them wait at most;
    /// what comes on top is lost.
    pub fn transmit(&self) -> Option<&[u8]> {
        self.stream.get_ref().next()
    }

    /// The datagram that [`transmit`](Self::transmit) gave was sent.
    pub fn sent(&mut self) {
        self.stream.get_mut().sent();
    }

    /// Whether the handshake is complete and the session not over.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the peer has closed the session with close_notify.
    pub fn is_closed_by_peer(&mut self) -> bool {
        self.stream.get_shutdown().contains(ShutdownState::RECEIVED)
    }

    /// What the handshake has agreed on; `None` before it is complete.
    pub fn info(&self) -> Option<Info> {
        let ssl = self.stream.ssl();
        let cipher = ssl.current_cipher().filter(|_| self.expansion.is_some())?;
        Some(Info {
            cipher: cipher.standard_name().unwrap_or_else(|| cipher.name()),
            server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
            alpn: ssl.selected_alpn_protocol().map(<[u8]>::to_vec),
            certificate: ssl
                .peer_certificate()
                .and_then(|certificate| certificate.to_der().ok()),
            psk_identity: ssl.psk_identity().map(<[u8]>::to_vec),
            resumed: ssl.session_reused(),
        })
    }
}

/// Whether OpenSSL only wants another datagram.
fn is_wait(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}
