//! Our listeners before the kernel's associations: its own, and those over UDP (RFC 6951), which it speaks too.

use std::io::ErrorKind;
use std::net::SocketAddr;

use wharf::config::SctpVia;
use wharf::{Closed, Filter, Listen, Sctp};

use super::association::Association;
use crate::served::{Served, echo};

pub(super) fn listen(address: &str, via: SctpVia) -> Listen {
    Sctp::bind(address).with(|config| config.sctp.via = via)
}

pub(super) fn served(address: &str, via: SctpVia) -> Served {
    Served::start(|builder, _| builder.listen_messages("it", listen(address, via), echo))
}

/// Messages from one byte to far more than a packet come back on their streams.
#[track_caller]
pub(super) fn exchanges(client: &Association) {
    for (stream, length) in [(0, 1), (3, 1000), (4, 100_000)] {
        let sent = vec![stream as u8 + 1; length];
        client.send(&sent, stream, 1000, false).expect("room");
        let (got, told) = client.receive().expect("an echo");
        assert_eq!((told.stream, told.ppid), (stream, 1000));
        assert_eq!(got, sent);
    }
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn messages_come_back_on_their_stream_and_a_client_ends_in_order() {
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let served = served(address, SctpVia::Kernel);
        let mut to: SocketAddr = served.address();
        if to.ip().is_unspecified() {
            to.set_ip([127, 0, 0, 1].into());
        }
        exchanges(&Association::connect(to));
        let stats = served.finish();
        assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (1, 1));
        assert_eq!(stats.messages_received, 3);
    }
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn a_client_hears_of_a_drain_and_of_a_close() {
    let served = served("127.0.0.1:0", SctpVia::Kernel);
    let [closed, drained] = [(); 2].map(|()| {
        let client = Association::connect(served.address());
        exchanges(&client);
        client
    });
    let first = served.handle.connections(&Filter::default()).remove(0);
    assert_eq!(served.handle.close(&Filter::default().id(first.id())), 1);
    let aborted = closed.receive().expect_err("an ABORT");
    assert_eq!(aborted.kind(), ErrorKind::ConnectionReset);
    let stats = served.finish();
    assert_eq!(drained.receive().expect("the end").0, b"");
    assert_eq!(
        (
            stats.closed(Closed::Control),
            stats.closed(Closed::Finished)
        ),
        (1, 1)
    );
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn a_client_that_aborts_is_a_reset() {
    let served = served("127.0.0.1:0", SctpVia::Kernel);
    let client = Association::connect(served.address());
    exchanges(&client);
    client.abort();
    assert_eq!(served.finish().closed(Closed::Reset), 1);
}

/// The kernel of the machine sends SCTP to this UDP port, and takes it at that of `udp_port`, while there is one.
struct Encapsulation;

fn sysctl(name: &str, value: u16) {
    let path = format!("/proc/sys/net/sctp/{name}");
    std::fs::write(path, value.to_string()).expect("a kernel with SCTP over UDP");
}

impl Encapsulation {
    fn to(port: u16) -> Self {
        sysctl("udp_port", 9899);
        sysctl("encap_port", port);
        Self
    }
}

impl Drop for Encapsulation {
    fn drop(&mut self) {
        sysctl("encap_port", 0);
        sysctl("udp_port", 0);
    }
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn the_kernel_speaks_with_a_listener_over_udp() {
    let served = served("127.0.0.1:0", SctpVia::Udp);
    let _encapsulation = Encapsulation::to(served.address().port());
    exchanges(&Association::connect(served.address()));
    let stats = served.finish();
    assert_eq!((stats.accepted, stats.closed(Closed::Finished)), (1, 1));
    assert_eq!(stats.messages_received, 3);
}
