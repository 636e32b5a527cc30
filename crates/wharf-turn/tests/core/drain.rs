//! Draining (X5) and where clients are sent meanwhile (L12).

use wharf_stun::attribute::AlternateServer;
use wharf_stun::{AttributeType, Method};
use wharf_turn::Config;

use crate::support::{Client, Host, PEER, addr, config};

#[test]
fn x5_a_server_that_drains_keeps_what_is_live() {
    let mut host = Host::default();
    let mut live = Client::new(&mut host, "alice", 1);
    let mut late = Client::new(&mut host, "alice", 2);
    live.allocate(&mut host);
    host.server.drain();
    assert_eq!(late.allocate_with(&mut host, |_| Ok(())).error, Some(508));
    assert_eq!(live.refresh(&mut host, 600).error, None);
    assert_eq!(live.permit(&mut host, &[PEER]), None);
    live.send_to(&mut host, PEER, b"x").into_peer();
    assert_eq!(host.quotas.live(), 1);
}

#[test]
pub(crate) fn l12_clients_are_sent_to_a_server_of_their_family() {
    let servers = ["198.51.100.1:3478", "[2a00::1]:3478", "198.51.100.2:3478"].map(addr);
    for (client_at, listed, expected) in [
        ("203.0.113.1:1", &servers[..], Some(servers[0])),
        ("[2a00::7]:1", &servers[..], Some(servers[1])),
        ("[2a00::7]:1", &servers[..1], None),
    ] {
        let mut host = Host::new(Config {
            alternate_servers: listed.to_vec(),
            ..config()
        });
        let mut client = Client::new(&mut host, "alice", 1);
        client.path.client = addr(client_at);
        client.challenge(&mut host);
        host.server.drain();
        // Only who has proved to be a user learns of it: `Client::send` checks the integrity.
        client.challenge(&mut host);
        let answer = client.allocate_with(&mut host, |_| Ok(()));
        assert_eq!(
            answer.error,
            Some(if expected.is_some() { 300 } else { 508 })
        );
        assert_eq!(answer.get(), expected.map(AlternateServer));
        assert_eq!(
            client.ask(&mut host, Method::ALLOCATE, |_| Ok(())).error,
            Some(400)
        );
        client.password = "wrong".into();
        let answer = client.allocate_with(&mut host, |_| Ok(()));
        assert_eq!(answer.error, Some(401));
        assert!(!answer.has(AttributeType::ALTERNATE_SERVER));
        host.forget();
    }
}
