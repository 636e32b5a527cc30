//! The TURN core alone: no sockets, one thread, the whole time of a call.
//!
//! The caller is a driver without a kernel: it answers the core's commands at once and throws the
//! datagrams away. It visits allocations in random order, as the traffic of many clients does.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_policy::{PeerPolicy, PeerRules, PrefixLimits, QuotaLimits, Quotas};
use wharf_stun::attribute::{
    ChannelNumber, Nonce, Realm, RequestedTransport, Username, XorPeerAddress,
};
use wharf_stun::{
    ChannelData, Class, Message, MessageType, Method, Sha1Key, TransactionId, Writer, credential,
};
use wharf_turn::{
    ClientPath, Command, Config, Credential, CredentialAnswer, Done, Output, RelayAddress, RelayId,
    Server, Shared, Transport,
};

use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::process::{now_ns, private_bytes};

const USER: &str = "alice";
const PASSWORD: &str = "a password of usual length";
const REALM: &str = "wharf";
const CHANNEL: u16 = 0x4000;
const PAYLOAD: usize = 172;
/// Transactions of one timed stretch. Their requests are written just before it, so that they are in the
/// cache, as a datagram is that was received a moment ago.
const STRETCH: usize = 500;
/// Allocations before memory is measured, so that what a server reserves once is not counted.
const WARM_UP: usize = 1_000;

/// A core with the clients that use it.
struct Bed {
    server: Server,
    now: Instant,
    credential: Arc<Credential>,
    key: Sha1Key,
    clients: Vec<Client>,
}

struct Client {
    path: ClientPath,
    nonce: Vec<u8>,
    relay: Option<RelayId>,
}

/// Measures transactions, memory and forwards.
pub(crate) fn run(report: &mut Report, quick: bool) -> Result<(), Failure> {
    let mut table = Table::new("core: one thread, no sockets", ["what", "value", "unit"]);
    let mut tell = |name: &str, value: f64, unit: &str| {
        report.figure(name, value, unit);
        table.row([name.to_owned(), number(value), unit.to_owned()]);
    };
    let stretches = if quick { 2 } else { 5 };
    // The largest first: memory that an earlier server gave back would hide what this one takes.
    for count in [100_000, 1_000, 1] {
        let mut bed = Bed::new(count)?;
        if count == 100_000 {
            let (rate, memory) = allocate_all(&mut bed, count)?;
            tell("core.allocate", rate, "transactions/s");
            tell("core.memory", memory, "bytes/allocation");
        } else {
            bed.allocate_range(0..count)?;
        }
        for i in 0..count {
            bed.bind_channel(i)?;
        }
        let order = shuffled(count);
        let (to_peer, to_client): (Vec<f64>, Vec<f64>) = (0..stretches)
            .map(|_| {
                Ok((
                    bed.forward_to_peers(&order)?,
                    bed.forward_to_clients(&order)?,
                ))
            })
            .collect::<Result<Vec<_>, Failure>>()?
            .into_iter()
            .unzip();
        tell(
            &format!("core.forward.{count}"),
            median(&to_peer),
            "packets/s",
        );
        tell(
            &format!("core.forward-back.{count}"),
            median(&to_client),
            "packets/s",
        );
    }
    table.print();
    Ok(())
}

/// Makes all allocations; transactions a second (median of stretches) and memory for each.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times stay far below 2^52"
)]
fn allocate_all(bed: &mut Bed, count: usize) -> Result<(f64, f64), Failure> {
    bed.allocate_range(0..WARM_UP)?;
    let before = private_bytes("self")?;
    let mut rates = Vec::new();
    let mut next = WARM_UP;
    while next < count {
        let end = count.min(next + STRETCH);
        let taken = bed.allocate_range(next..end)?;
        rates.push((end - next) as f64 / taken.as_secs_f64());
        next = end;
    }
    let taken = private_bytes("self")?.saturating_sub(before);
    Ok((median(&rates), taken as f64 / (count - WARM_UP) as f64))
}

