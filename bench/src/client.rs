//! Many TURN clients on one socket.
//!
//! A socket bound to the wildcard address sends from any address of 127.0.0.0/8 and learns which
//! one a reply came to. So each client has a five-tuple of its own, while a system call moves the
//! datagrams of many: the generator stays cheaper than the servers it measures.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use wharf_stun::attribute::{
    ChannelNumber, ErrorCode, Nonce, Realm, RequestedTransport, Username, XorPeerAddress,
    XorRelayedAddress,
};
use wharf_stun::{
    Attribute, AttributeError, Class, Message, MessageType, Method, Sha1Key, TransactionId,
    WriteError, Writer, credential,
};
use wharf_udp::{ReceiveBatch, SendBatch, Socket, SocketOptions};

use crate::Failure;
use crate::floor::CHANNEL;
use crate::server::{PASSWORD, Server, USER};

/// Kernel memory of the generator's sockets, so that it is never the generator that loses.
pub(crate) const BUFFER: usize = 4 << 20;
/// Requests under way at once: fewer than any server's receive buffer holds.
const WINDOW: u32 = 16;
/// How long a window waits for its last answer before the missing requests are sent again.
const RESEND: Duration = Duration::from_millis(200);
/// How often they are sent again.
const RESENDS: usize = 10;
/// REQUESTED-TRANSPORT for UDP (RFC 8656 section 18.7).
const UDP: u8 = 17;

/// The clients, numbered from 0.
pub(crate) struct Clients {
    /// The socket of all of them.
    pub(crate) socket: Socket,
    /// Where received datagrams lie.
    pub(crate) arena: ReceiveBatch,
    /// Where outgoing ones are staged.
    pub(crate) out: SendBatch,
    account: Option<Account>,
    exchanges: u32,
}

/// What all requests to one server share.
struct Account {
    realm: String,
    key: Sha1Key,
}

/// One client's allocation.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    /// The relayed transport address.
    pub(crate) relay: SocketAddr,
    nonce: Vec<u8>,
}

impl Clients {
    /// Binds the socket; with `gro` it takes bursts as they come.
    pub(crate) fn new(gro: bool) -> Result<Self, Failure> {
        let options = SocketOptions {
            packet_info: true,
            gro,
            receive_buffer: Some(BUFFER),
            send_buffer: Some(BUFFER),
            ..SocketOptions::default()
        };
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let socket = Socket::bind(any, &options).map_err(|e| Failure::io(&"client socket", e))?;
        Ok(Self {
            socket,
            arena: ReceiveBatch::new(64),
            out: SendBatch::new(64, 64),
            account: None,
            exchanges: 0,
        })
    }

    /// The address of client `number`, below 2^16.
    pub(crate) fn source(number: u32) -> IpAddr {
        let [_, _, high, low] = number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
    }

    /// The transport address of client `number`.
    pub(crate) fn address(&self, number: u32) -> SocketAddr {
        SocketAddr::new(Self::source(number), self.socket.local_addr().port())
    }

    /// Makes one allocation for each client of the range: a request without credentials, its 401,
    /// the request again with credentials, success.
    pub(crate) fn allocate(
        &mut self,
        server: &Server,
        numbers: Range<u32>,
    ) -> Result<Vec<Allocation>, Failure> {
        let mut allocations = Vec::with_capacity(numbers.len());
        for window in windows(numbers) {
            self.allocate_window(server, &window, &mut allocations)?;
        }
        Ok(allocations)
    }

    fn allocate_window(
        &mut self,
        server: &Server,
        window: &Range<u32>,
        allocations: &mut Vec<Allocation>,
    ) -> Result<(), Failure> {
        let at = |number: u32| (number - window.start) as usize;
        let mut nonces = vec![Vec::new(); window.len()];
        let mut realm = String::new();
        let ask = &mut |_, writer: &mut Writer<'_>| {
            writer.push(&RequestedTransport(UDP))?;
            Ok(())
        };
        self.exchange(
            server,
            window,
            Method::ALLOCATE,
            ask,
            &mut |number, answer| {
                if error_code(answer) != Some(401) {
                    return Err(unexpected(server, "Allocate without credentials", answer));
                }
                realm.replace_range(.., needed::<Realm<'_>>(server, answer)?.0);
                nonces[at(number)].extend_from_slice(needed::<Nonce<'_>>(server, answer)?.0);
                Ok(())
            },
        )?;

        let account = self.account.take().unwrap_or_else(|| Account::new(realm));
        let mut relays = vec![server.address; window.len()];
        let ask = &mut |number, writer: &mut Writer<'_>| {
            writer.push(&RequestedTransport(UDP))?;
            account.sign(writer, &nonces[at(number)])
        };
        self.exchange(
            server,
            window,
            Method::ALLOCATE,
            ask,
            &mut |number, answer| {
                relays[at(number)] = match answer.class() {
                    Class::Success => needed::<XorRelayedAddress>(server, answer)?.0,
                    _ => return Err(unexpected(server, "Allocate", answer)),
                };
                Ok(())
            },
        )?;
        self.account = Some(account);
        let made = relays.into_iter().zip(nonces);
        allocations.extend(made.map(|(relay, nonce)| Allocation { relay, nonce }));
        Ok(())
    }

