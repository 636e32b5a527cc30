//! Messages from one transport to another.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use wharf::{Client, Server, Tcp, Udp};
use wharf_sip::flow::{FlowError, FlowTokens};
use wharf_sip_transport::{FlowRef, Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

use crate::support::{Site, options, run, send};

/// Sends every request on to one address over UDP, and every response over the flow of its request.
struct Relay {
    to: std::net::SocketAddr,
    tokens: FlowTokens,
    sip: std::sync::OnceLock<Sip>,
}

struct Above(std::sync::Arc<Relay>);

impl Upper for Above {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let relay = &self.0;
        let sip = relay.sip.get().unwrap();
        if incoming.scan.method(incoming.message).is_some() {
            let flow = sip.datagrams_to(relay.to).unwrap();
            let token = relay.tokens.seal(incoming.flow.id, &incoming.flow.flow);
            let via = format!("SIP/2.0/UDP edge.invalid;branch=z9hG4bK{token}");
            out.forward(incoming, &flow, |edit| {
                edit.stamp_via(incoming.source)?
                    .push_via(&via)?
                    .decrement_max_forwards()
                    .map(drop)
            })
            .unwrap();
        } else {
            let via = incoming.scan.via.unwrap().top.of(incoming.message);
            let via = wharf_sip::Via::parse(via).unwrap();
            let branch = std::str::from_utf8(via.branch().unwrap()).unwrap();
            let sealed = relay.tokens.open(&branch[7..]).unwrap();
            let flow = sip.find(&sealed).unwrap();
            out.forward(incoming, &flow, |edit| edit.pop_via().map(drop))
                .unwrap();
        }
        Taken::Yes
    }
}

#[tokio::test]
async fn a_message_goes_from_tcp_to_udp_and_back() {
    let callee = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let relay = std::sync::Arc::new(Relay {
        to: callee.local_addr().unwrap(),
        tokens: FlowTokens::new(&[1; 32]),
        sip: std::sync::OnceLock::new(),
    });
    let sip = Sip::new(SipOptions::default(), Above(relay.clone()));
    relay.sip.set(sip.clone()).unwrap();
    let server = Server::builder()
        .listen_with("udp", Udp::bind("127.0.0.1:0"), sip.datagrams())
        .listen_with("tcp", Tcp::bind("127.0.0.1:0"), sip.streams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let address = handle.address("tcp").unwrap().to_string();
    let mut caller = TcpStream::connect(&address).await.unwrap();
    let request = options(1, "TCP caller.invalid");
    caller.write_all(request.as_bytes()).await.unwrap();

    let mut buffer = [0; 2000];
    let (length, edge) = callee.recv_from(&mut buffer).await.unwrap();
    let forwarded = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(forwarded.contains("Max-Forwards: 69\r\n"), "{forwarded}");
    assert!(forwarded.contains("caller.invalid;branch=z9hG4bK1;received=127.0.0.1\r\n"));
    let answer = forwarded.replace("OPTIONS sip:a@example.com SIP/2.0", "SIP/2.0 200 OK");
    callee.send_to(answer.as_bytes(), edge).await.unwrap();
    let mut answer = vec![0; 16];
    caller.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"SIP/2.0 200 OK\r\n");
    // And from UDP to UDP, out of the same socket.
    let udp: std::net::SocketAddr = handle.address("udp").unwrap().to_string().parse().unwrap();
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let request = options(2, "UDP phone.invalid;rport");
    phone.send_to(request.as_bytes(), udp).await.unwrap();
    let (length, edge) = callee.recv_from(&mut buffer).await.unwrap();
    assert_eq!(edge, udp);
    let forwarded = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let answer = forwarded.replace("OPTIONS sip:a@example.com SIP/2.0", "SIP/2.0 200 OK");
    callee.send_to(answer.as_bytes(), edge).await.unwrap();
    let (length, _) = phone.recv_from(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(answer.starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP phone.invalid;rport="));
}

#[tokio::test]
async fn a_connection_that_was_dialled_is_a_flow_like_any_other() {
    let mut callee = Site::new(SipOptions::default());
    let server = Server::builder()
        .listen_with("tcp", Tcp::bind("127.0.0.1:0"), callee.sip.streams())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    let address = handle.address("tcp").unwrap().to_string();
    let mut caller = Site::new(SipOptions::default());
    let client = Client::builder().build().unwrap();
    let stream = client.connect(&format!("tcp://{address}")).await.unwrap();
    let flow: FlowRef = caller.sip.attach(stream).unwrap();
    assert_eq!(flow.flow.remote.to_string(), address);
    assert_eq!(
        caller.sip.to(flow.flow.transport, flow.flow.remote),
        Some(flow)
    );
    send(&caller.sip, &flow, &options(1, "TCP caller.invalid"));
    let (request, back) = callee.message().await;
    assert_eq!(request, options(1, "TCP caller.invalid"));
    assert!(caller.message().await.0.starts_with("SIP/2.0 200"));
    // The other end may use it, too.
    send(&callee.sip, &back, &options(2, "TCP callee.invalid"));
    assert!(callee.message().await.0.starts_with("SIP/2.0 200"));

    let tokens = FlowTokens::new(&[2; 32]);
    let sealed = tokens.open(&tokens.seal(flow.id, &flow.flow)).unwrap();
    assert_eq!(caller.sip.find(&sealed), Ok(flow));
    assert!(caller.sip.close(&flow));
    caller.closed().await;
    assert_eq!(caller.sip.find(&sealed), Err(FlowError::Gone), "K6");
    assert!(!caller.sip.close(&flow));
}
