//! Forwards requests that come over UDP and TCP to one next hop over UDP, and the responses back. It keeps
//! nothing: the branch of its Via says which flow a request came over.
//!
//! ```text
//! cargo run --example forwarder -- [ADDRESS] [NEXT HOP] [NAME]
//! sipsak -s sip:127.0.0.1:5060
//! ```
//!
//! With `--check` it prints `SIP/2.0 200 OK`.

mod support;

use std::net::SocketAddr;

use support::{address, argument, receive, request, run};
use tokio::net::UdpSocket;
use wharf::{BoxError, Server, Tcp, Udp};
use wharf_sip::flow::FlowTokens;
use wharf_sip::locate::seed_of;
use wharf_sip::{Reply, StartLine, Via};
use wharf_sip_transport::{Incoming, Outgoing, Sip, SipOptions, Taken, Upper};

struct Forwarder {
    /// What it calls itself in its Via.
    name: String,
    next: SocketAddr,
    tokens: FlowTokens,
    key: [u8; 16],
}

impl Forwarder {
    fn request(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Option<()> {
        let flow = out.sip().datagrams_to(self.next)?;
        let token = self.tokens.seal(incoming.flow.id, &incoming.flow.flow);
        // RFC 3261 §16.11: for a retransmission the same branch.
        let top = incoming.scan.via?.top.of(incoming.message);
        let branch = format!("z9hG4bK{:016x}{token}", seed_of(&self.key, top));
        let via = format!("SIP/2.0/UDP {};rport;branch={branch}", self.name);
        let forwarded = out.forward(incoming, &flow, |edit| {
            edit.decrement_max_forwards()?
                .stamp_via(incoming.source)?
                .push_via(&via)?;
            Ok(())
        });
        if forwarded.is_err() {
            let reply = Reply {
                code: 483,
                reason: "Not Forwarded",
                tag: "forwarder",
                source: None,
                fields: &[],
            };
            // An ACK is not answered.
            let _ = out.respond(incoming, &reply);
        }
        Some(())
    }

    fn response(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Option<()> {
        let via = Via::parse(incoming.scan.via?.top.of(incoming.message)).ok()?;
        // Whoever makes up a branch has not got the key: its response goes nowhere (§18.1.2).
        let token = str::from_utf8(via.branch()?.get(7 + 16..)?).ok()?;
        let flow = out.sip().find(&self.tokens.open(token).ok()?).ok()?;
        let back = out.forward(incoming, &flow, |edit| edit.pop_via().map(|_| ()));
        back.ok()
    }
}

impl Upper for Forwarder {
    fn message(&self, incoming: &Incoming<'_>, out: &mut Outgoing<'_>) -> Taken {
        // What has no way is dropped.
        let _ = match incoming.scan.start {
            StartLine::Request { .. } => self.request(incoming, out),
            StartLine::Response { .. } => self.response(incoming, out),
        };
        Taken::Yes
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let address = address(0, "[::]:5060");
    let mut next: SocketAddr = argument(1, "127.0.0.1:5070").parse()?;
    // The next hop of `--check`.
    let checking = UdpSocket::bind("127.0.0.1:0").await?;
    if address == "127.0.0.1:0" {
        next = checking.local_addr()?;
    }
    let (mut secret, mut key) = ([0; 32], [0; 16]);
    getrandom::fill(&mut secret)?;
    getrandom::fill(&mut key)?;
    let upper = Forwarder {
        name: argument(2, "forwarder.example.com"),
        next,
        tokens: FlowTokens::new(&secret),
        key,
    };
    let sip = Sip::new(SipOptions::default(), upper);
    let server = Server::builder()
        .listen_with("udp", Udp::bind(&address), sip.datagrams())
        .listen_with("tcp", Tcp::bind(&address), sip.streams())
        .build()?;
    let handle = server.handle();
    run(server, async {
        let phone = UdpSocket::bind("127.0.0.1:0").await?;
        let listener = handle.address("udp")?.ip().ok_or("no address")?;
        phone
            .send_to(request("MESSAGE", &phone)?.as_bytes(), listener)
            .await?;
        let answer = receive(&checking).await?.replacen(
            "MESSAGE sip:example.com SIP/2.0",
            "SIP/2.0 200 OK",
            1,
        );
        checking.send_to(answer.as_bytes(), listener).await?;
        println!("{}", receive(&phone).await?);
        Ok(())
    })
    .await
}