    /// Binds the channel of each client to a peer; client `i` has allocation `i`.
    pub(crate) fn bind_channels(
        &mut self,
        server: &Server,
        allocations: &[Allocation],
        peer: &dyn Fn(usize) -> SocketAddr,
    ) -> Result<(), Failure> {
        let Some(account) = self.account.take() else {
            return Err(server.failure("channels without allocations"));
        };
        let ask = &mut |number: u32, writer: &mut Writer<'_>| {
            let index = number as usize;
            writer
                .push(&ChannelNumber(CHANNEL))?
                .push(&XorPeerAddress(peer(index)))?;
            account.sign(writer, &allocations[index].nonce)
        };
        for window in windows(0..allocations.len() as u32) {
            self.exchange(
                server,
                &window,
                Method::CHANNEL_BIND,
                ask,
                &mut |_, answer| match answer.class() {
                    Class::Success => Ok(()),
                    _ => Err(unexpected(server, "ChannelBind", answer)),
                },
            )?;
        }
        self.account = Some(account);
        Ok(())
    }

    /// Sends one request for each client of a window and hands over each answer once. What is not
    /// answered in time is sent again, as RFC 8489 section 6.2.1 has it.
    fn exchange(
        &mut self,
        server: &Server,
        window: &Range<u32>,
        method: Method,
        request: &mut dyn FnMut(u32, &mut Writer<'_>) -> Result<(), WriteError>,
        answer: &mut dyn FnMut(u32, &Message<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.exchanges += 1;
        let mut missing: Vec<u32> = window.clone().collect();
        let mut buffer = [0; 512];
        for _ in 0..=RESENDS {
            for &number in &missing {
                let ty = MessageType {
                    method,
                    class: Class::Request,
                };
                let mut writer = Writer::new(&mut buffer, ty, transaction(self.exchanges, number))
                    .map_err(|e| Failure::refused("request", &e))?;
                request(number, &mut writer).map_err(|e| Failure::refused("request", &e))?;
                let from = Some(Self::source(number));
                // The batch holds more datagrams than a window has requests.
                let _ = self
                    .out
                    .push_bytes(server.address, from, 0, writer.finish());
            }
            self.out.flush(&self.socket, &self.arena);
            let sent = Instant::now();
            while sent.elapsed() < RESEND {
                self.arena.clear();
                let received = self
                    .socket
                    .receive(&mut self.arena, 64)
                    .map_err(|e| Failure::io(&"client socket", e))?;
                for slot in 0..received {
                    let datagram = self.arena.get(slot);
                    let Ok(message) = Message::parse(datagram.data) else {
                        continue;
                    };
                    let Some(place) = missing.iter().position(|&number| {
                        message.transaction_id() == transaction(self.exchanges, number)
                            && datagram.local == Some(Self::source(number))
                    }) else {
                        continue;
                    };
                    answer(missing.swap_remove(place), &message)?;
                }
                if missing.is_empty() {
                    return Ok(());
                }
            }
        }
        Err(server.failure(&format!("{} requests were not answered", missing.len())))
    }
}

impl Account {
    fn new(realm: String) -> Self {
        let key = Sha1Key::new(&credential::long_term_md5(USER, &realm, PASSWORD));
        Self { realm, key }
    }

    fn sign(&self, writer: &mut Writer<'_>, nonce: &[u8]) -> Result<(), WriteError> {
        writer
            .push(&Username(USER))?
            .push(&Realm(&self.realm))?
            .push(&Nonce(nonce))?;
        writer.integrity_sha1(&self.key).map(drop)
    }
}

fn windows(numbers: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let end = numbers.end;
    numbers
        .step_by(WINDOW as usize)
        .map(move |start| start..end.min(start + WINDOW))
}

/// Exchange and client make the transaction unique within this process; the servers under test
/// need no more of it.
fn transaction(exchange: u32, number: u32) -> TransactionId {
    let mut id = *b"wharf-bench!";
    id[4..8].copy_from_slice(&exchange.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    TransactionId(id)
}

fn error_code(answer: &Message<'_>) -> Option<u16> {
    answer.get::<ErrorCode<'_>>()?.ok().map(|error| error.code)
}

fn needed<'a, A: Attribute<'a>>(server: &Server, answer: &Message<'a>) -> Result<A, Failure> {
    answer
        .get::<A>()
        .transpose()
        .map_err(|e: AttributeError| server.failure(&format!("{}: {e}", A::TYPE)))?
        .ok_or_else(|| server.failure(&format!("an answer without {}", A::TYPE)))
}

fn unexpected(server: &Server, what: &str, answer: &Message<'_>) -> Failure {
    match error_code(answer) {
        Some(code) => server.failure(&format!("{what} was answered with {code}")),
        None => server.failure(&format!("{what} was answered with {answer:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_range_once() {
        let all: Vec<u32> = windows(5..40).flatten().collect();
        assert_eq!(all, (5..40).collect::<Vec<_>>());
        assert!(windows(5..40).all(|window| window.len() <= WINDOW as usize));
    }

    #[test]
    fn clients_have_addresses_and_transactions_of_their_own() {
        assert_eq!(Clients::source(0x0203).to_string(), "127.1.2.3");
        assert_ne!(transaction(1, 2), transaction(2, 1));
    }
}