impl Bed {
    /// A core without allocations and `count` clients, each with a nonce of its own.
    fn new(count: usize) -> Result<Self, Failure> {
        let relays = (1..=4).map(|host| RelayAddress::new(ip(203, 0, 113, host), 1024..=65535));
        let config = Config {
            realm: REALM.to_owned(),
            relays: relays.collect(),
            unauthenticated: PrefixLimits {
                per_second: 0,
                ..PrefixLimits::default()
            },
            ..Config::default()
        };
        let shared = Shared {
            nonce_secret: [7; 32],
            quotas: Quotas::new(QuotaLimits::default()),
            peers: Arc::new(PeerPolicy::new(PeerRules::default())),
        };
        let now = Instant::now();
        let server = Server::new(
            config,
            shared,
            now,
            Duration::from_secs(1_795_000_000),
            [9; 32],
        );
        let credential = Credential::from_password(USER, USER.into(), REALM, PASSWORD);
        let key = Sha1Key::new(&credential::long_term_md5(USER, REALM, PASSWORD));
        let mut bed = Self {
            server,
            now,
            credential: Arc::new(credential),
            key,
            clients: Vec::new(),
        };
        let mut buffer = [0; 64];
        let challenge = plain_allocate(&mut buffer).map_err(|e| Failure::refused("request", &e))?;
        for number in 0..count {
            let path = client_path(number);
            let nonce = match bed.server.handle_client(now, &path, challenge) {
                Output::Reply(reply) => Message::parse(reply.bytes)
                    .ok()
                    .and_then(|answer| Some(answer.get::<Nonce<'_>>()?.ok()?.0.to_owned())),
                _ => None,
            };
            let nonce = nonce.ok_or_else(|| refused("a request without credentials"))?;
            bed.clients.push(Client {
                path,
                nonce,
                relay: None,
            });
        }
        Ok(bed)
    }

    /// A request with credentials of client `number`: Allocate, or ChannelBind to its peer.
    fn signed(&self, number: usize, method: Method) -> Result<Vec<u8>, Failure> {
        let mut buffer = [0; 512];
        let ty = MessageType {
            method,
            class: Class::Request,
        };
        let mut id = [method.code() as u8; 12];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut write = || {
            let mut writer = Writer::new(&mut buffer, ty, TransactionId(id))?;
            if method == Method::ALLOCATE {
                writer.push(&RequestedTransport(17))?;
            } else {
                writer
                    .push(&ChannelNumber(CHANNEL))?
                    .push(&XorPeerAddress(peer(number)))?;
            }
            writer.push(&Username(USER))?.push(&Realm(REALM))?;
            writer
                .push(&Nonce(&self.clients[number].nonce))?
                .integrity_sha1(&self.key)?;
            Ok(writer.finish().to_vec())
        };
        write().map_err(|e: wharf_stun::WriteError| Failure::refused("request", &e))
    }

    /// Allocate transactions of some clients; the time they took, without writing the requests.
    fn allocate_range(&mut self, clients: Range<usize>) -> Result<Duration, Failure> {
        let write = |client| self.signed(client, Method::ALLOCATE);
        let requests = clients.clone().map(write).collect::<Result<Vec<_>, _>>()?;
        let start = now_ns();
        for (client, request) in clients.zip(&requests) {
            self.allocate(client, request)?;
        }
        Ok(Duration::from_nanos(now_ns() - start))
    }

    /// One whole Allocate transaction: request in, socket bound, success out.
    fn allocate(&mut self, number: usize, request: &[u8]) -> Result<(), Failure> {
        let client = &mut self.clients[number];
        let mut success = false;
        note_success(
            &self.server.handle_client(self.now, &client.path, request),
            &mut success,
        );
        while let Some(command) = self.server.poll_command() {
            let (id, done) = match command {
                Command::BindRelay { id, relay, .. } => {
                    client.relay = Some(relay);
                    (id, Done::Bound(Ok(())))
                }
                Command::LookUpCredential { id, .. } => {
                    let found = CredentialAnswer::Found(vec![Arc::clone(&self.credential)]);
                    (id, Done::Credential(found))
                }
                other => return Err(Failure::Refused(format!("unexpected {other:?}"))),
            };
            note_success(&self.server.handle_done(self.now, id, done), &mut success);
        }
        while let Some(event) = self.server.poll_event() {
            black_box(event);
        }
        if success {
            Ok(())
        } else {
            Err(refused("Allocate"))
        }
    }

    fn bind_channel(&mut self, number: usize) -> Result<(), Failure> {
        let request = self.signed(number, Method::CHANNEL_BIND)?;
        let mut success = false;
        let path = self.clients[number].path;
        note_success(
            &self.server.handle_client(self.now, &path, &request),
            &mut success,
        );
        while let Some(event) = self.server.poll_event() {
            black_box(event);
        }
        if success {
            Ok(())
        } else {
            Err(refused("ChannelBind"))
        }
    }

    /// ChannelData forwards a second.
    fn forward_to_peers(&mut self, order: &[u32]) -> Result<f64, Failure> {
        let paths: Vec<ClientPath> = order
            .iter()
            .map(|&i| self.clients[i as usize].path)
            .collect();
        let mut datagram = [0; 4 + PAYLOAD];
        datagram[..4].copy_from_slice(&ChannelData::header(CHANNEL, PAYLOAD as u16));
        rate("ChannelData", &paths, |path| {
            let output = self.server.handle_client(self.now, path, &datagram);
            matches!(black_box(output), Output::ToPeer(_))
        })
    }

    /// Datagrams of peers, forwarded as ChannelData, a second.
    fn forward_to_clients(&mut self, order: &[u32]) -> Result<f64, Failure> {
        let arrivals: Vec<(RelayId, SocketAddr)> = order
            .iter()
            .filter_map(|&i| Some((self.clients[i as usize].relay?, peer(i as usize))))
            .collect();
        rate("peers' datagrams", &arrivals, |&(relay, from)| {
            let output = self.server.handle_peer(self.now, relay, from, PAYLOAD);
            matches!(black_box(output), Output::ToClient(_))
        })
    }
}

/// Visits all items round and round for a while; visits a second. Every visit must succeed.
fn rate<T>(what: &str, items: &[T], mut visit: impl FnMut(&T) -> bool) -> Result<f64, Failure> {
    const VISITS: usize = 2_000_000;
    let rounds = VISITS.div_ceil(items.len().max(1));
    let mut good = 0;
    let start = now_ns();
    for _ in 0..rounds {
        good += items.iter().filter(|&item| visit(black_box(item))).count();
    }
    let elapsed = now_ns() - start;
    if good == 0 || good != rounds * items.len() {
        return Err(refused(what));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and times stay far below 2^52"
    )]
    Ok(good as f64 * 1e9 / elapsed as f64)
}

fn note_success(output: &Output<'_>, success: &mut bool) {
    if let Output::Reply(reply) = output {
        *success = reply.error.is_none();
    }
}

fn refused(what: &str) -> Failure {
    Failure::Refused(format!("the core did not accept {what}"))
}

fn plain_allocate(buffer: &mut [u8]) -> Result<&[u8], wharf_stun::WriteError> {
    let ty = MessageType {
        method: Method::ALLOCATE,
        class: Class::Request,
    };
    let mut writer = Writer::new(buffer, ty, TransactionId([1; 12]))?;
    writer.push(&RequestedTransport(17))?;
    Ok(writer.finish())
}

const fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Clients have addresses of their own; the port tells nothing.
fn client_path(number: usize) -> ClientPath {
    let [_, b, c, d] = (number as u32).to_be_bytes();
    ClientPath {
        transport: Transport::Udp,
        client: SocketAddr::new(ip(10, b, c, d), 40000),
        server: SocketAddr::new(ip(203, 0, 113, 1), 3478),
        listener: 0,
    }
}

/// Peers too: of the public kind that the default rules let pass.
fn peer(number: usize) -> SocketAddr {
    let [_, b, c, d] = (number as u32).to_be_bytes();
    SocketAddr::new(ip(20, b, c, d), 50000)
}

/// The numbers below `count` in an order without pattern, the same in each run (Fisher-Yates with
/// a linear congruential generator).
fn shuffled(count: usize) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count as u32).collect();
    let mut state = 0x5eed_u64;
    for last in (1..count).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        numbers.swap(last, (state >> 33) as usize % (last + 1));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_leaves_no_order() {
        let mut numbers = shuffled(1000);
        assert!(
            numbers
                .windows(2)
                .filter(|pair| pair[0] + 1 == pair[1])
                .count()
                < 20
        );
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_core_serves_what_is_measured() {
        let mut bed = Bed::new(3).expect("three clients");
        for number in 0..3 {
            let request = bed.signed(number, Method::ALLOCATE).expect("fits");
            bed.allocate(number, &request).expect("allocates");
            bed.bind_channel(number).expect("binds");
        }
        let datagram = [ChannelData::header(CHANNEL, 1).as_slice(), b"x"].concat();
        let (now, path) = (bed.now, bed.clients[2].path);
        match bed.server.handle_client(now, &path, &datagram) {
            Output::ToPeer(out) => assert_eq!(out.peer, peer(2)),
            other => panic!("{other:?}"),
        }
    }
}
