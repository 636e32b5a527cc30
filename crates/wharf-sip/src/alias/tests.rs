use super::*;
use crate::flow::{Flow, FlowTable};
use crate::identity::CertificateNames;

/// Ids of connections, as many as are wanted.
fn flows(count: usize) -> Vec<FlowId> {
    let mut table = FlowTable::new(count);
    let address = "192.0.2.1:40000".parse().unwrap();
    let flow = Flow {
        transport: Transport::Tls,
        local: address,
        remote: address,
    };
    (0..count).map(|_| table.insert(flow).unwrap()).collect()
}

fn identities(domains: &[&str]) -> Identities {
    let names = CertificateNames {
        has_alternatives: true,
        uris: &[],
        dns: domains,
        common_name: None,
    };
    Identities::of(&names)
}

fn via(sent_by: &'static str) -> Via<'static> {
    Via::parse(sent_by.as_bytes()).unwrap()
}

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

const BY_NAME: &str = "SIP/2.0/TLS p1.example.com;branch=z9hG4bK1;alias";

fn offer(flow: FlowId, identities: &Identities) -> AliasOffer<'_> {
    AliasOffer {
        via: via(BY_NAME),
        transport: Transport::Tls,
        source: [192, 0, 2, 1].into(),
        local: None,
        identities,
        flow,
    }
}

fn find(table: &AliasTable, address: &str, of: &str) -> Option<FlowId> {
    let (address, of) = (address.parse().unwrap(), domain(of));
    let wanted = AliasWanted {
        transport: Transport::Tls,
        address,
        domain: &of,
        local: None,
    };
    table.find(&wanted)
}

#[test]
fn rfc5923_an_alias_is_found_by_address_and_proven_domain() {
    let mut table = AliasTable::new(8, Wildcards::Refuse);
    let (ids, peer) = (flows(1), identities(&["example.com", "example.net"]));
    table.offer(&offer(ids[0], &peer)).unwrap();
    table.offer(&offer(ids[0], &peer)).unwrap();
    assert_eq!(table.len(), 1);
    assert_eq!(find(&table, "192.0.2.1:5061", "example.com"), Some(ids[0]));
    assert_eq!(find(&table, "192.0.2.1:5061", "example.net"), Some(ids[0]));
    // Another domain at the same address, another port and another address are to be dialled.
    assert_eq!(find(&table, "192.0.2.1:5061", "example.org"), None);
    assert_eq!(find(&table, "192.0.2.1:5060", "example.com"), None);
    assert_eq!(find(&table, "192.0.2.2:5061", "example.com"), None);
    table.close(ids[0]);
    assert_eq!(find(&table, "192.0.2.1:5061", "example.com"), None);
    assert!(table.is_empty() && table.aliases.is_empty() && table.by_flow.is_empty());
}

#[test]
fn rfc5923_the_port_is_that_of_sent_by_and_never_the_source_port() {
    let cases = [
        (
            "SIP/2.0/TLS p1.example.com;branch=1;alias",
            "192.0.2.1:5061",
        ),
        (
            "SIP/2.0/TLS p1.example.com:5071;branch=1;alias",
            "192.0.2.1:5071",
        ),
        ("SIP/2.0/TLS 192.0.2.9;branch=1;alias", "192.0.2.9:5061"),
        (
            "SIP/2.0/TLS [2001:db8::9]:5071;branch=1;alias",
            "[2001:db8::9]:5071",
        ),
    ];
    for (sent_by, address) in cases {
        let mut table = AliasTable::new(8, Wildcards::Refuse);
        let (ids, peer) = (flows(1), identities(&["example.com"]));
        table
            .offer(&AliasOffer {
                via: via(sent_by),
                ..offer(ids[0], &peer)
            })
            .unwrap();
        assert_eq!(
            find(&table, address, "example.com"),
            Some(ids[0]),
            "{sent_by}"
        );
    }
}

#[test]
fn rfc5923_only_authenticated_tls_is_an_alias() {
    let mut table = AliasTable::new(8, Wildcards::Refuse);
    let (ids, peer) = (flows(1), identities(&["example.com"]));
    let good = offer(ids[0], &peer);
    let silent = via("SIP/2.0/TLS p1.example.com;branch=z9hG4bK1");
    let refused = |table: &mut AliasTable, offer| table.offer(&offer).unwrap_err();
    assert_eq!(
        refused(
            &mut table,
            AliasOffer {
                via: silent,
                ..good
            }
        ),
        AliasRefusal::NotOffered
    );
    for transport in [
        Transport::Tcp,
        Transport::Ws,
        Transport::Wss,
        Transport::Udp,
    ] {
        let offer = AliasOffer { transport, ..good };
        assert_eq!(
            refused(&mut table, offer),
            AliasRefusal::NotSecure,
            "{transport}"
        );
    }
    let nobody = Identities::default();
    let offer = AliasOffer {
        identities: &nobody,
        ..good
    };
    assert_eq!(refused(&mut table, offer), AliasRefusal::NotAuthenticated);
    assert!(table.is_empty());
}

