//! Over transports of the tests' own, in virtual time.

mod failover;
mod pooling;
mod requests;
mod responses;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use wharf::ConnectError;
use wharf::client::{Attempt, AttemptError};
use wharf_sip::flow::{Flow, FlowId, FlowTable};
use wharf_sip::locate::{Address, Failure, Naptr, Query, Records, Srv};
use wharf_sip::pool::PoolKey;
use wharf_sip::route::SendFailure;
use wharf_sip::{Domain, Priority, Transport, Uri};

use super::*;
use crate::{
    CloseReason, DialError, Event, Incoming, Outgoing, SendError, SipError, TableResolver, Taken,
};

const TTL: Duration = Duration::from_mins(1);
/// How long it takes to open a connection.
const CONNECT: Duration = Duration::from_millis(100);

/// How a server takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Refuses,
    Silent,
    /// Its certificate is for others.
    Forged,
}

/// A network in which every server is there unless its door says otherwise.
#[derive(Clone)]
struct Net(Arc<Mutex<World>>);

struct World {
    table: FlowTable,
    open: HashMap<FlowId, FlowRef>,
    doors: HashMap<SocketAddr, Door>,
    dialled: Vec<PoolKey>,
    sent: Vec<(FlowRef, Bytes, Priority)>,
    closed: Vec<FlowRef>,
    /// What every flow says to a message; none for "taken".
    full: Option<SendError>,
    /// A connection that the other side has opened.
    inbound: Option<FlowRef>,
}

struct Nobody;

impl Upper for Nobody {
    fn message(&self, _: &Incoming<'_>, _: &mut Outgoing<'_>) -> Taken {
        Taken::Yes
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connect_error(error: AttemptError) -> DialError {
    ConnectError::Unreachable {
        target: "server".to_owned(),
        attempts: vec![Attempt {
            address: wharf::Endpoint::Ip(address("192.0.2.1:5060")),
            error,
        }],
    }
    .into()
}

impl Net {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            table: FlowTable::new(1000),
            open: HashMap::new(),
            doors: HashMap::new(),
            dialled: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            full: None,
            inbound: None,
        })))
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn door(&self, at: &str, door: Door) {
        self.world().doors.insert(address(at), door);
    }

    /// A connection between the two.
    fn connection(&self, transport: Transport, remote: SocketAddr) -> FlowRef {
        let mut world = self.world();
        let local = address("192.0.2.100:40000");
        let flow = Flow {
            transport,
            local,
            remote,
        };
        let id = world.table.insert(flow).unwrap();
        let flow = FlowRef { id, flow };
        world.open.insert(id, flow);
        flow
    }

    /// The connection ends, and nobody is told yet.
    fn cut(&self, flow: &FlowRef) {
        self.world().open.remove(&flow.id);
    }

    /// What was sent since the last look, each as `TRANSPORT address`.
    fn sent(&self) -> Vec<String> {
        let sent = std::mem::take(&mut self.world().sent);
        let to = |(flow, ..): &(FlowRef, Bytes, Priority)| {
            format!("{} {}", flow.flow.transport, flow.flow.remote)
        };
        sent.iter().map(to).collect()
    }

    /// The text that was sent last.
    fn text(&self) -> String {
        let world = self.world();
        let (_, message, _) = world.sent.last().unwrap();
        String::from_utf8(message.to_vec()).unwrap()
    }

    fn dialled(&self) -> usize {
        self.world().dialled.len()
    }
}

impl Transports for Net {
    fn send(&self, flow: &FlowRef, message: Bytes, priority: Priority) -> Result<(), SendError> {
        let mut world = self.world();
        if let Some(full) = world.full {
            return Err(full);
        }
        if flow.flow.transport != Transport::Udp && !world.open.contains_key(&flow.id) {
            return Err(SendError::FlowGone);
        }
        world.sent.push((*flow, message, priority));
        Ok(())
    }

    fn datagrams_to(&self, remote: SocketAddr) -> Option<FlowRef> {
        let local = address("192.0.2.100:5060");
        remote.is_ipv4().then(|| FlowRef::datagrams(local, remote))
    }

    fn open(&self, key: &PoolKey) -> Option<FlowRef> {
        let same = |flow: &FlowRef| {
            flow.flow.transport == key.transport && flow.flow.remote == key.address
        };
        self.world().inbound.filter(same)
    }

