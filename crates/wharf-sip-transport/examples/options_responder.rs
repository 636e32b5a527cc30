//! Answers each request with 200, over UDP and TCP.
//!
//! ```text
//! cargo run --example options_responder -- [ADDRESS]
//! sipsak -s sip:127.0.0.1:5060
//! ```
//!
//! With `--check` it prints `SIP/2.0 200 OK`.

mod support;

use support::{address, receive, request, run};
use tokio::net::UdpSocket;
use wharf::{BoxError, Server, Tcp, Udp};
use wharf_sip::Reply;
use wharf_sip_transport::{Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

struct Responder;

impl Upper for Responder {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        let reply = Reply {
            code: 200,
            reason: "OK",
            tag: "responder",
            source: None,
            fields: &[("Allow", "OPTIONS")],
        };
        // A response has no answer, and neither has an ACK.
        let _ = out.respond(incoming, &reply);
        Taken::Yes
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let address = address(0, "[::]:5060");
    let sip = Sip::new(SipOptions::default(), Responder);
    // RFC 3261 §18.2.1: whoever is reached over UDP is reached over TCP there, too.
    let server = Server::builder()
        .listen_with("udp", Udp::bind(&address), sip.datagrams())
        .listen_with("tcp", Tcp::bind(&address), sip.streams())
        .build()?;
    let handle = server.handle();
    run(server, async {
        let phone = UdpSocket::bind("127.0.0.1:0").await?;
        let listener = handle.address("udp")?.ip().ok_or("no address")?;
        let options = request("OPTIONS", &phone)?;
        phone.send_to(options.as_bytes(), listener).await?;
        println!("{}", receive(&phone).await?);
        Ok(())
    })
    .await
}
