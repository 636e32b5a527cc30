use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

/// A message as frames cut at will, each masked, with a ping before each.
fn fragmented(kind: Kind, payload: &[u8], cuts: &[usize], key: [u8; 4]) -> BytesMut {
    let mut wire = BytesMut::new();
    let mut rest = payload;
    for (number, cut) in (0_usize..).zip(cuts.iter().chain([&payload.len()])) {
        Header::append(Opcode::Ping, 1, Some(key), &mut wire);
        mask::append(key, b"!", &mut wire);
        let (part, after) = rest.split_at((*cut).min(rest.len()));
        rest = after;
        let opcode = match (number, kind) {
            (0, Kind::Text) => Opcode::Text,
            (0, Kind::Binary) => Opcode::Binary,
            _ => Opcode::Continuation,
        };
        let start = wire.len();
        Header::append(opcode, part.len(), Some(key), &mut wire);
        if number < cuts.len() {
            wire[start] &= 0x7f;
        }
        mask::append(key, part, &mut wire);
    }
    wire
}

/// The events of a stream that comes in pieces of `size`, by the way that the connection takes.
fn events(wire: &[u8], size: usize) -> Result<Vec<Event>, Violation> {
    let mut inbound = Inbound::new(true, MIB, MIB);
    let mut events = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        if let Some((message, room)) = inbound.direct() {
            let start = message.len();
            let (part, after) = rest.split_at(size.min(room).min(rest.len()));
            message.extend_from_slice(part);
            rest = after;
            inbound.filled(start)?;
        } else {
            let (part, after) = rest.split_at(size.min(rest.len()));
            inbound.feed(part);
            rest = after;
        }
        while let Some(event) = inbound.next()? {
            events.push(event);
        }
    }
    Ok(events)
}

proptest! {
    #[test]
    fn a_message_is_the_same_however_it_is_fragmented_and_cut(
        text in ".{0,400}",
        cuts in proptest::collection::vec(0_usize..300, 0..5),
        size in 1_usize..700,
        key: [u8; 4],
    ) {
        for kind in [Kind::Text, Kind::Binary] {
            let wire = fragmented(kind, text.as_bytes(), &cuts, key);
            let events = events(&wire, size).expect("nothing wrong");
            let whole = Message::checked(kind, Bytes::from(text.clone()));
            let pings = events.iter().filter(|event| **event == Event::Ping(Bytes::from("!"))).count();
            prop_assert_eq!(pings, cuts.len() + 1);
            prop_assert_eq!(events.last(), Some(&Event::Message(whole)));
            prop_assert_eq!(events.len(), pings + 1);
        }
    }

    #[test]
    fn long_messages_are_the_same_too(
        length in 0_usize..150_000, cuts in proptest::collection::vec(0_usize..60_000, 0..3),
        size in 1000_usize..70_000, key: [u8; 4],
    ) {
        let payload: Vec<u8> = (0..length).map(|i| (i / 3) as u8).collect();
        let events = events(&fragmented(Kind::Binary, &payload, &cuts, key), size).expect("nothing wrong");
        let whole = Message::checked(Kind::Binary, Bytes::from(payload));
        prop_assert!(events.last() == Some(&Event::Message(whole)));
    }
}

#[test]
fn a_header_alone_costs_no_memory() {
    let mut inbound = Inbound::new(true, 1 << 30, 1 << 30);
    let mut header = BytesMut::new();
    Header::append(Opcode::Binary, 1 << 30, Some([1; 4]), &mut header);
    inbound.feed(&header);
    assert_eq!(inbound.next(), Ok(None));
    let (message, room) = inbound.direct().expect("much is missing");
    assert_eq!(room as u64, DIRECT);
    assert!(message.capacity() < 2 * DIRECT as usize);
}

#[test]
fn a_short_message_does_not_keep_the_buffer_of_others() {
    let mut wire = BytesMut::new();
    for _ in 0..100 {
        Header::append(Opcode::Binary, 5, Some([0; 4]), &mut wire);
        wire.extend_from_slice(b"short");
    }
    let mut inbound = Inbound::new(true, MIB, MIB);
    inbound.feed(&wire);
    let Ok(Some(Event::Message(message))) = inbound.next() else {
        panic!("a whole message");
    };
    let alone = message.into_payload().try_into_mut().expect("owned alone");
    assert!(alone.capacity() < 100);
}

#[test]
fn between_messages_nothing_is_held() {
    let mut inbound = Inbound::new(true, MIB, MIB);
    let payload = vec![1; 40_000];
    let wire = fragmented(Kind::Binary, &payload, &[100, 20_000], [9; 4]);
    inbound.feed(&wire);
    while inbound.next().expect("nothing wrong").is_some() {}
    assert_eq!(
        (inbound.input.capacity(), inbound.message.capacity()),
        (0, 0)
    );
}
