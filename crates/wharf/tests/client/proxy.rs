//! The PROXY header that a client sends is what the server reads.

use wharf::client::{ProxiedClient, SendProxy};
use wharf::config::ProxyMode;
use wharf::proxy::{Addresses, Command, RawTlv, Tlv, Version};
use wharf::{Client, ConnectError, Connection, Filter, Refusal, Stream, Tcp, Tls};

use crate::support::{ask, certificate, serve, trusting};

/// Connects with the header, and returns both ends.
async fn through(proxy: SendProxy) -> (Connection, Stream) {
    let handle = serve(Tcp::bind("127.0.0.1:0").proxy(ProxyMode::Required, ["127.0.0.0/8"]));
    let client = Client::builder().proxy(proxy).build().unwrap();
    let url = format!("tcp://{}", handle.address("it").unwrap());
    let mut stream = client.connect(&url).await.unwrap();
    ask(&mut stream).await;
    (handle.connections(&Filter::default()).remove(0), stream)
}

#[tokio::test]
async fn the_own_ends_are_told() {
    for version in [Version::V1, Version::V2] {
        let (seen, stream) = through(SendProxy::new(version)).await;
        let header = &seen.proxied().unwrap().header;
        assert_eq!((header.version, header.command), (version, Command::Proxy));
        assert_eq!(seen.peer(), *stream.connection().socket_local());
        assert_eq!(seen.path().local, *stream.connection().socket_peer());
    }
}

#[tokio::test]
async fn a_given_client_is_told_with_what_is_known_of_it() {
    let source = "192.0.2.1:1000".parse().unwrap();
    let destination = "192.0.2.9:443".parse().unwrap();
    let tlvs = vec![
        Tlv::Authority("example.org".into()),
        Tlv::Raw(RawTlv {
            kind: 0xe0,
            value: vec![1, 2],
        }),
    ];
    let (seen, _stream) = through(SendProxy {
        version: Version::V2,
        of: ProxiedClient::Other(Addresses::Ip {
            source,
            destination,
        }),
        tlvs: tlvs.clone(),
        crc32c: true,
    })
    .await;
    assert_eq!(
        (seen.peer().ip(), seen.path().local.ip()),
        (Some(source), Some(destination))
    );
    assert_eq!(seen.proxied().unwrap().header.tlvs, tlvs);
}

#[tokio::test]
async fn a_health_check_is_on_nobodys_behalf() {
    let (seen, stream) = through(SendProxy {
        of: ProxiedClient::Nobody,
        ..SendProxy::new(Version::V2)
    })
    .await;
    assert_eq!(seen.proxied().unwrap().header.command, Command::Local);
    assert_eq!(seen.peer(), *stream.connection().socket_local());
}

#[tokio::test]
async fn the_header_goes_before_tls() {
    let (pem, key) = certificate();
    let listen = Tls::bind("127.0.0.1:0").cert(&*pem, &*key);
    let handle = serve(listen.proxy(ProxyMode::Required, ["127.0.0.0/8"]));
    let url = format!("tls://{}", handle.address("it").unwrap());
    let client = trusting(&pem)
        .proxy(SendProxy::new(Version::V2))
        .build()
        .unwrap();
    ask(&mut client.connect(&url).await.unwrap()).await;
    // Without it the server refuses.
    let client = trusting(&pem).build().unwrap();
    let error = client.connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    assert_eq!(handle.stats()[0].1.refused(Refusal::ProxyMissing), 1);
}

#[test]
fn what_a_header_cannot_say_is_told() {
    let mut proxy = SendProxy::new(Version::V1);
    proxy.tlvs = vec![Tlv::Authority("h".into())];
    proxy.crc32c = true;
    let problems = Client::builder().proxy(proxy).build().unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
}
