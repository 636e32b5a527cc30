//! Upstreams that a manager finds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use wharf_sip::locate::{Address, Failure, Query, Records, Srv};

use super::site::{
    Site, assert_status, datagram, field, fields, hear_over_tcp, ok, receive, request,
    send_over_tcp,
};
use crate::{Answer, ManagerOptions, Resolver, TableResolver};

/// An address whose ports no other test takes when they are free again.
const NOBODY: &str = "127.0.0.4:0";
const TTL: Duration = Duration::from_mins(1);

/// A message with the body that its Content-Length says.
async fn hear_with_body(stream: &mut TcpStream) -> String {
    let head = hear_over_tcp(stream).await;
    let length = field(&head, "Content-Length").parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + str::from_utf8(&body).unwrap()
}

#[tokio::test]
async fn c5_an_upstream_over_tcp_has_one_connection_for_both_directions() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("sip:{};transport=tcp", upstream.local_addr().unwrap());
    let site = Site::managed(&uri, TableResolver::default()).await;
    let mut browser = site.browser().await;
    browser
        .says(&request("REGISTER", "sip:example.com", ""))
        .await;
    let (mut server, _) = upstream.accept().await.unwrap();
    let register = hear_over_tcp(&mut server).await;
    assert!(field(&register, "Via").starts_with("SIP/2.0/TCP edge.example:5060;branch=z9hG4bK"));
    assert_eq!(field(&register, "Content-Length"), "0");
    let path = field(&register, "Path");
    assert!(
        path.ends_with("@edge.example:5060;transport=tcp;lr;ob>"),
        "{path}"
    );
    let with_length = |message: String| message.replacen("\r\n", "\r\nContent-Length: 0\r\n", 1);
    send_over_tcp(&mut server, &with_length(ok(&register))).await;
    assert_status(&browser.hears().await, "200 OK");

    // The upstream asks back over the connection that the edge has opened.
    let message = datagram("MESSAGE", "sip:x@x.invalid", &format!("Route: {path}\r\n"));
    send_over_tcp(&mut server, &with_length(message.replace("/UDP", "/TCP"))).await;
    let message = browser.hears().await;
    browser.says(&ok(&message)).await;
    assert_status(&hear_over_tcp(&mut server).await, "200 OK");

    // The next request goes over it too, and the dialog stays on it.
    browser
        .says(&request("INVITE", "sip:bob@example.com", ""))
        .await;
    let routes = fields(&hear_over_tcp(&mut server).await, "Record-Route");
    let set = format!("Route: {}, {}\r\n", routes[1], routes[0]);
    browser
        .says(&request("BYE", "sip:bob@192.0.2.7", &set))
        .await;
    let bye = hear_over_tcp(&mut server).await;
    assert!(bye.starts_with("BYE ") && fields(&bye, "Route").is_empty());
    assert_eq!(site.sip.connections(), 2);
}

#[tokio::test]
async fn c1_a_request_that_is_too_long_for_udp_goes_over_tcp() {
    // An address that no other socket has, so that one port is free for both.
    let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).await.unwrap();
    let uri = format!("sip:{address}");
    let site = Site::managed(&uri, TableResolver::default()).await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    assert!(field(&receive(&datagrams).await, "Via").starts_with("SIP/2.0/UDP "));
    let long = request("INVITE", "sip:bob@example.com", "") + &"x".repeat(1_300);
    browser.says(&long).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let invite = hear_with_body(&mut server).await;
    assert!(field(&invite, "Via").starts_with("SIP/2.0/TCP "));
    assert!(invite.ends_with(&"x".repeat(1_300)));
    let answer = ok(&invite).replacen("\r\n", "\r\nContent-Length: 0\r\n", 1);
    send_over_tcp(&mut server, &answer).await;
    assert_status(&browser.hears().await, "200 OK");
}

#[tokio::test]
async fn c1_the_manager_says_what_is_too_long_for_udp() {
    let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _datagrams = UdpSocket::bind(address).await.unwrap();
    let mut manager = ManagerOptions::default();
    manager.switch.longest = 200;
    let uri = format!("sip:{address}");
    let site = Site::managed_by(manager, &uri, TableResolver::default()).await;
    let mut browser = site.browser().await;
    let short = request("MESSAGE", "sip:bob@example.com", "");
    assert!(short.len() > 200);
    browser.says(&short).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let message = hear_with_body(&mut server).await;
    assert!(field(&message, "Via").starts_with("SIP/2.0/TCP "));
}

