use proptest::prelude::*;

use super::*;

fn flow(transport: Transport, remote: &str) -> Flow {
    let local = "192.0.2.1:5060".parse().unwrap();
    Flow {
        transport,
        local,
        remote: remote.parse().unwrap(),
    }
}

#[test]
fn k6_a_flow_is_found_while_its_connection_is_open() {
    let mut table = FlowTable::new(8);
    let first = flow(Transport::Tcp, "198.51.100.7:40000");
    let id = table.insert(first).unwrap();
    assert_eq!(table.get(id), Ok(&first));
    assert_eq!(table.remove(id), Some(first));
    assert_eq!(table.get(id), Err(FlowError::Gone));
    assert_eq!(table.remove(id), None);
    assert!(table.is_empty());
    // The same two addresses again are another flow.
    let again = table.insert(first).unwrap();
    assert_ne!(again, id);
    assert_eq!(table.get(id), Err(FlowError::Gone));
    assert_eq!(table.remove(id), None);
    assert_eq!(table.len(), 1);
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    let mut table = FlowTable::new(2);
    let ids = [40_000, 40_001].map(|port| {
        table
            .insert(flow(Transport::Ws, &format!("198.51.100.7:{port}")))
            .unwrap()
    });
    let third = flow(Transport::Ws, "198.51.100.7:40002");
    assert_eq!(table.insert(third), Err(FlowTableFull));
    assert!(ids.iter().all(|&id| table.get(id).is_ok()));
    table.remove(ids[0]);
    assert!(table.insert(third).is_ok());
    assert_eq!(FlowTable::new(0).insert(third), Err(FlowTableFull));
}

#[test]
fn c5_the_flows_to_a_destination_are_found() {
    let mut table = FlowTable::new(8);
    let one = flow(Transport::Tcp, "198.51.100.7:5060");
    // Several connections to one peer are allowed.
    let ids = [table.insert(one).unwrap(), table.insert(one).unwrap()];
    table
        .insert(flow(Transport::Tls, "198.51.100.7:5060"))
        .unwrap();
    table
        .insert(flow(Transport::Tcp, "198.51.100.7:5061"))
        .unwrap();
    table
        .insert(flow(Transport::Tcp, "198.51.100.8:5060"))
        .unwrap();
    // The same address within one of IPv6 is another socket.
    table
        .insert(flow(Transport::Tcp, "[::ffff:198.51.100.7]:5060"))
        .unwrap();
    let to = |table: &FlowTable| table.to(Transport::Tcp, one.remote).collect::<Vec<_>>();
    assert_eq!(to(&table), ids);
    table.remove(ids[0]);
    assert_eq!(to(&table), ids[1..]);
    table.remove(ids[1]);
    assert!(to(&table).is_empty());
}

#[test]
fn an_id_never_comes_back() {
    let mut table = FlowTable::new(1);
    let one = flow(Transport::Tcp, "198.51.100.7:5060");
    let id = table.insert(one).unwrap();
    table.slots[0].generation = u32::MAX;
    let last = FlowId {
        generation: u32::MAX,
        ..id
    };
    table.remove(last);
    // Its generations are used up, and with them the slot.
    assert_eq!(table.insert(one), Err(FlowTableFull));
}

#[test]
fn k6_a_token_names_its_flow_and_no_other() {
    let mut table = FlowTable::new(8);
    let tokens = FlowTokens::new(&[1; 32]);
    let one = flow(Transport::Wss, "[2001:db8::7]:40000");
    let id = table.insert(one).unwrap();
    let token = tokens.seal(id, &one);
    assert!(token.len() <= 84, "{}", token.len());
    let sealed = tokens.open(&token).unwrap();
    assert_eq!(sealed, SealedFlow { id, flow: one });
    assert_eq!(table.find(&sealed), Ok(id));
    // After a restart the id may name a connection of somebody else.
    let mut restarted = FlowTable::new(8);
    let other = restarted
        .insert(flow(Transport::Wss, "[2001:db8::8]:40000"))
        .unwrap();
    assert_eq!(other, id);
    assert_eq!(restarted.find(&sealed), Err(FlowError::Gone));
}

