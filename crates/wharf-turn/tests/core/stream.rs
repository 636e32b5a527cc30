//! Clients over TCP and TLS.

use wharf_policy::PrefixLimits;
use wharf_stun::Method;
use wharf_stun::attribute::{Data, EvenPort, RequestedTransport, ReservationToken, XorPeerAddress};
use wharf_stun::{ChannelData, Class, Message};
use wharf_turn::{Config, DropReason, Event, FreedBy, Transport};

use crate::even_port::{pair, workers};
use crate::support::{Client, Did, Host, PEER, PEER_2, Reaction, addr, config, secs};

const STREAMS: [Transport; 2] = [Transport::Tcp, Transport::Tls];
const GONE: Reaction = Reaction::Dropped(DropReason::ClientGone);

/// A client as [`Client::new`] makes it, over a transport.
fn over(host: &mut Host, transport: Transport, name: &str, port: u16) -> Client {
    let mut client = Client::new(host, name, port);
    client.path.transport = transport;
    client
}

/// ChannelData as it goes over a stream.
fn padded(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = ChannelData::header(number, data.len() as u16).to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn freed(client: &Client) -> Event {
    Event::Freed {
        path: client.path,
        user: client.name.as_str().into(),
        by: FreedBy::Disconnect,
    }
}

#[test]
fn t67_channel_data_is_padded_over_a_stream() {
    for transport in STREAMS {
        let mut host = Host::default();
        let mut client = over(&mut host, transport, "alice", 1);
        let relay = client.allocate(&mut host);
        assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
        for len in 0..=9 {
            let data: Vec<u8> = (1..=len).collect();
            let frame = padded(0x4000, &data);
            let there = host.client(&client.path, &frame).into_peer();
            assert_eq!(there, (addr(PEER), data.clone()), "padding is not relayed");
            let back = host.peer(relay, addr(PEER), &data).into_client();
            assert_eq!(back, frame);
        }
    }
}

#[test]
fn t67_a_stream_and_udp_across() {
    let mut host = Host::default();
    let mut stream = over(&mut host, Transport::Tcp, "alice", 1);
    let mut datagrams = Client::new(&mut host, "bob", 2);
    let of_stream = stream.allocate(&mut host);
    let of_datagrams = datagrams.allocate(&mut host);
    let [to_datagrams, to_stream] = [of_datagrams, of_stream].map(|relay| relay.to_string());
    assert_eq!(stream.bind(&mut host, 0x4001, &to_datagrams), None);
    assert_eq!(datagrams.bind(&mut host, 0x4002, &to_stream), None);
    let across = host.client(&stream.path, &padded(0x4001, b"abcde"));
    assert_eq!(across.channel_data(), (0x4002, b"abcde".to_vec()));
    let across = datagrams.channel_data(&mut host, 0x4002, b"fg");
    assert_eq!(across.into_client(), padded(0x4001, b"fg"));
}

#[test]
fn t53_the_largest_datagrams_fit_into_a_stream() {
    let mut host = Host::default();
    let mut stream = over(&mut host, Transport::Tls, "alice", 1);
    let mut datagrams = Client::new(&mut host, "alice", 2);
    let largest = vec![7; 65_507];
    for (client, fits) in [(&mut stream, true), (&mut datagrams, false)] {
        let relay = client.allocate(&mut host);
        assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
        assert_eq!(client.permit(&mut host, &[PEER_2]), None);
        let on_channel = host.peer(relay, addr(PEER), &largest);
        let indicated = host.peer(relay, addr(PEER_2), &largest);
        if fits {
            assert_eq!(on_channel.into_client(), padded(0x4000, &largest));
            let bytes = indicated.into_client();
            let message = Message::parse(&bytes).expect("a message");
            assert_eq!(message.class(), Class::Indication);
            assert_eq!(message.get(), Some(Ok(XorPeerAddress(addr(PEER_2)))));
            assert_eq!(message.get(), Some(Ok(Data(&largest))));
        } else {
            let too_large = Reaction::Dropped(DropReason::TooLarge);
            assert_eq!([on_channel, indicated], [too_large.clone(), too_large]);
        }
    }
}

#[test]
fn t3_each_transport_is_a_path_of_its_own() {
    let mut host = Host::default();
    let mut clients: Vec<_> = [Transport::Udp, Transport::Tcp, Transport::Tls]
        .map(|transport| over(&mut host, transport, "alice", 1))
        .into();
    let relays: Vec<_> = clients.iter_mut().map(|c| c.allocate(&mut host)).collect();
    for (client, peer) in clients
        .iter_mut()
        .zip(["11.0.0.1:1", "11.0.0.2:2", "11.0.0.3:3"])
    {
        assert_eq!(client.bind(&mut host, 0x4000, peer), None);
    }
    for (client, peer) in clients
        .iter()
        .zip(["11.0.0.1:1", "11.0.0.2:2", "11.0.0.3:3"])
    {
        let there = host.client(&client.path, &padded(0x4000, b"x")).into_peer();
        assert_eq!(there.0, addr(peer));
    }
    // T5: the end of one is not the end of another.
    host.server.handle_client_closed(&clients[1].path);
    host.drain(Reaction::Waiting);
    assert_eq!(host.take_did(), [Did::Close(relays[1])]);
    assert_eq!(host.events(), [freed(&clients[1])]);
    assert_eq!(clients[0].refresh(&mut host, 600).error, None);
    assert_eq!(clients[1].refresh(&mut host, 600).error, Some(437));
    assert_eq!(clients[2].refresh(&mut host, 600).error, None);
}

#[test]
fn t5_the_end_of_a_connection_gives_everything_back() {
    let mut host = Host::default();
    let mut client = over(&mut host, Transport::Tcp, "alice", 1);
    // One without an allocation leaves nothing.
    host.server.handle_client_closed(&client.path);
    let relay = client.allocate(&mut host);
    assert_eq!(client.bind(&mut host, 0x4000, PEER), None);
    assert_eq!(client.permit(&mut host, &[PEER_2]), None);
    host.server.handle_client_closed(&client.path);
    host.drain(Reaction::Waiting);
    assert_eq!(host.take_did(), [Did::Close(relay)]);
    assert_eq!(host.events(), [freed(&client)]);
    host.assert_initial();
    // The next connection from there begins anew.
    assert_eq!(client.refresh(&mut host, 600).error, Some(437));
    client.allocate(&mut host);
}

#[test]
fn t5_a_look_up_outlives_its_connection_and_nothing_comes_of_it() {
    let mut host = Host::default();
    let mut client = over(&mut host, Transport::Tls, "alice", 1);
    let mut other = over(&mut host, Transport::Tls, "bob", 2);
    host.answers_look_ups = false;
    let request = |client: &mut Client| {
        client.request(Method::ALLOCATE, |w| {
            w.push(&RequestedTransport::UDP).map(drop)
        })
    };
    for client in [&mut client, &mut other] {
        let bytes = request(client);
        assert_eq!(host.client(&client.path, &bytes), Reaction::Waiting);
    }
    host.server.handle_client_closed(&client.path);
    assert_eq!(host.server.pending(), 2, "each command is answered");
    assert_eq!(host.release_look_up(), Some(GONE));
    let answer = host.release_look_up().expect("the other's").reply();
    assert_eq!(answer.error, None);
    assert_eq!(host.server.allocations(), 1);
    host.server.handle_client_closed(&other.path);
    host.drain(Reaction::Waiting);
    host.forget();
    host.assert_initial();
}

#[test]
fn t5_a_connection_may_end_while_sockets_are_bound() {
    for even in [false, true] {
        let mut host = Host::default();
        let mut client = over(&mut host, Transport::Tcp, "alice", 1);
        // From now on the credential is known.
        assert_eq!(client.refresh(&mut host, 600).error, Some(437));
        host.forget();
        let request = client.request(Method::ALLOCATE, |w| {
            w.push(&RequestedTransport::UDP)?;
            if even {
                w.push(&EvenPort { reserve_next: true })?;
            }
            Ok(())
        });
        let output = host.server.handle_client(host.now, &client.path, &request);
        assert_eq!(output, wharf_turn::Output::Waiting);
        host.server.handle_client_closed(&client.path);
        assert_eq!(host.drain(Reaction::Waiting), GONE);
        let did = host.take_did();
        assert!(
            matches!(did[..], [Did::Bind(a), Did::Close(b)] if a == b),
            "{did:?}"
        );
        host.assert_initial();
    }
}

#[test]
fn t5_a_claim_outlives_its_connection_and_the_port_goes_home() {
    let [mut holder, mut claimer] = workers(0);
    let mut client = over(&mut holder, Transport::Tcp, "alice", 1);
    let (relay, token) = pair(&mut holder, &mut client);
    let odd = std::net::SocketAddr::new(relay.ip(), relay.port() + 1);
    for (token, comes) in [(token, true), (ReservationToken([0; 8]), false)] {
        let mut other = over(&mut claimer, Transport::Tcp, "bob", 2);
        let request = other.request(Method::ALLOCATE, |w| {
            w.push(&RequestedTransport::UDP)?.push(&token).map(drop)
        });
        assert_eq!(claimer.client(&other.path, &request), Reaction::Waiting);
        claimer.forget();
        claimer.server.handle_client_closed(&other.path);
        assert_eq!(claimer.claim_from(&mut holder), GONE);
        let home = [
            Did::Close(odd),
            Did::Return {
                worker: 0,
                local: odd,
            },
        ];
        assert_eq!(claimer.take_did(), &home[..if comes { 2 } else { 0 }]);
        let left = (claimer.server.allocations(), claimer.server.relays());
        assert_eq!((left, claimer.quotas.user("bob")), ((0, 0), 0));
    }
    holder.forget();
}

#[test]
fn s14_a_request_that_cannot_be_looked_up_is_answered() {
    let mut host = Host::new(Config {
        max_look_ups: 0,
        ..config()
    });
    for transport in STREAMS {
        let mut client = over(&mut host, transport, "alice", 1);
        let request = client.request(Method::ALLOCATE, |w| {
            w.push(&RequestedTransport::UDP).map(drop)
        });
        assert_eq!(client.send(&mut host, &request).error, Some(500));
    }
}

#[test]
fn x1_forged_datagrams_leave_the_share_of_streams_alone() {
    let mut host = Host::new(Config {
        unauthenticated: PrefixLimits {
            per_second: 1,
            burst: 2,
            ..PrefixLimits::default()
        },
        ..config()
    });
    let mut forged = Client::new(&mut host, "alice", 1);
    let request = forged.message(Method::BINDING, Class::Request, |_| Ok(()));
    let limited = Reaction::Dropped(DropReason::RateLimited);
    host.client(&forged.path, &request).reply();
    assert_eq!(host.client(&forged.path, &request), limited);
    let mut path = forged.path;
    for transport in STREAMS {
        path.transport = transport;
        host.client(&path, &request).reply();
    }
    assert_eq!(host.client(&path, &request), limited);
    host.wait(secs(1));
    host.client(&path, &request).reply();
}
