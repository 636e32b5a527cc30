//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 §7.2), also across workers.

use std::net::SocketAddr;

use wharf_policy::{QuotaLimits, Quotas};
use wharf_stun::Method;
use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, EvenPort, RequestedTransport, ReservationToken,
};
use wharf_turn::{BindError, Config, Done, RelayAddress, Worker};

use crate::support::{Answer, Client, Did, Host, Reaction, addr, config, secs};

fn even(host: &mut Host, client: &mut Client, reserve_next: bool) -> Answer {
    client.allocate_with(host, |w| w.push(&EvenPort { reserve_next }).map(drop))
}

/// The even port's address and the token for the next.
pub(crate) fn pair(host: &mut Host, client: &mut Client) -> (SocketAddr, ReservationToken) {
    let answer = even(host, client, true);
    assert_eq!(answer.error, None);
    let relay = answer.relayed()[0];
    let mut next = relay;
    next.set_port(relay.port() + 1);
    let binds = [Did::Bind(relay), Did::Bind(next)];
    assert!(host.take_did().ends_with(&binds));
    host.events();
    (relay, answer.get().expect("a token"))
}

fn claim(host: &mut Host, client: &mut Client, token: ReservationToken) -> Answer {
    client.allocate_with(host, |w| w.push(&token).map(drop))
}

/// A server with few ports, of IPv4 only.
fn ports(ports: std::ops::RangeInclusive<u16>) -> Config {
    Config {
        relays: vec![RelayAddress::new(addr("192.0.2.1:0").ip(), ports)],
        ..config()
    }
}

#[test]
fn t18_an_even_port_and_nothing_more() {
    let mut host = Host::new(ports(50_000..=50_003));
    let mut clients: Vec<_> = (1..=3)
        .map(|port| Client::new(&mut host, "alice", port))
        .collect();
    for client in &mut clients[..2] {
        let answer = even(&mut host, client, false);
        assert_eq!(answer.relayed()[0].port() % 2, 0);
        assert_eq!(answer.get::<ReservationToken>(), None);
    }
    // 4.17: the odd neighbour is not lost, and an even port is what there is no more of.
    assert_eq!(host.server.free_ports(), 2);
    assert_eq!(even(&mut host, &mut clients[2], false).error, Some(508));
    assert_eq!(even(&mut host, &mut clients[2], true).error, Some(508));
    host.forget();
    let odd = clients[2].allocate(&mut host);
    assert_eq!(odd.port() % 2, 1);
    for client in &mut clients {
        client.refresh(&mut host, 0);
    }
    host.forget();
    host.assert_initial();
}

#[test]
fn t18_even_ports_of_two_families() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |w| {
        w.push(&EvenPort {
            reserve_next: false,
        })?
        .push(&AdditionalAddressFamily(AddressFamily::V6))
        .map(drop)
    });
    assert!(answer.relayed().iter().all(|relay| relay.port() % 2 == 0));
    assert_eq!(answer.relayed().len(), 2);
    host.forget();
}

#[test]
fn t18_a_reserved_port_is_for_the_token_only() {
    let mut host = Host::new(ports(50_000..=50_001));
    let mut client = Client::new(&mut host, "alice", 1);
    let mut other = Client::new(&mut host, "bob", 2);
    let (relay, token) = pair(&mut host, &mut client);
    assert_eq!((host.server.relays(), host.quotas.user("alice")), (2, 2));
    assert_eq!(other.allocate_with(&mut host, |_| Ok(())).error, Some(508));
    host.forget();
    host.wait(secs(29));

    let answer = claim(&mut host, &mut other, token);
    assert_eq!(
        answer.relayed(),
        [SocketAddr::new(relay.ip(), relay.port() + 1)]
    );
    assert_eq!((host.quotas.user("alice"), host.quotas.user("bob")), (1, 1));
    assert_eq!(host.take_did(), [], "it is bound already");
    host.events();
    // Once.
    let mut third = Client::new(&mut host, "bob", 3);
    assert_eq!(claim(&mut host, &mut third, token).error, Some(508));
    // It stays when the first allocation ends.
    assert_eq!(client.refresh(&mut host, 0).error, None);
    host.wait(secs(60));
    assert_eq!(host.server.relays(), 1);
    assert_eq!(other.refresh(&mut host, 0).error, None);
    host.forget();
    host.assert_initial();
}

