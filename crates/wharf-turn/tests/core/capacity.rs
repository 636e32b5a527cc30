//! Allocate when there is not enough: families, quotas, ports (RFC 8656 §7.2).

use std::collections::HashSet;
use std::net::SocketAddr;

use wharf_stun::AttributeType;
use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, DraftAdditionalAddressFamily,
};
use wharf_turn::{BindError, Event, RelayAddress};

use crate::allocate::only;
use crate::support::{Answer, Client, Did, Host, addr, config, secs};

fn dual(host: &mut Host, client: &mut Client) -> Answer {
    client.allocate_with(host, |w| {
        w.push(&AdditionalAddressFamily(AddressFamily::V6))
            .map(drop)
    })
}

#[test]
fn t19_the_number_of_a_draft_asks_for_the_same() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = client.allocate_with(&mut host, |w| {
        w.push(&DraftAdditionalAddressFamily(AddressFamily::V6))
            .map(drop)
    });
    let relayed = answer.relayed();
    assert!(relayed.len() == 2 && relayed[0].is_ipv4() && relayed[1].is_ipv6());
    host.forget();
}

#[test]
fn t19_two_families_or_one_and_the_reason() {
    let mut host = Host::default();
    let mut client = Client::new(&mut host, "alice", 1);
    let answer = dual(&mut host, &mut client);
    let relayed = answer.relayed();
    assert!(relayed.len() == 2 && relayed[0].is_ipv4() && relayed[1].is_ipv6());
    assert!(!answer.has(AttributeType::ADDRESS_ERROR_CODE));
    assert_eq!((host.quotas.live(), host.server.relays()), (1, 2));
    let event = Event::Allocated {
        path: client.path,
        user: "alice".into(),
        relayed: [Some(relayed[0]), Some(relayed[1])],
    };
    assert_eq!(host.events(), [event]);
    host.take_did();

    let missing = |v6_only: Option<bool>, binds: &[BindError], family, code| {
        let mut host = if v6_only.is_none() {
            Host::default()
        } else {
            Host::new(only(v6_only == Some(true)))
        };
        host.binds = binds.iter().copied().map(Some).collect();
        let mut client = Client::new(&mut host, "alice", 1);
        let answer = dual(&mut host, &mut client);
        let expected = AddressErrorCode {
            family,
            code,
            reason: "",
        };
        assert_eq!((answer.error, answer.get()), (None, Some(expected)));
        assert_eq!(answer.relayed().len(), 1);
        assert_eq!(client.refresh(&mut host, 0).error, None);
        host.forget();
        host.assert_initial();
    };
    missing(Some(false), &[], AddressFamily::V6, 440);
    missing(Some(true), &[], AddressFamily::V4, 440);
    missing(None, &[BindError::Failed], AddressFamily::V4, 508);

    // None: 508, also where one family is not there at all.
    for config in [config(), only(false), only(true)] {
        let mut host = Host::new(config);
        host.binds = [Some(BindError::Failed); 2].into();
        let mut client = Client::new(&mut host, "alice", 1);
        assert_eq!(dual(&mut host, &mut client).error, Some(508));
        host.forget();
        host.assert_initial();
    }
}

#[test]
fn t20_quotas_count_users_and_not_addresses() {
    let mut host = Host::with_limits(config(), 2, 3);
    let mut clients: Vec<_> = [
        ("alice", 1),
        ("alice", 2),
        ("alice", 3),
        ("bob", 4),
        ("carol", 5),
    ]
    .into_iter()
    .map(|(name, port)| Client::new(&mut host, name, port))
    .collect();
    let codes: Vec<_> = clients
        .iter_mut()
        .map(|client| client.allocate_with(&mut host, |_| Ok(())).error)
        .collect();
    assert_eq!(codes, [None, None, Some(486), None, Some(508)]);
    assert_eq!(clients[0].refresh(&mut host, 0).error, None);
    assert_eq!(clients[2].allocate_with(&mut host, |_| Ok(())).error, None);
    host.forget();
}

#[test]
fn t21_without_ports_there_is_no_capacity() {
    let mut config = only(false);
    config.relays = vec![RelayAddress::new(addr("192.0.2.1:0").ip(), 50_000..=50_001)];
    let mut host = Host::new(config);
    let mut clients: Vec<_> = (1..=3)
        .map(|port| Client::new(&mut host, "alice", port))
        .collect();
    let relays = [
        clients[0].allocate(&mut host),
        clients[1].allocate(&mut host),
    ];
    assert_eq!(
        clients[2].allocate_with(&mut host, |_| Ok(())).error,
        Some(508)
    );
    assert_eq!(
        host.events(),
        [Event::NoRelay {
            path: clients[2].path
        }]
    );
    assert_eq!(clients[0].refresh(&mut host, 0).error, None);
    assert_eq!(host.take_did(), [Did::Close(relays[0])]);
    host.forget();
    assert_eq!(clients[2].allocate(&mut host), relays[0]);
}

#[test]
fn t21_a_port_of_somebody_else_is_passed_over() {
    let mut host = Host::new(only(false));
    let mut client = Client::new(&mut host, "alice", 1);
    let all = host.server.free_ports();
    host.binds = [Some(BindError::AddressInUse); 7].into();
    let answer = client.allocate_with(&mut host, |_| Ok(()));
    assert_eq!((answer.error, answer.relayed().len()), (None, 1));
    assert_eq!(bound(host.take_did()).len(), 8, "each time another one");
    assert_eq!(host.server.free_ports(), all - 8);
    host.forget();

    let mut other = Client::new(&mut host, "alice", 2);
    host.binds = [Some(BindError::AddressInUse); 8].into();
    assert_eq!(other.allocate_with(&mut host, |_| Ok(())).error, Some(508));
    assert_eq!(host.events(), [Event::NoRelay { path: other.path }]);
    assert_eq!(client.refresh(&mut host, 0).error, None);
    host.wait(secs(60));
    host.forget();
    host.assert_initial();
}

fn bound(did: Vec<Did>) -> HashSet<SocketAddr> {
    let local = |did| match did {
        Did::Bind(local) => Some(local),
        _ => None,
    };
    did.into_iter().filter_map(local).collect()
}