#[test]
fn k6_tokens_outlive_one_change_of_keys() {
    let one = flow(Transport::Udp, "198.51.100.7:5060");
    let mut tokens = FlowTokens::new(&[1; 32]);
    let token = tokens.seal(FlowId::default(), &one);
    tokens.rotate(&[2; 32]);
    assert_eq!(tokens.open(&token).unwrap().flow, one);
    let newer = tokens.seal(FlowId::default(), &one);
    assert_ne!(newer, token);
    tokens.rotate(&[3; 32]);
    assert_eq!(tokens.open(&token), Err(FlowError::Forged));
    assert_eq!(tokens.open(&newer).unwrap().flow, one);
    assert_eq!(
        FlowTokens::new(&[4; 32]).open(&newer),
        Err(FlowError::Forged)
    );
}

/// Every host with the key reads the tokens of the others: made with another HMAC.
#[test]
fn k6_a_token_is_the_same_on_every_host() {
    let flow = Flow {
        transport: Transport::Tls,
        local: "192.0.2.1:5061".parse().unwrap(),
        remote: "[2001:db8::7]:40000".parse().unwrap(),
    };
    let id = FlowId {
        slot: 3,
        generation: 2,
    };
    let token = "AAAAAwAAAAICBMAAAgETxQYgAQ24AAAAAAAAAAAAAAAHnEB0pX6JC5YuVgeo-pbGOJfs";
    assert_eq!(FlowTokens::new(&[1; 32]).seal(id, &flow), token);
}

#[test]
fn k6_a_token_for_one_usage_is_forged_for_another() {
    let one = flow(Transport::Udp, "198.51.100.7:40000");
    let usages: [&[u8]; 3] = [b"", b"client", b"upstream"];
    let tokens = usages.map(|usage| FlowTokens::for_usage(&[1; 32], usage));
    for (made, maker) in tokens.iter().enumerate() {
        let token = maker.seal(FlowId::default(), &one);
        for (read, reader) in tokens.iter().enumerate() {
            assert_eq!(reader.open(&token).is_ok(), made == read, "{made} {read}");
        }
    }
    let mut rotated = FlowTokens::for_usage(&[2; 32], b"client");
    rotated.rotate(&[1; 32]);
    let token = rotated.seal(FlowId::default(), &one);
    assert_eq!(token, tokens[1].seal(FlowId::default(), &one));
}

#[test]
fn the_keys_are_not_shown() {
    assert_eq!(
        format!("{:?}", FlowTokens::new(&[1; 32])),
        "FlowTokens { .. }"
    );
}

#[test]
fn each_error_has_its_status() {
    assert_eq!(
        (FlowError::Gone.status(), FlowError::Forged.status()),
        (430, 403)
    );
}

proptest! {
    #[test]
    fn k6_a_token_says_what_was_sealed(
        transport in proptest::sample::select(&Transport::ALL[..]),
        local: (std::net::IpAddr, u16),
        remote: (std::net::IpAddr, u16),
        slot: u32,
        generation: u32,
    ) {
        let flow = Flow { transport, local: local.into(), remote: remote.into() };
        let id = FlowId { slot, generation };
        let tokens = FlowTokens::new(&[1; 32]);
        let token = tokens.seal(id, &flow);
        // RFC 3261 §25.1: what may stand in a user part without an escape.
        prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(tokens.open(&token), Ok(SealedFlow { id, flow }));
    }

    #[test]
    fn k6_a_changed_token_is_refused(at: proptest::sample::Index, to in "[A-Za-z0-9_-]") {
        let tokens = FlowTokens::new(&[1; 32]);
        let token = tokens.seal(FlowId::default(), &flow(Transport::Tcp, "198.51.100.7:40000"));
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        prop_assert_eq!(tokens.open(&changed), Err(FlowError::Forged));
    }

    #[test]
    fn anything_may_come_as_a_token(text in ".{0,200}") {
        prop_assert_eq!(FlowTokens::new(&[1; 32]).open(&text), Err(FlowError::Forged));
    }
}
