//! Where responses come in (RFC 3261 §18.1.1, §18.1.2).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use wharf::{Client, Server, Tcp, Udp};
use wharf_sip_transport::SipOptions;

use crate::support::{Site, options, run, send};

/// A response to the request of this number.
fn response(number: u32, via: &str) -> String {
    options(number, via).replace("OPTIONS sip:a@example.com SIP/2.0", "SIP/2.0 200 OK")
}

#[tokio::test]
async fn c6_a_response_comes_over_the_connection_of_its_request_or_over_a_new_one() {
    let mut site = Site::new(SipOptions::default());
    let server = Server::builder()
        .listen_with("tcp", Tcp::bind("127.0.0.1:0"), site.sip.streams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let own = handle.address("tcp").unwrap().to_string();
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::builder().build().unwrap();
    let url = format!("tcp://{}", peer.local_addr().unwrap());
    let stream = client.connect(&url).await.unwrap();
    let flow = site.sip.attach(stream).unwrap();
    let via = format!("TCP {own}");
    let request = options(1, &via);
    send(&site.sip, &flow, &request);
    let (mut accepted, _) = peer.accept().await.unwrap();
    let mut received = vec![0; request.len()];
    accepted.read_exact(&mut received).await.unwrap();
    let answer = response(1, &via);
    accepted.write_all(answer.as_bytes()).await.unwrap();
    assert_eq!(site.message().await, (answer, flow));
    // Its connection is gone: the peer opens one to the address in sent-by.
    drop(accepted);
    let mut new = TcpStream::connect(&own).await.unwrap();
    let late = response(2, &via);
    new.write_all(late.as_bytes()).await.unwrap();
    let (message, way) = site.message().await;
    assert_eq!((message, way == flow), (late, false));
}

#[tokio::test]
async fn c7_c9_a_response_comes_to_the_port_of_sent_by_and_needs_no_request() {
    let mut site = Site::new(SipOptions::default());
    let server = Server::builder()
        .listen_with("udp", Udp::bind("127.0.0.1:0"), site.sip.datagrams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let own: SocketAddr = handle.address("udp").unwrap().ip().unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = format!("UDP {own}");
    // C9: nobody has asked, and the layer above gets it all the same.
    let stray = response(1, &via);
    other.send_to(stray.as_bytes(), own).await.unwrap();
    assert_eq!(site.message().await.0, stray);
    // C7: a request leaves from the address in its Via, and what comes there is its response.
    let remote = peer.local_addr().unwrap();
    let flow = site.sip.datagrams_to(remote).unwrap();
    send(&site.sip, &flow, &options(2, &via));
    let (_, from) = peer.recv_from(&mut [0; 1000]).await.unwrap();
    assert_eq!(from, own);
    let answer = response(2, &via);
    other.send_to(answer.as_bytes(), own).await.unwrap();
    let (message, way) = site.message().await;
    assert_eq!(message, answer);
    assert_eq!(way.flow.remote, other.local_addr().unwrap());
}