/// `sip:pbx.example` with these servers over UDP, the first one preferred.
fn servers(addresses: [SocketAddr; 2]) -> TableResolver {
    let mut table = TableResolver::default();
    let mut records = Vec::new();
    for (priority, address) in (1..).zip(addresses) {
        let name: wharf_sip::Domain = format!("s{priority}.pbx.example").parse().unwrap();
        let query = Query::Addresses {
            name: name.clone(),
            ipv4: true,
            ipv6: true,
        };
        let ip = address.ip();
        table = table.with(
            &query,
            Ok(Records::Addresses(vec![Address { ip, ttl: TTL }])),
        );
        records.push(Srv {
            priority,
            weight: 1,
            port: address.port(),
            target: Some(name),
            ttl: TTL,
        });
    }
    let query = Query::Srv("_sip._udp.pbx.example".parse().unwrap());
    table.with(&query, Ok(Records::Srv(records)))
}

#[tokio::test]
async fn rfc3263_4_3_a_server_that_is_not_there_is_left_alone() {
    let dead = UdpSocket::bind(NOBODY).await.unwrap();
    let live = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addresses = [dead.local_addr().unwrap(), live.local_addr().unwrap()];
    let site = Site::managed("sip:pbx.example", servers(addresses)).await;
    let mut browser = site.browser().await;
    let asked = request("MESSAGE", "sip:bob@example.com", "");
    browser.says(&asked).await;
    receive(&dead).await;
    drop(dead);
    // What a client sends again goes to the next one, once ICMP has told of the first.
    let (mut message, mut sent) = (vec![0; 65_536], 0);
    let length = loop {
        browser.says(&asked).await;
        sent += 1;
        site.counts(|stats| stats.to_upstream > sent).await;
        if let Ok(length) = live.try_recv(&mut message) {
            break length;
        }
        tokio::task::yield_now().await;
    };
    let message = str::from_utf8(&message[..length]).unwrap();
    // The responses of a server that requests have gone to are the upstream's.
    live.send_to(ok(message).as_bytes(), site.address("udp"))
        .await
        .unwrap();
    assert_status(&browser.hears().await, "200 OK");
    assert_eq!(site.edge.stats().strays, 0);
}

#[tokio::test]
async fn a_client_hears_that_no_server_is_reached() {
    let closed = TcpListener::bind(NOBODY).await.unwrap();
    let uri = format!("sip:{};transport=tcp", closed.local_addr().unwrap());
    drop(closed);
    let site = Site::managed(&uri, TableResolver::default()).await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let answer = browser.hears().await;
    assert_status(&answer, "503 Upstream Unreachable");
    assert!(field(&answer, "Via").ends_with(";received=127.0.0.1"));
    assert!(field(&answer, "To").contains(";tag=edge-"));
    assert_eq!(site.edge.stats().refused, 1);
}

/// RFC 3261 §18.2.2: an answer that comes later on goes where one that comes at once does.
#[tokio::test]
async fn s9_a_client_hears_of_that_at_the_port_of_sent_by() {
    let site = Site::managed("sip:pbx.example", TableResolver::default()).await;
    let (phone, listening) = (site.phone().await, site.phone().await);
    let port = listening.0.local_addr().unwrap().port();
    let asking = datagram("MESSAGE", "sip:bob@example.com", "");
    let asking = asking.replace(":9;", &format!(":{port};"));
    phone.says(&asking).await;
    assert_status(&phone.hears().await, "503 Upstream Unreachable");
    phone.says(&asking.replace(";rport", "")).await;
    assert_status(&listening.hears().await, "503 Upstream Unreachable");
}

/// Has no answer until it is opened.
struct Gate(Arc<Semaphore>);

impl Resolver for Gate {
    fn resolve<'a>(&'a self, _: &'a Query) -> Answer<'a> {
        Box::pin(async {
            let _open = self.0.acquire().await;
            Err(Failure::ServFail)
        })
    }
}

#[tokio::test]
async fn no_more_than_so_many_requests_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let site = Site::managed("sip:pbx.example", Gate(gate.clone())).await;
    let mut browser = site.browser().await;
    let all = 1_024 + 6;
    for _ in 0..all {
        browser
            .says(&request("MESSAGE", "sip:bob@example.com", ""))
            .await;
    }
    site.counts(|stats| stats.to_upstream == 1_024).await;
    // Over UDP there is nobody to hold back.
    let phone = site.phone().await;
    phone
        .says(&datagram("MESSAGE", "sip:bob@example.com", ""))
        .await;
    while site.sip.stats().full == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.edge.stats().to_upstream, 1_024);
    gate.add_permits(1);
    for _ in 0..all {
        assert_status(&browser.hears().await, "503 Upstream Unreachable");
    }
    site.counts(|stats| stats.to_upstream == all).await;
}
