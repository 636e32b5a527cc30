//! A stateless edge: browsers over WebSockets and phones over UDP and TCP on one side, their registrar and
//! proxy on the other: by address or by name, over UDP, TCP (`;transport=tcp`) or TLS (`sips:`).
//!
//! ```text
//! cargo run --example websocket_edge -- [NAME] [UPSTREAM] [UDP AND TCP] [WS]
//! ```
//!
//! With `--check` it prints `SIP/2.0 200 OK`.

mod support;

use support::{address, argument, receive, request, run};
use tokio::net::UdpSocket;
use wharf::{BoxError, Client, Message, Server, Tcp, Udp, Ws};
use wharf_sip::locate::Target;
use wharf_sip::{Host, OwnedHost, Uri};
use wharf_sip_transport::edge::{Edge, EdgeOptions};
use wharf_sip_transport::{
    DialOptions, Dialer, DnsOptions, DnsResolver, Manager, ManagerOptions, Sip, SipOptions,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let name = argument(0, "localhost");
    let mut upstream = argument(1, "sip:127.0.0.1:5070");
    let (udp, ws) = (address(2, "[::]:5060"), address(3, "[::]:8080"));
    // The upstream of `--check`.
    let checking = UdpSocket::bind("127.0.0.1:0").await?;
    if udp == "127.0.0.1:0" {
        upstream = format!("sip:{}", checking.local_addr()?);
    }

    let name = OwnedHost::new(Host::parse(name.as_bytes())?)?;
    let upstream = Target::of(&Uri::parse(upstream.as_bytes())?)?;
    let options = EdgeOptions::new(name, upstream);
    let finding = ManagerOptions {
        sent_by: options.sent_by()?,
        ..ManagerOptions::default()
    };
    let manager = Manager::new(finding, DnsResolver::new(&DnsOptions::default())?);
    let edge = Edge::with_manager(options, manager.clone())?;
    let sip = Sip::new(SipOptions::default(), manager.watch(edge.clone()));
    manager.begin(
        sip.clone(),
        Dialer::new(sip.clone(), DialOptions::default())?,
    );
    // A browser names the subprotocol, and closes the connection where it is not agreed to (RFC 7118 §4).
    let ws = Ws::bind(ws).with(|ws| ws.websocket.subprotocols = vec!["sip".into()]);
    let server = Server::builder()
        .listen_with("udp", Udp::bind(&udp), sip.datagrams())
        .listen_with("tcp", Tcp::bind(&udp), sip.streams())
        .listen_with("ws", ws, sip.websockets())
        .build()?;

    let handle = server.handle();
    run(server, async {
        let offer = |options: &mut wharf::client::ClientOptions| {
            options.websocket.subprotocols = vec!["sip".into()];
        };
        let browser = Client::builder().with(offer).build()?;
        let url = format!("ws://{}/", handle.address("ws")?);
        let mut browser = browser.connect_messages(&url).await?;
        browser
            .send(Message::text(request("REGISTER", &checking)?))
            .await?;
        let register = receive(&checking).await?;
        let answer = register.replacen("REGISTER sip:example.com SIP/2.0", "SIP/2.0 200 OK", 1);
        let udp = handle.address("udp")?.ip().ok_or("no address")?;
        checking.send_to(answer.as_bytes(), udp).await?;
        let answer = browser.recv().await.ok_or("closed")??;
        println!("{}{:?}", str::from_utf8(answer.payload())?, edge.stats());
        Ok(())
    })
    .await
}
