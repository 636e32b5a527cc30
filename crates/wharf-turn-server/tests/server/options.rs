//! Each option of [`Config`] that no other test is about has an effect.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, Socket, Type};
use wharf_stun::Method;
use wharf_turn_server::{Config, CoreConfig, EventHook, RelayAddress, TurnServer};

use crate::client::{Client, udp};
use crate::support::{config, fresh_ip, start};

/// What one of the server's threads says of itself for each of many allocations.
fn said_by_workers(
    config: Config,
    enough: usize,
    what: impl Fn() -> String + Send + Sync + 'static,
) -> BTreeSet<String> {
    let said = Arc::new(Mutex::new(BTreeSet::new()));
    let place = Arc::clone(&said);
    let server = start(Config {
        events: Some(EventHook::new(move |_| {
            place.lock().unwrap().insert(what());
        })),
        ..config
    });
    for _ in 0..100 {
        let mut client = Client::new(&server);
        client.allocate();
        // The hook is done with the first event when the second request is answered.
        client.release();
        if said.lock().unwrap().len() > enough {
            break;
        }
    }
    server.stop();
    said.lock().unwrap().clone()
}

#[test]
fn workers_are_as_many_as_asked_for() {
    let name = || std::thread::current().name().unwrap().to_owned();
    for workers in [1, 3] {
        let names = said_by_workers(
            Config {
                workers,
                ..config()
            },
            workers,
            name,
        );
        let expected = (0..workers).map(|index| format!("turn-{index}"));
        assert!(names.iter().cloned().eq(expected), "{names:?}");
    }
    let names = said_by_workers(
        Config {
            workers: 0,
            ..config()
        },
        usize::MAX,
        name,
    );
    assert_eq!(
        names.len(),
        wharf_udp::allowed_cpus().len(),
        "one for each CPU"
    );
}

#[test]
fn workers_are_tied_to_a_cpu_each_when_asked_for() {
    let allowed = || {
        let cpus = wharf_udp::allowed_cpus();
        cpus.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let all = wharf_udp::allowed_cpus();
    let workers = all.len();
    for pin_workers in [false, true] {
        let config = Config {
            workers,
            pin_workers,
            ..config()
        };
        let expected: BTreeSet<_> = if pin_workers {
            all.iter().map(ToString::to_string).collect()
        } else {
            [allowed()].into()
        };
        assert_eq!(said_by_workers(config, usize::MAX, allowed), expected);
    }
}

/// The server's socket of an address: a duplicate of this process's own descriptor.
fn socket_of(address: SocketAddr) -> Socket {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let duplicate = |entry: std::io::Result<std::fs::DirEntry>| -> Option<OwnedFd> {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).ok()
    };
    let mut sockets = descriptors.filter_map(duplicate).map(Socket::from);
    let is_it = |socket: &Socket| {
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        local == Some(address)
    };
    sockets.find(is_it).expect("the server's socket")
}

#[test]
fn buffers_have_the_size_asked_for() {
    let plain = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let usual = plain.send_buffer_size().unwrap();
    for (receive_buffer, send_buffer) in [(None, None), (Some(50_000), Some(60_000))] {
        for workers in [1, 2] {
            let server = start(Config {
                receive_buffer,
                send_buffer,
                workers,
                ..config()
            });
            let socket = socket_of(server.local_addrs()[0]);
            // The kernel doubles what is asked for, and leaves its own default as it is. The server asks
            // for 4 MiB by itself, of which an ordinary user gets as much as the system allows.
            let default = if rustix::process::geteuid().is_root() {
                8 << 20
            } else {
                plain.set_recv_buffer_size(4 << 20).unwrap();
                plain.recv_buffer_size().unwrap()
            };
            let expected = [
                receive_buffer.map_or(default, |size| 2 * size),
                send_buffer.map_or(usual, |size| 2 * size),
            ];
            let sizes = [
                socket.recv_buffer_size().unwrap(),
                socket.send_buffer_size().unwrap(),
            ];
            assert_eq!(sizes, expected);
        }
    }
}

/// Servers with one secret take each other's nonces, so that they can stand for each other.
#[test]
fn a_secret_in_common_makes_nonces_good_elsewhere() {
    let with = |nonce_secret| {
        start(Config {
            nonce_secret,
            ..config()
        })
    };
    let secrets = [Some([1; 32]), Some([1; 32]), Some([2; 32]), None, None];
    let [first, same, other, random, another] = secrets.map(with);
    let code_at = |from: &TurnServer, to: &TurnServer| {
        let mut client = Client::new(from);
        client.challenge();
        client.turn_to(to.local_addrs()[0]);
        client.ask(Method::ALLOCATE, &udp).code()
    };
    assert_eq!(code_at(&first, &same), 0);
    assert_eq!(code_at(&first, &other), 438);
    assert_eq!(code_at(&random, &another), 438);
}

#[test]
fn relays_come_from_every_address_and_no_other_port() {
    let [one, two] = [fresh_ip(), fresh_ip()];
    let relays = vec![
        RelayAddress::new(one, 20_000..=20_009),
        RelayAddress::new(two, 30_000..=30_009),
    ];
    let server = start(Config { relays, ..config() });
    let mut clients: Vec<_> = (0..20).map(|_| Client::new(&server)).collect();
    let relayed: BTreeSet<SocketAddr> = clients.iter_mut().map(Client::allocate).collect();
    let expected = (20_000..=20_009).map(|port| SocketAddr::new(one, port));
    let expected = expected.chain((30_000..=30_009).map(|port| SocketAddr::new(two, port)));
    assert_eq!(relayed, expected.collect());
    assert_eq!(Client::new(&server).try_allocate(&|_| {}).code(), 508);
}

/// The core is given its options: one that changes each answer.
#[test]
fn the_cores_options_reach_it() {
    let server = start(Config {
        core: CoreConfig {
            max_permissions: 1,
            default_lifetime: std::time::Duration::from_secs(777),
            ..CoreConfig::default()
        },
        workers: 2,
        ..config()
    });
    for _ in 0..8 {
        let mut client = Client::new(&server);
        let response = client.try_allocate(&|_| {});
        let lifetime: wharf_stun::attribute::Lifetime = response.get().unwrap();
        assert!((770..=777).contains(&lifetime.0), "{lifetime:?}");
        assert_eq!(client.permit("127.0.0.1:9".parse().unwrap()), 0);
        assert_eq!(client.permit("127.0.0.2:9".parse().unwrap()), 508);
    }
}

/// Peers on loopback are refused unless the rules say otherwise.
#[test]
fn the_default_rules_for_peers_are_the_hardened_ones() {
    let server = start(Config {
        peers: wharf_turn_server::PeerRules::default(),
        ..config()
    });
    let mut client = Client::new(&server);
    client.allocate();
    for refused in ["127.0.0.1:9", "10.0.0.1:9", "169.254.169.254:80"] {
        assert_eq!(client.permit(refused.parse().unwrap()), 403, "{refused}");
    }
    assert_eq!(client.permit("8.8.8.8:53".parse().unwrap()), 0);
}
