//! dnsmasq: NAPTR, SRV and addresses lead to a server that is there, past one that is not.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use wharf::Udp;
use wharf_interop::{PortBlock, Process, tool};
use wharf_sip::Transport;
use wharf_sip::route::SendFailure;
use wharf_sip_transport::{DnsOptions, DnsResolver, Request, Sending, Sent, SipError, factory};

use crate::client::Client;
use crate::responder::{Record, Responder};
use crate::served::{LOOPBACK, SOON, Served};

/// Nobody listens here. All of 127/8 is loopback.
const DEAD: &str = "127.77.0.1";

/// dnsmasq, and the servers that its zones name.
struct Site {
    dns: Option<Process>,
    resolver: DnsOptions,
    /// Where a server may be on the default port: no other test is here, since none has the port of this one.
    plain: Ipv4Addr,
    live: Served,
    record: Record,
    _ports: PortBlock,
}

impl Site {
    fn start() -> Self {
        let (responder, record) = Responder::new();
        let live = Served::plain(responder);
        let mut ports = PortBlock::claim();
        let port = ports.pair();
        let [high, low] = port.to_be_bytes();
        let plain = Ipv4Addr::new(127, 78, high, low);
        let mut command = tool("dnsmasq");
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--local-ttl=600",
            // What does not stand here does not exist.
            "--local=/zone.test/plain.test/",
            "--naptr-record=zone.test,10,1,s,SIP+D2T,,_sip._tcp.zone.test",
            "--naptr-record=zone.test,20,1,s,SIP+D2U,,_sip._udp.zone.test",
            "--host-record=live.zone.test,127.0.0.1",
            // Without services of its own.
            &format!("--host-record=plain.test,{plain}"),
            &format!("--host-record=dead.zone.test,{DEAD}"),
            // Beside its services.
            &format!("--host-record=zone.test,{DEAD}"),
            &format!("--server=/failing.test/127.0.0.1#{}", failing().port()),
            &format!("--port={port}"),
        ]);
        for listener in ["tcp", "udp"] {
            let name = format!("--srv-host=_sip._{listener}.zone.test");
            let there = live.address(listener).port();
            command.arg(format!("{name},dead.zone.test,5060,1,1"));
            command.arg(format!("{name},live.zone.test,{there},2,1"));
        }
        let dns = Process::spawn(&command);
        dns.wait_for_line(SOON, |line| line.contains("started, version"));
        let resolver = DnsOptions {
            servers: vec![(Ipv4Addr::LOCALHOST, port).into()],
            timeout: Duration::from_millis(300),
            retries: 0,
            ..DnsOptions::default()
        };
        Self {
            dns: Some(dns),
            resolver,
            plain,
            live,
            record,
            _ports: ports,
        }
    }

    fn client(&self) -> Client {
        Client::start(DnsResolver::new(&self.resolver).expect("a resolver"))
    }
}

/// A name server that fails at each question.
fn failing() -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).expect("a socket");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut message = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            // RFC 1035 §4.1.1: a response (QR), with the code 2.
            message[2] |= 0x80;
            message[3] = 2;
            let _ = socket.send_to(&message[..length], from);
        }
    });
    address
}

impl Client {
    fn to(&self, uri: &str) -> Sending {
        let target = factory::target(uri).expect("a target");
        self.manager.request(Request::to(target))
    }

    fn next(&self, sending: &mut Sending) -> Result<Sent, SipError> {
        let request = "OPTIONS sip:a@zone.test SIP/2.0\r\n\
                       Via: SIP/2.0/UDP client.invalid;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n\
                       From: <sip:b@zone.test>;tag=1\r\nTo: <sip:a@zone.test>\r\nCall-ID: 1\r\n\
                       CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
        let message = Bytes::from_static(request.as_bytes());
        self.served.runtime.block_on(sending.next(message))
    }

    fn fails(&self, uri: &str) -> SipError {
        let mut sending = self.to(uri);
        self.next(&mut sending).expect_err("nobody is there")
    }

    #[track_caller]
    fn is_answered(&self) {
        let response = self.record.next().text;
        assert!(response.starts_with("SIP/2.0 200"), "{response}");
    }
}

#[test]
fn rfc3263_naptr_and_srv_lead_past_a_dead_server_to_a_live_one() {
    let site = Site::start();
    let client = site.client();
    // NAPTR prefers TCP. An address beside the services hides none of them.
    let mut sending = client.to("sip:zone.test");
    let sent = client.next(&mut sending).expect("a server");
    assert_eq!((sent.number, sent.flow.flow.transport), (2, Transport::Tcp));
    client.is_answered();
    assert_eq!(site.record.next().transport, Transport::Tcp);
    assert_eq!(client.manager.unwell().len(), 1);

    let mut sending = client.to("sip:zone.test;transport=udp");
    let first = client.next(&mut sending).expect("an address");
    assert_eq!(
        first.flow.flow.remote,
        format!("{DEAD}:5060").parse().unwrap()
    );
    let lost = client.served.runtime.block_on(sending.lost());
    assert_eq!(lost, SendFailure::PortUnreachable);
    sending.failed(lost);
    client.next(&mut sending).expect("a server");
    client.is_answered();
    assert_eq!(site.record.next().transport, Transport::Udp);
}

#[test]
fn rfc3263_a_domain_without_services_is_reached_at_its_address() {
    let site = Site::start();
    let (responder, record) = Responder::new();
    let _plain = Served::start(responder, |server, sip| {
        let udp = Udp::bind(format!("{}:5060", site.plain));
        server.listen_with("udp", udp, sip.datagrams())
    });
    let client = site.client();
    let mut sending = client.to("sip:plain.test");
    client.next(&mut sending).expect("an address");
    client.is_answered();
    assert_eq!(record.next().method, "OPTIONS");
}

#[test]
fn rfc3263_a_name_server_that_fails_says_nothing_of_what_there_is() {
    let site = Site::start();
    let client = site.client();
    let failing = client.fails("sip:failing.test");
    assert!(failing.is_dns() && failing.is_recoverable(), "{failing}");
    // dnsmasq has nobody to ask, and refuses.
    let refused = client.fails("sip:elsewhere.test");
    assert!(refused.is_dns() && refused.is_recoverable(), "{refused}");
    let none = client.fails("sip:gone.zone.test");
    assert!(none.is_dns() && !none.is_recoverable(), "{none}");
}

#[test]
fn rfc3263_what_dns_has_said_holds_for_its_ttl() {
    let mut site = Site::start();
    let client = site.client();
    for asked in [true, false] {
        if !asked {
            site.dns = None;
        }
        let mut sending = client.to("sip:zone.test");
        let sent = client.next(&mut sending).expect("a server");
        assert_eq!(sent.flow.flow.remote, site.live.address("tcp"));
        client.is_answered();
    }
    let silent = client.fails("sip:plain.test");
    assert!(silent.is_dns() && silent.is_recoverable(), "{silent}");
}
