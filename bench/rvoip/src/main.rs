//! Answers every request with 200 over `udp` or `tcp`, its argument, on loopback.
//!
//! It prints `listening ADDRESS` and ends when its input ends. One thread does everything.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rvoip_sip_core::builder::SimpleResponseBuilder;
use rvoip_sip_core::types::{Message, StatusCode};
use rvoip_sip_transport::{TcpTransport, Transport, TransportEvent, TransportRoute, UdpTransport};

/// Events that may wait for their answer: more than the generator has under way.
const EVENTS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::thread::spawn(|| {
        // Whatever ends the input ends the process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (transport, mut events): (Arc<dyn Transport>, _) = match std::env::args().nth(1).as_deref()
    {
        Some("udp") => {
            let (transport, events) = UdpTransport::bind(any, Some(EVENTS)).await?;
            (Arc::new(transport), events)
        }
        Some("tcp") => {
            let (transport, events) = TcpTransport::bind(any, Some(EVENTS), None).await?;
            (Arc::new(transport), events)
        }
        _ => return Err("one argument is needed: udp or tcp".into()),
    };
    println!("listening {}", transport.local_addr()?);
    std::io::stdout().flush()?;
    while let Some(event) = events.recv().await {
        let TransportEvent::MessageReceived {
            message: Message::Request(request),
            source,
            flow_id,
            ..
        } = event
        else {
            continue;
        };
        let answer = SimpleResponseBuilder::response_from_request(&request, StatusCode::Ok, None);
        let mut route = TransportRoute::new(source);
        route.flow_id = flow_id;
        let answer = Message::Response(answer.build());
        if let Err(error) = transport.send_message_via(answer, route).await {
            eprintln!("not sent: {error}");
        }
    }
    Ok(())
}
