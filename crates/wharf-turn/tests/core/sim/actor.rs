//! A client that works its way through an allocation, whatever the network does.

use std::net::SocketAddr;
use std::time::Duration;

use wharf_stun::attribute::{
    ChannelNumber, Data, ErrorCode, EvenPort, Lifetime, RequestedTransport, ReservationToken,
    XorPeerAddress, XorRelayedAddress,
};
use wharf_stun::{ChannelData, Class, Message, Method, Writer};

use crate::support::Client;

/// RTO and Rc of RFC 8489 §6.2.1.
const RTO: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 7;
/// Datagrams that a client wants echoed, half of them over a channel.
const MESSAGES: u8 = 10;
const CHANNEL: u16 = 0x4000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits for somebody else's reservation token.
    Idle,
    Allocate,
    Permit,
    Send(u8),
    Bind,
    Channel(u8),
    Refresh,
    Done,
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) client: Client,
    pub(crate) peer: SocketAddr,
    pub(crate) step: Step,
    /// The datagram that is sent again until it is answered, how often it was sent, and when next.
    pending: Vec<u8>,
    attempts: u32,
    pub(crate) due: Option<Duration>,
    pub(crate) wants_pair: bool,
    pub(crate) token: Option<ReservationToken>,
    pub(crate) reserved: Option<ReservationToken>,
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) echoed: u32,
}

impl Actor {
    pub(crate) fn new(client: Client, peer: SocketAddr) -> Self {
        Self {
            client,
            peer,
            step: Step::Allocate,
            pending: Vec::new(),
            attempts: 0,
            due: None,
            wants_pair: false,
            token: None,
            reserved: None,
            relay: None,
            echoed: 0,
        }
    }

    /// Everything that this client wanted to be echoed came back.
    pub(crate) fn is_content(&self) -> bool {
        self.step == Step::Done && self.echoed == 2 * u32::from(MESSAGES)
    }

    /// Begins a step.
    pub(crate) fn begin(&mut self, now: Duration, step: Step) {
        self.step = step;
        self.attempts = 0;
        self.due = (step != Step::Done && step != Step::Idle).then_some(now);
        let peer = XorPeerAddress(self.peer);
        let (even, token) = (self.wants_pair, self.token);
        let client = &mut self.client;
        self.pending = match step {
            Step::Idle | Step::Done => Vec::new(),
            Step::Allocate => client.request(Method::ALLOCATE, |w| {
                w.push(&RequestedTransport::UDP)?;
                if even {
                    w.push(&EvenPort { reserve_next: true })?;
                }
                if let Some(token) = token {
                    w.push(&token)?;
                }
                Ok(())
            }),
            Step::Permit => client.request(Method::CREATE_PERMISSION, |w| w.push(&peer).map(drop)),
            Step::Bind => client.request(Method::CHANNEL_BIND, |w| {
                w.push(&ChannelNumber(CHANNEL))?.push(&peer).map(drop)
            }),
            Step::Refresh => client.request(Method::REFRESH, |w| w.push(&Lifetime(0)).map(drop)),
            Step::Send(n) => {
                let fill = |w: &mut Writer<'_>| w.push(&peer)?.push(&Data(&[n; 33])).map(drop);
                client.message(Method::SEND, Class::Indication, fill)
            }
            Step::Channel(n) => {
                let mut bytes = ChannelData::header(CHANNEL, 33).to_vec();
                bytes.extend([n; 33]);
                bytes
            }
        };
    }

    /// The datagram to send now, if it is time. Requests back off as RFC 8489 §6.2.1 says; data is
    /// the application's and is sent until its echo arrives.
    pub(crate) fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.due.filter(|due| *due <= now)?;
        let request = !matches!(self.step, Step::Send(_) | Step::Channel(_));
        if request && self.attempts == ATTEMPTS {
            // The transaction has failed: a new one.
            self.begin(now, self.step);
        }
        let wait = if request {
            RTO * 2_u32.pow(self.attempts)
        } else {
            RTO
        };
        self.attempts += u32::from(request);
        self.due = Some(now + wait);
        Some(self.pending.clone())
    }

    pub(crate) fn receive(&mut self, now: Duration, bytes: &[u8]) {
        if let Ok(ChannelData { number, data }) = ChannelData::parse_datagram(bytes) {
            assert_eq!(number, CHANNEL);
            return self.echo(now, data);
        }
        let message = Message::parse(bytes).expect("ChannelData or a message");
        if message.class() == Class::Indication {
            assert_eq!(message.get(), Some(Ok(XorPeerAddress(self.peer))));
            let Some(Ok(Data(data))) = message.get() else {
                panic!("a Data indication has data");
            };
            return self.echo(now, data);
        }
        let waiting = !matches!(self.step, Step::Send(_) | Step::Channel(_) | Step::Done);
        if !waiting || message.transaction_id() != self.client.transaction() {
            return;
        }
        match message.get::<ErrorCode<'_>>() {
            None => self.succeed(now, &message),
            Some(Ok(ErrorCode { code, .. })) => self.fail(now, code, &message),
            Some(Err(error)) => panic!("{error}"),
        }
    }

    fn succeed(&mut self, now: Duration, message: &Message<'_>) {
        let next = match self.step {
            Step::Allocate => {
                let Some(Ok(XorRelayedAddress(relay))) = message.get() else {
                    panic!("a relayed address");
                };
                self.relay = Some(relay);
                self.reserved = message.get().map(|token| token.expect("well-formed"));
                Step::Permit
            }
            Step::Permit => Step::Send(0),
            Step::Bind => Step::Channel(0),
            Step::Refresh => Step::Done,
            other => panic!("no answer was due: {other:?}"),
        };
        self.begin(now, next);
    }

    fn fail(&mut self, now: Duration, code: u16, message: &Message<'_>) {
        match (code, self.step) {
            (401 | 438, _) => {
                let Some(Ok(nonce)) = message.get::<wharf_stun::attribute::Nonce<'_>>() else {
                    panic!("a nonce");
                };
                self.client.nonce = nonce.0.to_vec();
                self.begin(now, self.step);
            }
            // RFC 8656 §8.3: it is gone, which is what was wanted.
            (437, Step::Refresh) => self.begin(now, Step::Done),
            // The token was lost on the way to its claimer's success, or has expired: without it.
            (508, Step::Allocate) if self.token.take().is_some() => self.begin(now, self.step),
            (code, step) => panic!("{code} in {step:?} of {}", self.client.path),
        }
    }

    /// What comes back from the peer.
    fn echo(&mut self, now: Duration, data: &[u8]) {
        let next = match self.step {
            Step::Send(n) if *data == [n; 33] && n + 1 == MESSAGES => Step::Bind,
            Step::Send(n) if *data == [n; 33] => Step::Send(n + 1),
            Step::Channel(n) if *data == [n; 33] && n + 1 == MESSAGES => Step::Refresh,
            Step::Channel(n) if *data == [n; 33] => Step::Channel(n + 1),
            // An echo of a copy sent before.
            _ => return,
        };
        self.echoed += 1;
        self.begin(now, next);
    }
}