#[test]
pub(crate) fn t18_a_reservation_ends_after_its_time() {
    for lifetime in [30, 90] {
        let mut host = Host::new(Config {
            reservation_lifetime: secs(lifetime),
            ..ports(50_000..=50_001)
        });
        let mut client = Client::new(&mut host, "alice", 1);
        let mut other = Client::new(&mut host, "bob", 2);
        let (relay, token) = pair(&mut host, &mut client);
        let odd = SocketAddr::new(relay.ip(), relay.port() + 1);
        // A claim that is late though the timer is later.
        host.now += secs(lifetime);
        assert_eq!(claim(&mut host, &mut other, token).error, Some(508));
        host.forget();
        host.wait(secs(0));
        assert_eq!(host.take_did(), [Did::Close(odd)]);
        assert_eq!(host.quotas.live(), 1);
        assert_eq!(other.allocate(&mut host), odd);
    }
}

/// Answers to the binds of one EVEN-PORT request, what is said to the client, and how many ports are
/// left alone afterwards.
fn bound_as_a_whole(outcomes: &[Option<BindError>], error: Option<u16>, left_alone: usize) {
    let mut host = Host::default();
    let all = host.server.free_ports();
    let mut client = Client::new(&mut host, "alice", 1);
    host.binds = outcomes.iter().copied().collect();
    let answer = even(&mut host, &mut client, true);
    assert_eq!(answer.error, error);
    let tried = host.take_did();
    let binds = tried.iter().filter(|did| matches!(did, Did::Bind(_)));
    assert_eq!(binds.count(), outcomes.len(), "{tried:?}");
    let held = if error.is_none() { 2 } else { 0 };
    assert_eq!(host.server.free_ports(), all - left_alone - held);
    assert_eq!(
        (host.sockets.len(), host.quotas.live()),
        (held, held as u32)
    );
    client.refresh(&mut host, 0);
    host.wait(secs(60));
    host.forget();
    host.assert_initial();
}

#[test]
fn t18_a_pair_is_bound_as_a_whole() {
    let (in_use, failed) = (Some(BindError::AddressInUse), Some(BindError::Failed));
    bound_as_a_whole(&[None, None], None, 0);
    bound_as_a_whole(&[in_use, None, None], None, 1);
    bound_as_a_whole(&[None, in_use, None, None], None, 1);
    bound_as_a_whole(&[in_use, None, in_use, None, None], None, 2);
    bound_as_a_whole(&[failed], Some(508), 0);
    bound_as_a_whole(&[None, failed], Some(508), 0);
    bound_as_a_whole(&[in_use; 8], Some(508), 8);
    bound_as_a_whole(&[None, in_use].repeat(8), Some(508), 8);
}

#[test]
fn t18_a_pair_counts_twice() {
    let mut host = Host::with_limits(config(), 2, 0);
    let mut client = Client::new(&mut host, "alice", 1);
    let mut other = Client::new(&mut host, "alice", 2);
    let (_, token) = pair(&mut host, &mut client);
    assert_eq!(other.allocate_with(&mut host, |_| Ok(())).error, Some(486));
    // What is reserved counts already.
    assert_eq!(claim(&mut host, &mut other, token).error, None);
    assert_eq!(host.quotas.live(), 2);
    for client in [&mut client, &mut other] {
        assert_eq!(client.refresh(&mut host, 0).error, None);
    }
    host.forget();

    let mut host = Host::with_limits(config(), 1, 0);
    let mut client = Client::new(&mut host, "alice", 1);
    assert_eq!(even(&mut host, &mut client, true).error, Some(486));
    assert!(
        host.take_did()
            .iter()
            .all(|did| matches!(did, Did::LookUp(_)))
    );
    host.assert_initial();
}

/// Two workers that share the books.
pub(crate) fn workers(per_user: u32) -> [Host; 2] {
    let quotas = Quotas::new(QuotaLimits { per_user, total: 0 });
    [0, 1].map(|index| {
        let worker = Worker { index, count: 2 };
        Host::with_quotas(Config { worker, ..config() }, quotas.clone())
    })
}

