//! Who has connected, and connections used in both directions (RFC 5922, RFC 5923).

use wharf::config::ClientAuth;
use wharf_sip::alias::AliasWanted;
use wharf_sip::locate::{Address, Query, Records, Srv};

use super::*;
use crate::{Manager, ManagerOptions, PURPOSES, Request, TableResolver};

const ALIAS: &[u8] = b"OPTIONS sip:a.example SIP/2.0\r\n\
    Via: SIP/2.0/TLS 192.0.2.1:5071;branch=z9hG4bK1;alias\r\nContent-Length: 0\r\n\r\n";

/// A server that asks for certificates, and what it has heard.
struct Site {
    ca: Authority,
    sip: Sip,
    told: mpsc::UnboundedReceiver<Told>,
    address: SocketAddr,
}

impl Site {
    fn new(options: SipOptions) -> Self {
        let ca = Authority::new("ca");
        let leaf = Leaf::named("server", &["a.example", "b.example"]);
        let listen = secure(&ca, &leaf).with(|config| {
            config.tls.client_purposes = PURPOSES.map(str::to_owned).to_vec();
            config.tls.client_auth = ClientAuth::Optional;
            config.tls.client_ca = vec![ca.pem()];
        });
        let (tell, told) = mpsc::unbounded_channel();
        let sip = Sip::new(options, Ear(tell));
        let (_, address) = serve(listen, sip.streams());
        Self {
            ca,
            sip,
            told,
            address,
        }
    }

    /// A client with this certificate has asked for a domain of the server, and sent a request.
    async fn client(&mut self, leaf: Option<&Leaf>, asked: &str, request: &[u8]) -> Client {
        let mut options = trusting(&self.ca);
        options.client.tls.certificate = leaf.map(|leaf| self.ca.issue(leaf).certificate());
        let (sip, mut told) = layer();
        let dialer = Dialer::new(sip.clone(), options).unwrap();
        let key = key(Transport::Tls, self.address, Some(asked));
        let flow = dialer.dial(&key).await.unwrap();
        let heard = ask((&sip, &mut told), &mut self.told, flow, request).await;
        Client {
            sip,
            told,
            flow,
            heard,
        }
    }

    fn find(&self, address: &str, domain: &str, local: Option<&str>) -> Option<FlowRef> {
        let domain = domain.parse().unwrap();
        let local = local.map(|local| local.parse().unwrap());
        self.sip.alias(&AliasWanted {
            transport: Transport::Tls,
            address: address.parse().unwrap(),
            domain: &domain,
            local: local.as_ref(),
        })
    }
}

struct Client {
    sip: Sip,
    told: mpsc::UnboundedReceiver<Told>,
    flow: FlowRef,
    heard: Heard,
}

fn phone() -> Leaf {
    Leaf::named("phone", &["host.example"]).uri("sip:phone.example")
}

#[tokio::test]
async fn rfc5923_a_connection_that_is_offered_takes_requests_to_its_peer() {
    let mut site = Site::new(SipOptions::default());
    let mut client = site.client(Some(&phone()), "a.example", ALIAS).await;
    let found = site.find("192.0.2.1:5071", "phone.example", None);
    assert_eq!(found, Some(client.heard.flow));
    let flow = found.unwrap();
    let request = bytes::Bytes::from_static(REQUEST);
    site.sip.send(&flow, request, Priority::Normal).unwrap();
    let request = heard(&mut client.told).await;
    assert_eq!((request.flow, &*request.bytes), (client.flow, REQUEST));
    // The answer to it.
    heard(&mut site.told).await;

    // Neither another address nor another domain.
    assert_eq!(site.find("192.0.2.1:5061", "phone.example", None), None);
    assert_eq!(site.find("192.0.2.1:5071", "host.example", None), None);

    assert!(client.sip.close(&client.flow));
    assert!(matches!(site.told.recv().await, Some(Told::Closed(closed)) if closed == flow));
    assert_eq!(site.find("192.0.2.1:5071", "phone.example", None), None);
    assert_eq!(site.sip.aliases(), 0);
}

#[tokio::test]
async fn rfc5923_nothing_is_an_alias_without_a_certificate_or_an_offer() {
    let mut site = Site::new(SipOptions::default());
    let anonymous = site.client(None, "a.example", ALIAS).await;
    let silent = site.client(Some(&phone()), "a.example", REQUEST).await;
    assert_eq!(site.sip.aliases(), 0);
    assert_eq!(anonymous.heard.identities, None);
    assert_eq!(site.sip.identities(&anonymous.heard.flow), None);
    // Who the other is, is known all the same.
    let identities = silent.heard.identities.unwrap();
    assert_eq!(identities.domains(), ["phone.example".parse().unwrap()]);
    assert_eq!(site.sip.identities(&silent.heard.flow), Some(identities));

    // Plain TCP, whatever is written there.
    let (server, mut far) = layer();
    let (_handle, address) = serve(Tcp::bind("127.0.0.1:0"), server.streams());
    let (sip, mut told) = layer();
    let dialer = Dialer::new(sip.clone(), DialOptions::default()).unwrap();
    let flow = dialer
        .dial(&key(Transport::Tcp, address, None))
        .await
        .unwrap();
    ask((&sip, &mut told), &mut far, flow, ALIAS).await;
    assert_eq!(server.aliases(), 0);
    assert_eq!(server.stats().aliases_refused, 0);
}

