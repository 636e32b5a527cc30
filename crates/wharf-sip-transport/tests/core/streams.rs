//! TCP, in memory and in virtual time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::testkit::MemoryStream;
use wharf::{Client, Closed, Handle};
use wharf_sip::{Limits, Priority};
use wharf_sip_transport::{CloseReason, SendError, SipOptions};

use crate::support::{Seen, Site, options, send};

struct Tcp {
    site: Site,
    handle: Handle,
    client: MemoryStream,
}

const PEER: &str = "192.0.2.9:40000";

async fn start(sip: SipOptions) -> Tcp {
    let site = Site::new(sip);
    let (handle, connector) = site.in_memory();
    let client = connector.connect_from(PEER).await.unwrap();
    Tcp {
        site,
        handle,
        client,
    }
}

impl Tcp {
    async fn receive(&mut self, length: usize) -> String {
        let mut buffer = vec![0; length];
        self.client.read_exact(&mut buffer).await.unwrap();
        String::from_utf8(buffer).unwrap()
    }

    /// Reads up to the end of an answer without a body.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text += &self.receive(1).await;
        }
        text
    }

    async fn ended(&mut self) -> String {
        let mut rest = String::new();
        self.client.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

fn request(number: u32) -> String {
    options(number, "TCP phone.invalid")
}

#[tokio::test(start_paused = true)]
async fn f5_messages_come_in_order_however_they_are_cut() {
    let bytes = (1..=3).map(request).collect::<String>() + "\r\n\r\n" + &request(4);
    for cut in 1..bytes.len() {
        let mut tcp = start(SipOptions::default()).await;
        tcp.client
            .write_all(&bytes.as_bytes()[..cut])
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        tcp.client
            .write_all(&bytes.as_bytes()[cut..])
            .await
            .unwrap();
        for number in 1..=4 {
            assert_eq!(tcp.site.message().await.0, request(number), "cut at {cut}");
            if number == 4 {
                // K2: directly before a request in the same read, and split.
                assert_eq!(tcp.receive(2).await, "\r\n", "cut at {cut}");
            }
            let answer = tcp.answer().await;
            assert!(answer.contains(&format!("CSeq: {number} ")), "cut at {cut}");
            assert!(answer.contains(";received=192.0.2.9"), "{answer}");
        }
        assert_eq!(tcp.site.sip.stats().pings, 1, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn k2_k3_pings_are_answered_and_bodies_are_none() {
    let mut tcp = start(SipOptions::default()).await;
    tcp.client.write_all(b"\r\n\r\n\r\n\r\n").await.unwrap();
    assert_eq!(tcp.receive(4).await, "\r\n\r\n");
    let body = request(1).replace("Content-Length: 0\r\n\r\n", "l: 8\r\n\r\n\r\n\r\n\r\n\r\n");
    tcp.client.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(tcp.site.message().await.0, body);
    assert!(tcp.answer().await.starts_with("SIP/2.0 200"));
    assert_eq!(tcp.site.sip.stats().pings, 2);
}

#[tokio::test(start_paused = true)]
async fn f1_f6_an_error_of_framing_is_answered_and_closes() {
    let mut tcp = start(SipOptions::default()).await;
    let bad = request(1).replace("Content-Length: 0\r\n", "");
    let bytes = bad + &request(2);
    tcp.client.write_all(bytes.as_bytes()).await.unwrap();
    let rest = tcp.ended().await;
    assert!(rest.starts_with("SIP/2.0 400 "), "{rest}");
    assert_eq!(rest.matches("SIP/2.0 ").count(), 1, "one answer: {rest}");
    assert_eq!(tcp.site.closed().await, CloseReason::Protocol);
    let stats = tcp.site.sip.stats();
    assert_eq!((stats.received, stats.refused_length), (0, 1));
    tokio::task::yield_now().await;
    assert_eq!(tcp.handle.stats()[0].1.closed(Closed::Protocol), 1);
}

#[tokio::test(start_paused = true)]
async fn f7_each_limit_closes_the_connection_at_its_time() {
    let limits = Limits {
        head: 1000,
        body: 100,
        head_time: Duration::from_secs(3),
        body_time: Duration::from_secs(5),
        first_message_time: Some(Duration::from_secs(7)),
        ..Limits::default()
    };
    let long_head = format!("OPTIONS sip:a SIP/2.0\r\n{}", "A: b\r\n".repeat(200));
    let announced = request(1).replace("Length: 0", "Length: 4000000000");
    let open_body = request(1).replace("Length: 0", "Length: 9");
    for (bytes, seconds) in [
        ("", 7),
        ("\r\n\r\n", 7),
        ("OPTIONS sip:a SIP/2.0\r\n", 3),
        (&*open_body, 5),
        (&*long_head, 0),
        (&*announced, 0),
    ] {
        let sip = SipOptions {
            limits,
            ..SipOptions::default()
        };
        let mut tcp = start(sip).await;
        let began = tokio::time::Instant::now();
        tcp.client.write_all(bytes.as_bytes()).await.unwrap();
        tcp.ended().await;
        assert_eq!(began.elapsed().as_secs(), seconds, "{bytes}");
        assert_eq!(tcp.site.closed().await, CloseReason::Protocol, "{bytes}");
        let stats = tcp.site.sip.stats();
        let times = u64::from(seconds > 0);
        assert_eq!(stats.refused_time, times, "{bytes}");
        assert_eq!(stats.refused_head + stats.refused_length, 1 - times);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_layer_pushes_back_on_the_connection_and_loses_nothing() {
    let mut tcp = start(SipOptions::default()).await;
    tcp.site.set_full(true);
    let bytes: String = (1..=3).map(request).collect();
    tcp.client.write_all(bytes.as_bytes()).await.unwrap();
    assert!(matches!(tcp.site.next().await, Seen::Opened(_)));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(tcp.site.sip.stats().received, 0);
    // What others send leaves meanwhile.
    let flow = tcp
        .site
        .sip
        .to(wharf_sip::Transport::Tcp, PEER.parse().unwrap());
    send(&tcp.site.sip, &flow.unwrap(), "SIP/2.0 180 R\r\n\r\n");
    assert_eq!(tcp.answer().await, "SIP/2.0 180 R\r\n\r\n");
    tcp.site.set_full(false);
    for number in 1..=3 {
        assert_eq!(tcp.site.message().await.0, request(number));
    }
    let stats = tcp.site.sip.stats();
    assert_eq!((stats.received, stats.full), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_costs_a_bounded_queue() {
    let sip = SipOptions {
        queue: 8_000,
        ..SipOptions::default()
    };
    let mut tcp = start(sip).await;
    let Seen::Opened(flow) = tcp.site.next().await else {
        panic!("it opens");
    };
    let message = bytes::Bytes::from(vec![b'x'; 1000]);
    let mut taken = 0;
    let refused = loop {
        match tcp.site.sip.send(&flow, message.clone(), Priority::Normal) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(taken < 1000, "no end");
    };
    assert_eq!(refused, SendError::Full);
    // What is urgent has room left.
    let urgent = tcp.site.sip.send(&flow, message, Priority::Critical);
    assert_eq!(urgent, Ok(()));
    tcp.receive((taken + 1) * 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_told_from_its_opening_to_its_end() {
    let mut tcp = start(SipOptions::default()).await;
    let Seen::Opened(flow) = tcp.site.next().await else {
        panic!("it opens");
    };
    assert_eq!(flow.flow.remote, PEER.parse().unwrap());
    assert_eq!(tcp.site.sip.connections(), 1);
    assert!(tcp.site.sip.connection(&flow).is_some());
    tcp.client.write_all(b"OPTIONS").await.unwrap();
    drop(tcp.client);
    assert_eq!(
        tcp.site.next().await,
        Seen::Closed(flow, CloseReason::Incomplete)
    );
    assert_eq!(tcp.site.sip.connections(), 0);
    assert!(tcp.site.sip.connection(&flow).is_none());
    let late = tcp.site.sip.send(&flow, "x".into(), Priority::High);
    assert_eq!(late, Err(SendError::FlowGone));
    let stats = tcp.site.sip.stats();
    assert_eq!((stats.opened, stats.closed), (1, 1));
    drop(tcp.handle);
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_closed_and_counted() {
    let site = Site::new(SipOptions {
        max_connections: 1,
        ..SipOptions::default()
    });
    let (_handle, connector) = site.in_memory();
    let mut first = connector.connect_from("192.0.2.1:1").await.unwrap();
    first.write_all(b"\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 2]).await.unwrap();
    let mut second = connector.connect_from("192.0.2.1:2").await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(site.sip.stats().crowded, 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_connect_leave_room_for_what_is_dialled() {
    let site = Site::new(SipOptions {
        max_connections: 8,
        ..SipOptions::default()
    });
    let (_handle, connector) = site.in_memory();
    let mut clients = Vec::new();
    for port in 1..=8 {
        let peer = format!("192.0.2.1:{port}");
        clients.push(connector.connect_from(&peer).await.unwrap());
    }
    let mut last = clients.pop().unwrap();
    assert_eq!(last.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!((site.sip.connections(), site.sip.stats().crowded), (7, 1));
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", upstream.local_addr().unwrap());
    let stream = Client::builder()
        .build()
        .unwrap()
        .connect(&url)
        .await
        .unwrap();
    site.sip.attach(stream).unwrap();
    assert_eq!(site.sip.connections(), 8);
}
