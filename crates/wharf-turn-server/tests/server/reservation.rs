//! Ports reserved with EVEN-PORT and claimed from another socket, within a worker and across workers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wharf_stun::attribute::{EvenPort, ReservationToken};
use wharf_turn_server::{
    Config, CoreConfig, Counter, Event, EventHook, QuotaLimits, RelayAddress, TurnServer,
};

use crate::client::{Client, relayed, with};
use crate::support::{config, fresh_ip, peer_v4, start, wait_for};

const PAIR: EvenPort = EvenPort { reserve_next: true };

/// An allocation on an even port, and the token of the odd one.
#[track_caller]
fn reserve(client: &mut Client) -> (SocketAddr, ReservationToken) {
    let response = client.try_allocate(&with(PAIR));
    let even = relayed(&response);
    assert_eq!(even.port() % 2, 0);
    (even, response.get().expect("a token"))
}

/// On which worker's thread each client has allocated.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<SocketAddr, String>>>);

impl Places {
    fn hook(&self) -> EventHook {
        let places = self.clone();
        EventHook::new(move |event| {
            if let Event::Allocated { path, .. } = event {
                let thread = std::thread::current().name().unwrap().to_owned();
                places.0.lock().unwrap().insert(path.client, thread);
            }
        })
    }

    fn of(&self, client: &Client) -> String {
        self.0.lock().unwrap()[&client.address()].clone()
    }
}

#[test]
fn a_token_is_good_at_every_worker() {
    for workers in [1, 2, 4] {
        let places = Places::default();
        let server = start(Config {
            workers,
            events: Some(places.hook()),
            ..config()
        });
        let handle = server.handle();
        let all = handle.counters().get(Counter::FreePorts);
        wait_for(&handle, Counter::FreePorts, 400);
        let (mut crossed, mut stayed, mut rounds) = (0, 0, 0);
        let mut live = Vec::new();
        while rounds < 12 || stayed < 2 || (workers > 1 && crossed < 4) {
            rounds += 1;
            assert!(
                rounds < 100,
                "{stayed} stayed, {crossed} crossed ({all} ports)"
            );
            let (mut first, mut second) = (Client::new(&server), Client::new(&server));
            let (even, token) = reserve(&mut first);
            let odd = relayed(&second.try_allocate(&with(token)));
            assert_eq!(odd, SocketAddr::new(even.ip(), even.port() + 1));
            let peer = peer_v4();
            for (client, relayed) in [(&mut first, even), (&mut second, odd)] {
                assert_eq!(client.permit(peer.local_addr().unwrap()), 0);
                client.round_trip(&peer, relayed);
            }
            // A token is good once, wherever it is shown.
            let mut third = Client::new(&server);
            assert_eq!(third.try_allocate(&with(token)).code(), 508);
            if places.of(&first) == places.of(&second) {
                stayed += 1;
            } else {
                crossed += 1;
            }
            // Some end at once, in either order, the others stay for a while.
            match rounds % 3 {
                0 => live.extend([first, second]),
                1 => [first, second].iter_mut().for_each(Client::release),
                _ => [second, first].iter_mut().for_each(Client::release),
            }
        }
        assert_eq!(crossed > 0, workers > 1);
        live.iter_mut().for_each(Client::release);
        wait_for(&handle, Counter::Allocations, 0);
        wait_for(&handle, Counter::FreePorts, 400);
    }
}

#[test]
fn what_nobody_claims_is_free_again() {
    let server = start(Config {
        workers: 2,
        core: CoreConfig {
            reservation_lifetime: Duration::from_secs(1),
            ..CoreConfig::default()
        },
        ..config()
    });
    let handle = server.handle();
    wait_for(&handle, Counter::FreePorts, 400);
    let mut client = Client::new(&server);
    let (_, token) = reserve(&mut client);
    wait_for(&handle, Counter::FreePorts, 399);
    let mut late = Client::new(&server);
    assert_eq!(late.try_allocate(&with(token)).code(), 508);
    client.release();
    wait_for(&handle, Counter::FreePorts, 400);
}

/// A token of no worker, and one of a worker that does not know it.
#[test]
fn a_forged_token_gets_508_and_costs_nothing() {
    let server = start(Config {
        workers: 3,
        ..config()
    });
    let handle = server.handle();
    for worker in [0, 1, 2, 3, 255] {
        let mut client = Client::new(&server);
        let forged = ReservationToken([worker, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(client.try_allocate(&with(forged)).code(), 508);
        client.allocate();
        client.release();
    }
    wait_for(&handle, Counter::FreePorts, 400);
    wait_for(&handle, Counter::Allocations, 0);
}

/// A pair needs both ports: with a single pair there is one, and a quota of one has no room for it.
#[test]
fn a_pair_is_two() {
    let one_pair = |quotas| -> TurnServer {
        start(Config {
            relays: vec![RelayAddress::new(fresh_ip(), 20_000..=20_001)],
            quotas,
            ..config()
        })
    };
    let server = one_pair(QuotaLimits::default());
    let (mut first, mut second) = (Client::new(&server), Client::new(&server));
    reserve(&mut first);
    assert_eq!(second.try_allocate(&with(PAIR)).code(), 508);
    assert_eq!(second.try_allocate(&|_| {}).code(), 508);

    let server = one_pair(QuotaLimits {
        per_user: 1,
        total: 0,
    });
    let mut client = Client::new(&server);
    assert_eq!(client.try_allocate(&with(PAIR)).code(), 486);
    wait_for(&server.handle(), Counter::FreePorts, 2);
}