#[test]
fn rfc5923_virtual_hosts_are_kept_apart() {
    let mut table = AliasTable::new(8, Wildcards::Refuse);
    let (ids, peer) = (flows(2), identities(&["example.com"]));
    let (one, other) = (domain("one.example"), domain("other.example"));
    table
        .offer(&AliasOffer {
            local: Some(&one),
            ..offer(ids[0], &peer)
        })
        .unwrap();
    table
        .offer(&AliasOffer {
            local: Some(&other),
            ..offer(ids[1], &peer)
        })
        .unwrap();
    let (address, of) = ("192.0.2.1:5061".parse().unwrap(), domain("example.com"));
    let found = |local| {
        let transport = Transport::Tls;
        table.find(&AliasWanted {
            transport,
            address,
            domain: &of,
            local,
        })
    };
    assert_eq!(found(Some(&one)), Some(ids[0]));
    assert_eq!(found(Some(&other)), Some(ids[1]));
    assert_eq!(found(None), None);
}

#[test]
fn the_newest_connection_is_used_and_the_one_before_when_it_closes() {
    let mut table = AliasTable::new(8, Wildcards::Refuse);
    let (ids, peer) = (flows(2), identities(&["example.com"]));
    let stranger = identities(&["stranger.example"]);
    table.offer(&offer(ids[0], &peer)).unwrap();
    table.offer(&offer(ids[1], &peer)).unwrap();
    assert_eq!(find(&table, "192.0.2.1:5061", "example.com"), Some(ids[1]));
    table.close(ids[1]);
    assert_eq!(find(&table, "192.0.2.1:5061", "example.com"), Some(ids[0]));
    // Somebody else at the same address takes nothing away.
    table.offer(&offer(ids[1], &stranger)).unwrap();
    assert_eq!(find(&table, "192.0.2.1:5061", "example.com"), Some(ids[0]));
    assert_eq!(
        find(&table, "192.0.2.1:5061", "stranger.example"),
        Some(ids[1])
    );
}

#[test]
fn one_connection_cannot_fill_the_table() {
    let mut table = AliasTable::new(100, Wildcards::Refuse);
    let (ids, peer) = (flows(1), identities(&["example.com"]));
    let offers: Vec<_> = (0..10)
        .map(|number| format!("SIP/2.0/TLS a.example:{};alias", 6000 + number))
        .map(|value| {
            let via = Via::parse(value.as_bytes()).unwrap();
            table.offer(&AliasOffer {
                via,
                ..offer(ids[0], &peer)
            })
        })
        .collect();
    assert!(offers[..PER_FLOW].iter().all(Result::is_ok));
    assert!(
        offers[PER_FLOW..]
            .iter()
            .all(|offer| *offer == Err(AliasRefusal::TooMany))
    );
    assert_eq!(table.len(), PER_FLOW);
}

#[test]
fn a_full_table_refuses_and_a_crowded_address_forgets_its_oldest() {
    let peer = identities(&["example.com"]);
    let ids = flows(PER_ADDRESS + 2);
    let mut table = AliasTable::new(2, Wildcards::Refuse);
    table.offer(&offer(ids[0], &peer)).unwrap();
    table.offer(&offer(ids[1], &peer)).unwrap();
    assert_eq!(table.offer(&offer(ids[2], &peer)), Err(AliasRefusal::Full));
    table.close(ids[0]);
    assert_eq!(table.offer(&offer(ids[2], &peer)), Ok(()));

    let mut table = AliasTable::new(PER_ADDRESS, Wildcards::Refuse);
    for &id in &ids {
        table.offer(&offer(id, &peer)).unwrap();
    }
    assert_eq!(table.len(), PER_ADDRESS);
    assert_eq!(table.by_flow.len(), PER_ADDRESS);
    for &id in &ids[2..] {
        assert!(find(&table, "192.0.2.1:5061", "example.com").is_some());
        table.close(id);
    }
    assert!(table.is_empty());
}
