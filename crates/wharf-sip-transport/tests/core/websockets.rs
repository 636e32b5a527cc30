//! WebSockets (RFC 7118), over loopback.

use std::time::Duration;

use wharf::client::ClientWebSocket;
use wharf::{Client, Handle, Message, Messages, Server, Ws};
use wharf_sip_transport::{CloseReason, SipOptions};

use crate::support::{Seen, Site, options, run, send};

fn start() -> (Site, Handle) {
    let site = Site::new(SipOptions::default());
    let listen = Ws::bind("127.0.0.1:0").with(|config| {
        config.websocket.subprotocols = vec!["sip".into()];
        config.websocket.subprotocol_required = true;
    });
    let server = Server::builder()
        .listen_with("ws", listen, site.sip.websockets())
        .build()
        .unwrap();
    let (handle, _) = run(server);
    (site, handle)
}

async fn connect(handle: &Handle) -> Messages {
    let client = Client::builder().websocket(ClientWebSocket {
        subprotocols: vec!["sip".into()],
        ..ClientWebSocket::default()
    });
    let url = format!("ws://{}", handle.address("ws").unwrap());
    client
        .build()
        .unwrap()
        .connect_messages(&url)
        .await
        .unwrap()
}

async fn receive(client: &mut Messages) -> Message {
    let received = tokio::time::timeout(Duration::from_secs(30), client.recv());
    received.await.expect("a message").unwrap().unwrap()
}

fn request(number: u32) -> String {
    options(number, "WS df7jal23ls0d.invalid")
}

#[tokio::test]
async fn a_message_is_a_message_in_text_and_in_binary() {
    let (mut site, handle) = start();
    let mut client = connect(&handle).await;
    client.send(Message::text(&*request(1))).await.unwrap();
    let answer = receive(&mut client).await;
    assert!(answer.as_text().is_some(), "UTF-8 is answered in text");
    assert!(answer.payload().starts_with(b"SIP/2.0 200 OK\r\n"));
    // Without Content-Length the message says where the body ends.
    let open = request(2).replace("Content-Length: 0\r\n", "") + "body";
    let binary = Message::binary(open.clone().into_bytes());
    client.send(binary).await.unwrap();
    receive(&mut client).await;
    site.message().await;
    let (message, flow) = site.message().await;
    assert_eq!(message, open);
    // What is not UTF-8 leaves in binary.
    let raw = b"SIP/2.0 200 \xff\r\n\r\n".to_vec();
    let sent = site
        .sip
        .send(&flow, raw.clone().into(), wharf_sip::Priority::High);
    sent.unwrap();
    let answer = receive(&mut client).await;
    assert!(answer.as_text().is_none());
    assert_eq!(answer.payload(), &raw);
    send(&site.sip, &flow, "SIP/2.0 180 Ringing\r\n\r\n");
    assert!(receive(&mut client).await.as_text().is_some());
}

#[tokio::test]
async fn a_full_layer_pushes_back_and_what_others_send_leaves_meanwhile() {
    let (mut site, handle) = start();
    let mut client = connect(&handle).await;
    let Seen::Opened(flow) = site.next().await else {
        panic!("it opens");
    };
    site.set_full(true);
    client.send(Message::text(&*request(1))).await.unwrap();
    // The request has come long before the last of these.
    for _ in 0..20 {
        send(&site.sip, &flow, "SIP/2.0 180 Ringing\r\n\r\n");
        let ringing = receive(&mut client).await;
        assert!(ringing.payload().starts_with(b"SIP/2.0 180"));
    }
    assert_eq!(site.sip.stats().received, 0);
    site.set_full(false);
    assert_eq!(site.message().await.0, request(1));
    assert!(
        receive(&mut client)
            .await
            .payload()
            .starts_with(b"SIP/2.0 200")
    );
}

#[tokio::test]
async fn a_ping_is_answered_in_a_text_frame() {
    let (site, handle) = start();
    let mut client = connect(&handle).await;
    client.send(Message::text("\r\n\r\n")).await.unwrap();
    let pong = receive(&mut client).await;
    assert!(pong.as_text().is_some());
    assert_eq!(&pong.payload()[..], b"\r\n");
    assert_eq!(site.sip.stats().pings, 1);
}

#[tokio::test]
async fn a_content_length_beyond_the_message_is_an_error() {
    let (mut site, handle) = start();
    let mut client = connect(&handle).await;
    let short = request(1).replace("Length: 0", "Length: 7");
    client.send(Message::text(&*short)).await.unwrap();
    let answer = receive(&mut client).await;
    assert!(answer.payload().starts_with(b"SIP/2.0 400 "));
    assert!(client.recv().await.is_none_or(|end| end.is_err()));
    assert_eq!(site.closed().await, CloseReason::Protocol);
}

#[tokio::test]
async fn a_client_without_the_subprotocol_is_refused() {
    let (_site, handle) = start();
    let url = format!("ws://{}", handle.address("ws").unwrap());
    let client = Client::builder().build().unwrap();
    let error = client.connect_messages(&url).await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
}

#[tokio::test]
async fn the_end_of_a_websocket_is_told() {
    let (mut site, handle) = start();
    let mut client = connect(&handle).await;
    let Seen::Opened(flow) = site.next().await else {
        panic!("it opens");
    };
    assert_eq!(flow.flow.transport, wharf_sip::Transport::Ws);
    client.close(1000, "").await.unwrap();
    assert_eq!(site.next().await, Seen::Closed(flow, CloseReason::Peer));
}