    fn dial<'a>(&'a self, key: &'a PoolKey) -> Dialling<'a> {
        Box::pin(async move {
            let door = {
                let mut world = self.world();
                world.dialled.push(key.clone());
                world.doors.get(&key.address).copied()
            };
            match door.unwrap_or(Door::Open) {
                Door::Open => {
                    tokio::time::sleep(CONNECT).await;
                    Ok(self.connection(key.transport, key.address))
                }
                Door::Refuses => {
                    let refused = std::io::ErrorKind::ConnectionRefused.into();
                    Err(connect_error(AttemptError::Io(refused)))
                }
                Door::Silent => {
                    let limit = Duration::from_secs(5);
                    tokio::time::sleep(limit).await;
                    Err(connect_error(AttemptError::Timeout(limit)))
                }
                Door::Forged => Err(DialError::WrongName {
                    expected: "example.com".to_owned(),
                    shown: vec![],
                }),
            }
        })
    }

    fn close(&self, flow: &FlowRef) {
        let mut world = self.world();
        world.open.remove(&flow.id);
        world.closed.push(*flow);
    }
}

/// A manager, and the network around it.
struct Desk {
    manager: Manager,
    net: Net,
    /// Through which it hears of the network.
    ears: Watched<Nobody>,
}

impl Desk {
    fn new(change: impl FnOnce(&mut ManagerOptions)) -> Self {
        Self::with(TableResolver::default(), change)
    }

    fn with(resolver: impl Resolver, change: impl FnOnce(&mut ManagerOptions)) -> Self {
        let mut options = ManagerOptions::default();
        change(&mut options);
        let manager = Manager::new(options, resolver);
        let net = Net::new();
        let ears = manager.watch(Nobody);
        manager.begin_with(net.clone());
        Self { manager, net, ears }
    }

    fn to(&self, uri: &str) -> Sending {
        let uri = Uri::parse(uri.as_bytes()).unwrap();
        self.manager.request(Request::to_uri(&uri).unwrap())
    }

    /// Sends one request, and says where it has gone.
    async fn send(&self, uri: &str) -> Result<Sent, SipError> {
        self.to(uri).next(message(500)).await
    }

    fn hear(&self, event: Event) {
        self.ears.event(event);
    }

    /// The connection closes, and the manager is told.
    fn close(&self, flow: FlowRef) {
        self.net.cut(&flow);
        self.hear(Event::Closed(flow, CloseReason::Peer));
    }
}

/// A request of so many bytes.
fn message(bytes: usize) -> Bytes {
    let head = "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP host.example;branch=z9hG4bK1;rport\r\n\
                Content-Length: 0\r\nX: ";
    let pad = "x".repeat(bytes - head.len() - 4);
    format!("{head}{pad}\r\n\r\n").into()
}

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

/// The addresses of a host.
fn host(table: TableResolver, name: &str, ips: &[&str]) -> TableResolver {
    let addresses = ips.iter().map(|ip| Address {
        ip: ip.parse().unwrap(),
        ttl: TTL,
    });
    let query = Query::Addresses {
        name: domain(name),
        ipv4: true,
        ipv6: true,
    };
    table.with(&query, Ok(Records::Addresses(addresses.collect())))
}

/// SRV records, each with priority, weight, target and port.
fn srv(table: TableResolver, name: &str, records: &[(u16, u16, &str, u16)]) -> TableResolver {
    let record = |&(priority, weight, target, port): &(u16, u16, &str, u16)| Srv {
        priority,
        weight,
        target: target.parse().ok(),
        port,
        ttl: TTL,
    };
    let records = records.iter().map(record).collect();
    table.with(&Query::Srv(domain(name)), Ok(Records::Srv(records)))
}

/// example.com has two servers over UDP, the second for when the first fails, and a third over TCP.
fn example() -> TableResolver {
    let naptr = |order, service: &str, to: &str| Naptr {
        order,
        preference: 1,
        flags: "s".to_owned(),
        service: service.to_owned(),
        replacement: to.parse().ok(),
        ttl: TTL,
    };
    let table = TableResolver::default().with(
        &Query::Naptr(domain("example.com")),
        Ok(Records::Naptr(vec![
            naptr(1, "SIP+D2U", "_sip._udp.example.com"),
            naptr(2, "SIP+D2T", "_sip._tcp.example.com"),
        ])),
    );
    let two = [
        (1, 1, "s1.example.com", 5061),
        (2, 1, "s2.example.com", 5062),
    ];
    let table = srv(table, "_sip._udp.example.com", &two);
    let table = srv(
        table,
        "_sip._tcp.example.com",
        &[(1, 1, "s3.example.com", 5063)],
    );
    let table = host(table, "s1.example.com", &["192.0.2.1"]);
    let table = host(table, "s2.example.com", &["192.0.2.2"]);
    host(table, "s3.example.com", &["192.0.2.3"])
}
