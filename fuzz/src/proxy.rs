//! The bodies of the PROXY targets: headers before a stream, and in each datagram.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use wharf::config::ProxyMode;
use wharf::proxy::{
    Addresses, Command, EncodeOptions, Header, MAX_BYTES, Step, Transport, Version, parse,
};
use wharf::testkit::Harness;
use wharf::{Datagrams, Server, Udp};

use super::steps::steps;

/// What a header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What follows the signature of version 1.
pub(crate) fn proxy_v1(data: &[u8]) {
    proxy(&[b"PROXY ", data].concat());
}

/// What follows the signature of version 2.
pub(crate) fn proxy_v2(data: &[u8]) {
    proxy(&[SIGNATURE, data].concat());
}

/// The answer is the same however the bytes are cut, and what is read is sent as it was.
fn proxy(bytes: &[u8]) {
    let whole = parse(bytes, MAX_BYTES);
    let mut have = 0;
    let (first, wanted) = loop {
        match parse(&bytes[..have], MAX_BYTES) {
            Ok(Step::NeedMore { at_least }) if have + at_least > bytes.len() => return,
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > 0);
                have += at_least;
            }
            other => break (other, have),
        }
    };
    assert_eq!(first, whole);
    for cut in 0..wanted {
        match parse(&bytes[..cut], MAX_BYTES) {
            Ok(Step::NeedMore { .. }) => {}
            // What is malformed may be seen before all that was asked for has come.
            early => {
                assert!(early.is_err(), "{early:?} before {first:?}");
                return assert_eq!(early, whole);
            }
        }
    }
    let Ok(Step::Done { header, consumed }) = whole else {
        return;
    };
    assert_eq!(
        consumed, wanted,
        "reading what is asked for takes no byte of the application"
    );
    let sent = match header.version {
        Version::V1 => header.encode_v1(),
        Version::V2 => header
            .encode_v2(&EncodeOptions { crc32c: true })
            .expect("it was read"),
    };
    let Ok(Step::Done {
        header: again,
        consumed,
    }) = parse(&sent, usize::MAX)
    else {
        panic!("what is sent is not read: {sent:?}");
    };
    assert_eq!((again, consumed), (header, sent.len()));
}

/// Each step is a datagram of a proxy, or of a stranger: what the handler sees of it is what its header
/// says, and one that is not as it should be is dropped and counted.
pub(crate) fn proxy_datagrams(data: &[u8]) {
    let Some((&first, script)) = data.split_first() else {
        return;
    };
    let mode = [ProxyMode::Optional, ProxyMode::Required];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(datagrams(mode[usize::from(first & 1)], script));
}

async fn datagrams(mode: ProxyMode, script: &[u8]) {
    let told = async |mut datagrams: Datagrams| {
        while let Some(datagram) = datagrams.recv().await {
            let peer = format!("{} ", datagram.peer());
            let answer = [peer.as_bytes(), datagram.payload()].concat();
            datagrams.reply(&datagram, &answer).await?;
        }
        Ok::<_, wharf::BoxError>(())
    };
    let listen = Udp::bind("127.0.0.1:0")
        .proxy(mode, ["127.0.0.1/32"])
        .access("deny 203.0.113.0/24");
    let harness = Harness::start(Server::builder().listen_datagrams("it", listen, told));
    let harness = harness.expect("a server");
    let to = harness.handle().address("it").expect("it is bound");
    let to = to.ip().expect("an IP address");
    let [proxy, stranger] = ["127.0.0.1:0", "127.0.0.2:0"].map(socket);
    let clock = tokio::net::UdpSocket::bind("127.0.0.1:0").await;
    let clock = clock.expect("a socket");
    let (mut sent, mut delivered) = (0, 0);
    for (what, argument, bytes) in steps(script) {
        let client = SocketAddr::from(([192, 0, 2, argument], 4000));
        let datagram = match what % 4 {
            0 => bytes.to_vec(),
            1 => [SIGNATURE, bytes].concat(),
            2 => [header(client), bytes.to_vec()].concat(),
            _ => {
                let mut broken = [&header(client)[..], b"payload"].concat();
                let place = broken.iter_mut().skip(12 + usize::from(what / 4));
                place.zip(bytes).for_each(|(byte, other)| *byte ^= other);
                broken
            }
        };
        let trusted = argument & 1 == 0;
        let from = if trusted { &proxy } else { &stranger };
        from.send_to(&datagram, to).expect("it is sent");
        // This one is answered after the one before it.
        let follower = clock.send_to(&header(client), to).await;
        follower.expect("it is sent");
        let answer = clock.recv(&mut [0; 128]).await;
        answer.expect("an answer");
        let source = from.local_addr().expect("it is bound");
        let expected = expected(mode, trusted, source, &datagram);
        sent += 2;
        delivered += 1 + u64::from(expected.is_some());
        let got = [&proxy, &stranger].map(received);
        let wanted = if trusted {
            [expected, None]
        } else {
            [None, expected]
        };
        assert_eq!(got, wanted, "{mode:?} {trusted} {datagram:?}");
    }
    let stats = harness.stats("it");
    assert_eq!(stats.datagrams_received, sent);
    assert_eq!(stats.datagrams_delivered, delivered);
    assert_eq!(stats.all_dropped(), sent - delivered);
    harness.handle().drain(Duration::from_secs(5)).await;
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a socket");
    socket.set_nonblocking(true).expect("a socket takes it");
    socket
}

/// A datagram that has come.
fn received(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// A good header for this client.
fn header(client: SocketAddr) -> Vec<u8> {
    let header = Header {
        version: Version::V2,
        command: Command::Proxy,
        transport: Transport::Datagram,
        addresses: Addresses::Ip {
            source: client,
            destination: "192.0.2.9:53".parse().expect("an address"),
        },
        tlvs: Vec::new(),
    };
    let encoded = header.encode_v2(&EncodeOptions::default());
    encoded.expect("a good header")
}

/// What the handler answers to a datagram that came from `source`; `None` if it does not see it.
fn expected(
    mode: ProxyMode,
    trusted: bool,
    source: SocketAddr,
    datagram: &[u8],
) -> Option<Vec<u8>> {
    let (peer, payload) = if trusted && datagram.starts_with(SIGNATURE) {
        let Ok(Step::Done { header, consumed }) = parse(datagram, MAX_BYTES) else {
            return None;
        };
        let client = match header.addresses {
            Addresses::Unspecified => source.to_string(),
            Addresses::Ip { source, .. } => match source.ip().to_canonical() {
                IpAddr::V4(ip) if ip.octets().starts_with(&[203, 0, 113]) => return None,
                ip => SocketAddr::new(ip, source.port()).to_string(),
            },
            Addresses::Unix { source, .. } => match &source[..] {
                [] => "unix".to_owned(),
                [0, name @ ..] => format!("@{}", String::from_utf8_lossy(name)),
                path => String::from_utf8_lossy(path).into_owned(),
            },
        };
        (client, &datagram[consumed..])
    } else if mode == ProxyMode::Required {
        return None;
    } else {
        (source.to_string(), datagram)
    };
    Some([format!("{peer} ").as_bytes(), payload].concat())
}