#[test]
fn t18_a_token_serves_at_another_worker() {
    let [mut holder, mut claimer] = workers(2);
    let mut client = Client::new(&mut holder, "alice", 1);
    let mut other = Client::new(&mut claimer, "alice", 2);
    let (relay, token) = pair(&mut holder, &mut client);
    let free = holder.server.free_ports();

    let request = other.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?.push(&token).map(drop)
    });
    assert_eq!(claimer.client(&other.path, &request), Reaction::Waiting);
    let again = Reaction::Dropped(wharf_turn::DropReason::InProgress);
    assert_eq!(claimer.client(&other.path, &request), again);
    let answer = claimer.claim_from(&mut holder).reply();
    other.check(&answer);
    let odd = SocketAddr::new(relay.ip(), relay.port() + 1);
    assert_eq!((answer.error, answer.relayed()), (None, vec![odd]));
    assert_eq!(
        claimer.quotas.user("alice"),
        2,
        "the quota of two is enough"
    );

    // It works there, and its port comes home when it ends.
    assert_eq!(other.permit(&mut claimer, &[crate::support::PEER]), None);
    let data = claimer.peer(odd, addr(crate::support::PEER), b"data");
    assert!(matches!(data, Reaction::ToClient { .. }), "{data:?}");
    claimer.forget();
    assert_eq!(other.refresh(&mut claimer, 0).error, None);
    let came_home = [
        Did::Close(odd),
        Did::Return {
            worker: 0,
            local: odd,
        },
    ];
    assert_eq!(claimer.take_did(), came_home);
    assert_eq!(holder.server.free_ports(), free);
    holder.server.return_port(odd);
    assert_eq!(holder.server.free_ports(), free + 1);
    assert_eq!(client.refresh(&mut holder, 0).error, None);
    for mut host in [holder, claimer] {
        host.forget();
        host.wait(secs(30));
        host.assert_initial();
    }
}

#[test]
fn t18_a_claim_that_fails_leaves_nothing_behind() {
    let [mut holder, mut claimer] = workers(1);
    let mut other = Client::new(&mut claimer, "bob", 2);
    // A token that the other worker does not know.
    let request = other.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&ReservationToken([0; 8]))
            .map(drop)
    });
    assert_eq!(claimer.client(&other.path, &request), Reaction::Waiting);
    assert_eq!(claimer.claim_from(&mut holder).reply().error, Some(508));
    assert_eq!(claimer.events(), []);
    claimer.take_did();
    claimer.assert_initial();

    // A socket that comes when the quota is used up goes home.
    holder.quotas.set_limits(QuotaLimits::default());
    let mut client = Client::new(&mut holder, "alice", 1);
    let (relay, token) = pair(&mut holder, &mut client);
    let odd = SocketAddr::new(relay.ip(), relay.port() + 1);
    holder.quotas.set_limits(QuotaLimits {
        per_user: 1,
        total: 0,
    });
    let mut first = Client::new(&mut claimer, "bob", 3);
    first.allocate(&mut claimer);
    let request = other.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?.push(&token).map(drop)
    });
    assert_eq!(claimer.client(&other.path, &request), Reaction::Waiting);
    let answer = claimer.claim_from(&mut holder).reply();
    assert_eq!(answer.error, Some(486));
    let came_home = [
        Did::Close(odd),
        Did::Return {
            worker: 0,
            local: odd,
        },
    ];
    assert_eq!(claimer.take_did(), came_home);
    assert_eq!(claimer.server.allocations(), 1);
    claimer.forget();

    // An answer of another kind, or to nothing, changes nothing.
    let request = other.request(Method::ALLOCATE, |w| {
        w.push(&RequestedTransport::UDP)?
            .push(&ReservationToken([0; 8]))
            .map(drop)
    });
    assert_eq!(claimer.client(&other.path, &request), Reaction::Waiting);
    let Some(wharf_turn::Command::ClaimReservation { id, .. }) = claimer.held.front().cloned()
    else {
        panic!("a claim");
    };
    let unknown = Reaction::Dropped(wharf_turn::DropReason::UnknownCommand);
    assert_eq!(claimer.done(id, Done::Bound(Ok(()))), unknown);
    assert_eq!(claimer.claim_from(&mut holder).reply().error, Some(508));
    assert_eq!(claimer.done(id, Done::Claimed(None)), unknown);
    claimer.forget();
}
