//! What keeps a server from starting, and that nothing is left of the attempt.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use wharf_turn_server::{Config, Counter, RelayAddress, StartError, TurnServer};

use crate::client::Client;
use crate::support::{config, fresh_ip, start};

fn refused(config: Config) -> StartError {
    TurnServer::start(config).expect_err("must not start")
}

/// An address that could be listened on, with a port of its own.
fn free_address() -> SocketAddr {
    UdpSocket::bind((fresh_ip(), 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn without_an_address_to_listen_on_or_to_relay_from() {
    let no_listener = Config {
        listen: Vec::new(),
        ..config()
    };
    assert!(matches!(refused(no_listener), StartError::NoListener));
    let no_relay = Config {
        relays: Vec::new(),
        ..config()
    };
    assert!(matches!(refused(no_relay), StartError::NoRelay));
}

#[test]
fn a_port_that_somebody_has_is_not_shared() {
    for shared in [false, true] {
        let kind = (socket2::Domain::IPV4, socket2::Type::DGRAM);
        let holder = socket2::Socket::new(kind.0, kind.1, None).unwrap();
        holder.set_reuse_port(shared).unwrap();
        holder.bind(&SocketAddr::new(fresh_ip(), 0).into()).unwrap();
        let taken = holder.local_addr().unwrap().as_socket().unwrap();
        for workers in [1, 3] {
            let free = free_address();
            let error = refused(Config {
                listen: vec![free, taken],
                workers,
                ..config()
            });
            let StartError::Listen { address, source } = &error else {
                panic!("{error}");
            };
            assert_eq!((*address, source.kind()), (taken, ErrorKind::AddrInUse));
            assert!(error.to_string().contains(&taken.to_string()), "{error}");
            UdpSocket::bind(free).expect("the first listener is closed again");
        }
    }
}

#[test]
fn two_servers_do_not_share_a_port() {
    for workers in [1, 2] {
        let first = start(Config {
            workers,
            ..config()
        });
        let error = refused(Config {
            listen: first.local_addrs().to_vec(),
            workers,
            ..config()
        });
        assert!(matches!(error, StartError::Listen { .. }), "{error}");
    }
}

#[test]
fn a_relay_address_that_cannot_be_used() {
    let good = fresh_ip();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let inverted = RelayAddress::new(good, 30_001..=30_000);
    // TEST-NET-3 (RFC 5737) is on no interface.
    let foreign = RelayAddress::new([203, 0, 113, 1].into(), 30_000..=30_999);
    let other_family = RelayAddress {
        advertised: "::1".parse().unwrap(),
        ..RelayAddress::new(good, 30_000..=30_999)
    };
    let anywhere = RelayAddress::new([0; 4].into(), 30_000..=30_999);
    let cases = [
        (inverted, "empty"),
        (foreign, "assign"),
        (other_family, "family"),
        (anywhere, "reached"),
    ];
    for (relay, why) in cases {
        for workers in [1, 2] {
            let listen = free_address();
            let error = refused(Config {
                listen: vec![listen],
                relays: vec![RelayAddress::new(good, 20_000..=20_999), relay.clone()],
                workers,
                ..config()
            });
            assert!(
                matches!(error, StartError::Relay { address, .. } if address == relay.bind),
                "{error}"
            );
            assert!(error.to_string().contains(why), "{error}");
            UdpSocket::bind(listen).expect("nothing listens");
        }
    }
}

#[test]
fn more_workers_than_pairs_of_ports_or_than_a_token_can_tell_apart() {
    let with = |workers, ports| Config {
        workers,
        relays: vec![RelayAddress::new(fresh_ip(), ports)],
        ..config()
    };
    for (workers, ports, most) in [(5, 20_000..=20_007, 4), (256, 20_000..=29_999, 255)] {
        match refused(with(workers, ports)) {
            StartError::Workers { given, limit } => assert_eq!((given, limit), (workers, most)),
            error => panic!("{error}"),
        }
    }
    let server = start(with(4, 20_000..=20_007));
    let handle = server.handle();
    crate::support::wait_for(&handle, Counter::FreePorts, 8);
}

#[test]
fn after_a_stop_everything_is_free_again() {
    for workers in [1, 3] {
        let server = start(Config {
            workers,
            ..config()
        });
        let mut client = Client::new(&server);
        let relayed = client.allocate();
        let listener = server.local_addrs()[0];
        assert!(UdpSocket::bind(listener).is_err());
        assert!(UdpSocket::bind(relayed).is_err());
        server.stop();
        UdpSocket::bind(listener).expect("the listener is closed");
        UdpSocket::bind(relayed).expect("the relay is closed");
    }
}

#[test]
fn a_port_is_chosen_for_zero_and_told_for_every_listener() {
    let ips = [fresh_ip(), fresh_ip(), "::1".parse().unwrap()];
    for workers in [1, 2] {
        let server = start(Config {
            listen: ips.map(|ip| SocketAddr::new(ip, 0)).to_vec(),
            workers,
            ..config()
        });
        let told = server.local_addrs();
        assert_eq!(told.iter().map(SocketAddr::ip).collect::<Vec<_>>(), ips);
        for address in told {
            let mut client = Client::at(*address, crate::client::Login::alice());
            client.allocate();
        }
    }
}
