use wharf_sip::Transport;

use super::site::{
    SECRET, Site, assert_status, datagram, field, fields, hear_over_tcp, host, ok, request,
    send_over_tcp, target,
};
use crate::edge::{Edge, EdgeError, EdgeOptions};

#[tokio::test]
async fn a_port_that_is_given_is_written_instead_of_the_listeners() {
    let site = Site::with(|options| {
        options.ports = [(Transport::Udp, 5099), (Transport::Ws, 443)].into();
    })
    .await;
    let mut browser = site.browser().await;
    browser
        .says(&request("INVITE", "sip:bob@example.com", ""))
        .await;
    let invite = site.upstream_gets().await;
    assert!(field(&invite, "Via").starts_with("SIP/2.0/UDP edge.example:5099;"));
    let routes = fields(&invite, "Record-Route");
    assert!(routes[0].ends_with("@edge.example:5099;lr>"));
    assert!(routes[1].ends_with("@edge.example:443;transport=ws;lr>"));
    // And is the edge's when it comes back without a token.
    let route = "Route: <sip:edge.example:443;transport=ws;lr>\r\n";
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", route))
        .await;
    assert!(fields(&site.upstream_gets().await, "Route").is_empty());
}

#[tokio::test]
async fn a_route_with_an_alias_is_the_edges() {
    let site = Site::with(|options| options.aliases = vec![host("127.0.0.1")]).await;
    let mut browser = site.browser().await;
    let port = site.address("ws").port();
    for (name, left) in [("127.0.0.1", 0), ("Edge.Example", 0), ("other.example", 1)] {
        let route = format!("Route: <sip:{name}:{port};transport=ws;lr>\r\n");
        browser
            .says(&request("MESSAGE", "sip:bob@example.com", &route))
            .await;
        let sent = site.upstream_gets().await;
        assert_eq!(fields(&sent, "Route").len(), left, "{name}");
    }
}

#[tokio::test]
async fn requests_of_the_trusted_reach_clients() {
    let site = Site::with(|options| options.trusted = vec!["127.0.0.2/32".parse().unwrap()]).await;
    let (mut browser, path) = site.registered().await;
    let trusted = site.phone().await;
    let route = format!("Route: {path}\r\n");
    trusted
        .says(&datagram("MESSAGE", "sip:x@x.invalid", &route))
        .await;
    assert!(browser.hears().await.starts_with("MESSAGE "));
}

#[tokio::test]
async fn the_trusted_may_connect_and_are_answered_there() {
    let site = Site::with(|options| options.trusted = vec!["127.0.0.2/32".parse().unwrap()]).await;
    let (mut browser, path) = site.registered().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut trusted = socket.connect(site.address("tcp")).await.unwrap();
    let lines = format!("Route: {path}\r\nContent-Length: 0\r\n");
    let message = datagram("MESSAGE", "sip:x@x.invalid", &lines).replace("/UDP", "/TCP");
    send_over_tcp(&mut trusted, &message).await;
    let heard = browser.hears().await;
    browser.says(&ok(&heard)).await;
    assert_status(&hear_over_tcp(&mut trusted).await, "200 OK");
}

#[tokio::test]
async fn k6_with_the_same_secret_tokens_outlive_the_edge() {
    let secret = |options: &mut EdgeOptions| options.secret = Some(SECRET);
    let (before, stranger) = (Site::with(secret).await, Site::new().await);
    let (_browser, path) = before.registered().await;
    for (site, status) in [
        (Site::with(secret).await, "430 Flow Failed"),
        (stranger, "403 Bad Flow Token"),
    ] {
        let token = super::site::user(&path);
        let route = format!("Route: {}\r\n", site.udp_uri(&token));
        let answer = site
            .upstream_asks(&datagram("MESSAGE", "sip:x@x.invalid", &route))
            .await;
        assert_status(&answer, status);
    }
    assert_eq!(format!("{SECRET:?}"), "EdgeSecret(..)");
}

#[test]
fn what_can_be_no_edge_is_told() {
    let edge =
        |name: &str, upstream: &str| Edge::new(EdgeOptions::new(host(name), target(upstream)));
    assert_eq!(
        edge("0.0.0.0", "sip:192.0.2.1").unwrap_err(),
        EdgeError::Unspecified
    );
    for upstream in [
        "sip:example.com",
        "sips:192.0.2.1",
        "sip:192.0.2.1;transport=tcp",
    ] {
        assert_eq!(
            edge("a.example", upstream).unwrap_err(),
            EdgeError::Unreachable
        );
    }
    let invalid = edge("a.example", "sip:x.invalid").unwrap_err();
    assert!(matches!(invalid, EdgeError::Upstream(_)));
    assert!(edge("a.example", "sip:192.0.2.1").is_ok());
    // With a manager the upstream may be anywhere.
    let options = |upstream: &str| EdgeOptions::new(host("a.example"), target(upstream));
    assert_eq!(options("sips:example.com").check(), Ok(()));
    let insecure = options("sips:example.com;transport=udp").check();
    assert!(matches!(insecure, Err(EdgeError::Upstream(_))));
    let mut named = options("sip:example.com");
    named.ports = [(Transport::Tls, 5071)].into();
    let sent_by = named.sent_by().unwrap();
    assert_eq!(sent_by[&Transport::Tls].to_string(), "a.example:5071");
}