/// A server that answers with requests of its own offers nothing: its connection was opened by this side.
#[tokio::test]
async fn rfc5923_only_the_side_that_has_connected_offers() {
    let mut site = Site::new(SipOptions::default());
    let mut client = site.client(Some(&phone()), "a.example", REQUEST).await;
    let offer = bytes::Bytes::from_static(ALIAS);
    site.sip
        .send(&client.heard.flow, offer, Priority::Normal)
        .unwrap();
    let request = heard(&mut client.told).await;
    let identities = request.identities.unwrap();
    assert_eq!(
        identities.domains().len(),
        2,
        "the server has shown a certificate"
    );
    assert_eq!(client.sip.aliases(), 0);
}

#[tokio::test]
async fn rfc5923_virtual_hosts_are_kept_apart() {
    let mut site = Site::new(SipOptions {
        virtual_hosts: vec!["b.example".parse().unwrap()],
        ..SipOptions::default()
    });
    let one = site.client(Some(&phone()), "a.example", ALIAS).await;
    let other = site.client(Some(&phone()), "b.example", ALIAS).await;
    let find = |local| site.find("192.0.2.1:5071", "phone.example", local);
    assert_eq!(find(None), Some(one.heard.flow));
    assert_eq!(find(Some("b.example")), Some(other.heard.flow));
    assert_eq!(find(Some("a.example")), None);
}

#[tokio::test]
async fn the_options_of_aliases_hold() {
    let star = Leaf::named("phone", &["*.phone.example"]);
    for (wildcards, found) in [(Wildcards::Refuse, false), (Wildcards::OneLabel, true)] {
        let options = SipOptions {
            wildcards,
            ..SipOptions::default()
        };
        let mut site = Site::new(options);
        let _client = site.client(Some(&star), "a.example", ALIAS).await;
        let alias = site.find("192.0.2.1:5071", "a.phone.example", None);
        assert_eq!(alias.is_some(), found, "{wildcards:?}");
    }
    let mut site = Site::new(SipOptions {
        aliases: 0,
        ..SipOptions::default()
    });
    let _client = site.client(Some(&phone()), "a.example", ALIAS).await;
    assert_eq!(site.sip.aliases(), 0);
    assert_eq!(site.sip.stats().aliases_refused, 1);
}

#[tokio::test]
async fn rfc5924_a_certificate_may_be_for_sip_alone() {
    let sip_domain = [1, 3, 6, 1, 5, 5, 7, 3, 20];
    let mut site = Site::new(SipOptions::default());
    let client = site
        .client(Some(&phone().purpose(&sip_domain)), "a.example", REQUEST)
        .await;
    let identities = client.heard.identities.unwrap();
    assert_eq!(identities.domains(), ["phone.example".parse().unwrap()]);

    for (purpose, accepted) in [
        (&sip_domain[..], true),
        // anyExtendedKeyUsage, and id-kp-emailProtection.
        (&[2, 5, 29, 37, 0], true),
        (&[1, 3, 6, 1, 5, 5, 7, 3, 4], false),
    ] {
        let ca = Authority::new("ca");
        let leaf = Leaf::named("server", &["a.example"]).purpose(purpose);
        let (server, _far) = layer();
        let (_handle, address) = serve(secure(&ca, &leaf), server.streams());
        let dialer = Dialer::new(layer().0, trusting(&ca)).unwrap();
        let dialled = dialer
            .dial(&key(Transport::Tls, address, Some("a.example")))
            .await;
        assert_eq!(dialled.is_ok(), accepted, "{purpose:?}: {dialled:?}");
    }
}

#[tokio::test]
async fn rfc5923_a_manager_sends_over_the_connection_that_its_peer_has_offered() {
    let mut site = Site::new(SipOptions::default());
    let mut client = site.client(Some(&phone()), "a.example", ALIAS).await;
    let domain = |name: &str| name.parse().unwrap();
    let ttl = Duration::from_mins(1);
    let srv = Srv {
        priority: 1,
        weight: 1,
        target: Some(domain("host.example")),
        port: 5071,
        ttl,
    };
    let host = Query::Addresses {
        name: domain("host.example"),
        ipv4: true,
        ipv6: true,
    };
    // Nobody would be reached there.
    let ip = [192, 0, 2, 1].into();
    let resolver = TableResolver::default()
        .with(
            &Query::Srv(domain("_sips._tcp.phone.example")),
            Ok(Records::Srv(vec![srv])),
        )
        .with(&host, Ok(Records::Addresses(vec![Address { ip, ttl }])));
    let manager = Manager::new(ManagerOptions::default(), resolver);
    let dialer = Dialer::new(site.sip.clone(), DialOptions::default()).unwrap();
    manager.begin(site.sip.clone(), dialer);
    let target = crate::factory::target("sips:phone.example").unwrap();
    let mut sending = manager.request(Request::to(target));
    let request = bytes::Bytes::from_static(REQUEST);
    let sent = sending.next(request).await.unwrap();
    assert_eq!(sent.flow, client.heard.flow);
    let request = heard(&mut client.told).await;
    assert_eq!(request.flow, client.flow);
    assert_eq!(manager.stats().connected, 0);
}
