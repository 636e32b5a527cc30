//! SCTP over UDP with usrsctp (`interop/usrsctp/peer.c`), which checks stream, identifier and bytes of each echo
//! itself.

use tokio::time::timeout;
use wharf::config::SctpVia;
use wharf::message::{Lane, Message};
use wharf::{Client, Closed, Filter, Listen, Messages, Sctp};
use wharf_interop::{PortBlock, Process, usrsctp};

use crate::namespace::{LOSES_UDP, is_within, lost};
use crate::served::{SOON, Served, echo};

/// A message of this length needs 170 packets.
const LARGEST: usize = 200_000;

fn over_udp() -> Listen {
    Sctp::bind("127.0.0.1:0").with(|config| config.sctp.via = SctpVia::Udp)
}

fn served() -> Served {
    Served::start(|builder, _| builder.listen_messages("it", over_udp(), echo))
}

/// Calls the listener from UDP and SCTP port `port`.
fn call(served: &Served, port: u16, messages: u64, end: &str) -> Process {
    let to = served.address().port().to_string();
    let mut command = usrsctp();
    command.args(["call", &port.to_string(), &port.to_string(), &to, &to]);
    command.args([&messages.to_string(), &LARGEST.to_string(), end]);
    Process::spawn(&command)
}

#[track_caller]
fn finishes(peer: Process) {
    let peer = peer.finish(3 * SOON);
    assert!(peer.status.success(), "{}", peer.output);
}

#[test]
fn usrsctp_gets_every_message_back_and_ends_in_order() {
    let served = served();
    let mut ports = PortBlock::claim();
    let peers = [(); 3].map(|()| call(&served, ports.pair(), 200, "shutdown"));
    peers.into_iter().for_each(finishes);
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (3, 3));
    assert_eq!((stats.messages_received, stats.messages_sent), (600, 600));
}

#[test]
fn usrsctp_resets_its_streams_and_goes_on() {
    let served = served();
    let mut ports = PortBlock::claim();
    finishes(call(&served, ports.pair(), 100, "reset"));
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (1, 1));
    assert_eq!(stats.messages_received, 200);
}

#[test]
fn usrsctp_aborts_and_that_is_a_reset() {
    let served = served();
    let mut ports = PortBlock::claim();
    finishes(call(&served, ports.pair(), 10, "abort"));
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Reset)), (1, 1));
}

#[test]
fn usrsctp_hears_how_the_server_ends_it() {
    let echoed = |line: &str| line == "echoed 10\n";
    let mut ports = PortBlock::claim();
    let served = served();
    let peer = call(&served, ports.pair(), 10, "stay");
    peer.wait_for_line(SOON, echoed);
    assert_eq!(served.handle.close(&Filter::default()), 1);
    peer.wait_for_line(SOON, |line| line.starts_with("aborted"));
    finishes(peer);
    let peer = call(&served, ports.pair(), 10, "stay");
    peer.wait_for_line(SOON, echoed);
    let stats = served.finish();
    peer.wait_for_line(SOON, |line| line.starts_with("ended"));
    finishes(peer);
    assert_eq!((stats.accepted, stats.closed(Closed::Control)), (2, 1));
}

/// RFC 9260 §5.2: a peer that lost its association without a word and begins one from the same ports.
#[test]
fn usrsctp_starts_again_and_keeps_its_connection() {
    let served = served();
    let mut ports = PortBlock::claim();
    let port = ports.pair();
    let first = call(&served, port, 10, "stay");
    first.wait_for_line(SOON, |line| line == "echoed 10\n");
    drop(first);
    finishes(call(&served, port, 20, "shutdown"));
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (1, 1));
    assert_eq!(stats.messages_received, 30);
}

#[test]
fn a_transfer_with_usrsctp_completes_although_datagrams_are_lost() {
    let this = "sctp::a_transfer_with_usrsctp_completes_although_datagrams_are_lost";
    if !is_within(this, LOSES_UDP) {
        return;
    }
    let served = served();
    let mut ports = PortBlock::claim();
    let peers = [(); 2].map(|()| call(&served, ports.pair(), 100, "stay"));
    for peer in &peers {
        peer.wait_for_line(6 * SOON, |line| line == "echoed 100\n");
    }
    // The server's shutdown is the last thing: its answer to the peer's may be lost when the peer is gone already.
    let stats = served.finish();
    assert!(lost() > 0);
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (2, 2));
    assert_eq!((stats.messages_received, stats.messages_sent), (200, 200));
}

pub(crate) fn client(via: SctpVia) -> Client {
    let builder = Client::builder().with(|options| options.sctp.via = via);
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// Messages from one byte to far more than a packet come back on their streams.
pub(crate) async fn exchanges(messages: &mut Messages) {
    for (stream, length) in [(0, 1), (3, 1000), (4, LARGEST)] {
        let lane = Lane {
            stream,
            ppid: 1000 + u32::from(stream),
            unordered: stream == 3,
        };
        let sent = Message::binary(vec![stream as u8 + 1; length]).on(lane);
        messages.send(sent.clone()).await.expect("room");
        let got = timeout(SOON, messages.recv()).await.expect("an echo");
        let got = got.expect("an echo").expect("a message");
        assert_eq!(
            (got.lane().stream, got.lane().ppid),
            (lane.stream, lane.ppid)
        );
        assert_eq!(got.payload(), sent.payload());
    }
}

#[tokio::test]
async fn usrsctp_answers_our_client_and_hears_how_it_ends() {
    let port = PortBlock::claim().pair().to_string();
    let mut command = usrsctp();
    command.args(["echo", &port, &port]);
    let server = Process::spawn(&command);
    server.wait_for_line(SOON, |line| line.starts_with("listening"));
    let client = client(SctpVia::Udp);
    let url = format!("sctp://127.0.0.1:{port}");
    let mut messages = client.connect_messages(&url).await.expect("an association");
    exchanges(&mut messages).await;
    drop(messages);
    server.wait_for_line(SOON, |line| line == "echoed, ended 3\n");
    let mut messages = client.connect_messages(&url).await.expect("an association");
    exchanges(&mut messages).await;
    assert_eq!(client.close(&Filter::default()), 1);
    server.wait_for_line(SOON, |line| line == "echoed, aborted 3\n");
    drop(messages);
    assert_eq!(client.drain(SOON).await.forced(), 0);
    let stats = client.stats();
    assert_eq!(
        (
            stats.closed(Closed::Finished),
            stats.closed(Closed::Control)
        ),
        (1, 1)
    );
}
