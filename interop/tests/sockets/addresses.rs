//! A host with two addresses, in a network of its own: who asked the second one is answered from it.
//!
//! The clients' sockets are connected, so that the kernel keeps every other source from them, and they are bound to
//! the first address: left to itself the kernel would answer from that.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use wharf::batch::{BatchHandler, Burst, Turn};
use wharf::{Builder, Dtls, Udp};
use wharf_interop::{Process, tool};

use crate::datagrams::{flow, single};
use crate::namespace::is_within;
use crate::pki::Authority;
use crate::served::{SOON, Served, shout_messages};
use crate::tls::{assert_writes, s_client_to};

/// The kernel makes addresses usable in the background.
const ADDRESSES: &str = "ip address add 192.0.2.1/24 dev lo && ip address add 192.0.2.2/24 dev lo && \
    ip address add 2001:db8::1/64 dev lo nodad && ip address add 2001:db8::2/64 dev lo nodad && \
    timeout 20 sh -c 'while ip -6 address show tentative | grep -q inet6; do :; done'";

/// The first and the second address of each family.
const FAMILIES: [[&str; 2]; 2] = [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]];

struct Echo;

impl BatchHandler for Echo {
    fn datagrams(&mut self, turn: &mut Turn<'_>, burst: &Burst<'_>) {
        for datagram in burst.datagrams() {
            turn.reply_with(&datagram, b"", 0..datagram.payload.len());
        }
    }
}

/// Where the answer of a socket that takes no care comes from, when `second` is asked from `first`.
fn careless(first: IpAddr, second: IpAddr) -> IpAddr {
    let any = if first.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let server = UdpSocket::bind(any).expect("a socket");
    let client = UdpSocket::bind(SocketAddr::new(first, 0)).expect("a socket");
    client.set_read_timeout(Some(SOON)).expect("a timeout");
    server
        .set_read_timeout(Some(SOON / 100))
        .expect("a timeout");
    let port = server.local_addr().expect("an address").port();
    let ask = || {
        let asked = client.send_to(b"?", SocketAddr::new(second, port));
        asked.expect("a question");
        server.recv_from(&mut [0; 8]).ok()
    };
    // Asked again where the way to a new address is not there yet.
    let (_, asker) = (0..100).find_map(|_| ask()).expect("a question");
    server.send_to(b"!", asker).expect("an answer");
    client.recv_from(&mut [0; 8]).expect("an answer").1.ip()
}

/// What socat, bound to `first`, is answered by `second`.
fn socat(first: &str, second: &str, port: u16) -> String {
    let place = if second.contains(':') {
        format!("UDP6:[{second}]:{port},bind=[{first}]")
    } else {
        format!("UDP4:{second}:{port},bind={first}")
    };
    let mut command = tool("socat");
    // The end of the input is not the end: the answer is, of which one datagram is read.
    command.args([
        "-T",
        "10",
        &format!("{place},readbytes=5"),
        "STDIO,ignoreeof",
    ]);
    Process::spawn_with_input(&command, b"ahoy\n")
        .finish(SOON)
        .output
}

#[test]
fn the_second_address_answers_who_asked_it() {
    if !is_within(
        "addresses::the_second_address_answers_who_asked_it",
        ADDRESSES,
    ) {
        return;
    }
    for [first, second] in FAMILIES {
        let [first, second] = [first, second].map(|address| address.parse().expect("an address"));
        assert_eq!(careless(first, second), first);
    }
    let shapes: [fn(Builder) -> Builder; 3] = [
        |builder| builder.listen_messages("it", Udp::bind("[::]:0"), flow),
        |builder| builder.listen_datagrams("it", Udp::bind("[::]:0"), single),
        |builder| builder.listen_batch("it", Udp::bind("[::]:0"), |_| Echo),
    ];
    for shape in shapes {
        let served = Served::start(|builder, _| shape(builder));
        for [first, second] in FAMILIES {
            let answer = socat(first, second, served.address().port());
            assert_eq!(answer, "ahoy\n", "{second}");
        }
        assert_eq!(served.finish().datagrams_delivered, 2);
    }
}

#[test]
fn the_second_address_shakes_hands_with_who_asked_it() {
    let this = "addresses::the_second_address_shakes_hands_with_who_asked_it";
    if !is_within(this, ADDRESSES) {
        return;
    }
    let ca = Authority::new();
    let leaf = ca.issue("a.example");
    let served = Served::start(|builder, seen| {
        let listen = Dtls::bind("[::]:0").cert(leaf.cert.as_path(), leaf.key.as_path());
        builder.listen_messages("it", listen, move |messages| {
            shout_messages(messages, seen.clone())
        })
    });
    for [first, second] in FAMILIES {
        let to = SocketAddr::new(second.parse().expect("an address"), served.address().port());
        let bind = SocketAddr::new(first.parse().expect("an address"), 0);
        let flags = format!("-dtls1_2 -mtu 1200 -bind {bind}");
        assert_writes(&s_client_to(to, &ca.file(), &flags), &["AHOY\n"]);
        assert_eq!(served.seen().local.ip(), Some(to));
    }
    assert_eq!(served.finish().accepted, 2);
}
