use super::site::{Site, assert_status, datagram, field, fields, ok, request, user};

/// A call of a browser, and the route set that its far end has got with it.
#[tokio::test]
async fn rfc5658_both_ends_of_a_dialog_come_back_through_the_edge() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("INVITE", "sip:bob@example.com", ""))
        .await;
    let invite = site.upstream_gets().await;
    let routes = fields(&invite, "Record-Route");
    let (ws, udp) = (site.address("ws").port(), site.address("udp").port());
    assert!(
        routes[0].ends_with(&format!("@edge.example:{udp};lr>")),
        "{routes:?}"
    );
    assert!(
        routes[1].ends_with(&format!("@edge.example:{ws};transport=ws;lr>")),
        "{routes:?}"
    );
    site.upstream_sends(&ok(&invite)).await;
    let answer = browser.hears().await;
    assert_eq!(fields(&answer, "Record-Route"), routes);

    // Who was called hangs up: the routes as they stand (RFC 3261 §12.1.1).
    let set = format!("Route: {}\r\nRoute: {}\r\n", routes[0], routes[1]);
    site.upstream_sends(&datagram("BYE", "sip:alice@x.invalid", &set))
        .await;
    let bye = browser.hears().await;
    assert!(bye.starts_with("BYE sip:alice@x.invalid ") && fields(&bye, "Route").is_empty());
    assert!(fields(&bye, "Record-Route").is_empty());
    browser.says(&ok(&bye)).await;
    assert_status(&site.upstream_gets().await, "200 OK");

    // Who has called does: in reverse order (§12.1.2), with those of others below.
    let set = format!(
        "Route: {}, {},<sip:proxy.example;lr>\r\n",
        routes[1], routes[0]
    );
    browser
        .says(&request("BYE", "sip:bob@192.0.2.7", &set))
        .await;
    let bye = site.upstream_gets().await;
    assert_eq!(fields(&bye, "Route"), ["<sip:proxy.example;lr>"]);
}

#[tokio::test]
async fn a_dialog_that_the_upstream_begins_comes_back_too() {
    let site = Site::new().await;
    let (mut browser, path) = site.registered().await;
    site.upstream_sends(&datagram(
        "INVITE",
        "sip:x@x.invalid",
        &format!("Route: {path}\r\n"),
    ))
    .await;
    let routes = fields(&browser.hears().await, "Record-Route");
    assert!(routes[0].contains(";transport=ws"), "{routes:?}");
    let set = format!("Route: {}\r\nRoute: {}\r\n", routes[0], routes[1]);
    browser
        .says(&request("BYE", "sip:bob@192.0.2.7", &set))
        .await;
    let bye = site.upstream_gets().await;
    assert!(bye.starts_with("BYE sip:bob@192.0.2.7 ") && fields(&bye, "Route").is_empty());
}

#[tokio::test]
async fn only_what_may_form_a_dialog_is_recorded() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    for (method, routes) in [
        ("INVITE", 2),
        ("SUBSCRIBE", 2),
        ("NOTIFY", 2),
        ("REFER", 2),
        ("MESSAGE", 0),
        ("OPTIONS", 0),
        ("BYE", 0),
        ("REGISTER", 0),
    ] {
        browser
            .says(&request(method, "sip:bob@example.com", ""))
            .await;
        let sent = site.upstream_gets().await;
        assert_eq!(fields(&sent, "Record-Route").len(), routes, "{method}");
        assert_eq!(
            fields(&sent, "Path").len(),
            usize::from(method == "REGISTER"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_dialog_stays_with_the_server_that_it_is_with() {
    let site = Site::with(|options| options.trusted = vec!["127.0.0.3/32".parse().unwrap()]).await;
    let (mut browser, path) = site.registered().await;
    let second = tokio::net::UdpSocket::bind("127.0.0.3:0").await.unwrap();
    second.connect(site.address("udp")).await.unwrap();
    let second = super::site::Phone(second);
    second
        .says(&datagram(
            "INVITE",
            "sip:x@x.invalid",
            &format!("Route: {path}\r\n"),
        ))
        .await;
    let invite = browser.hears().await;
    browser.says(&ok(&invite)).await;
    assert_status(&second.hears().await, "200 OK");
    let set = format!("Route: {}\r\n", fields(&invite, "Record-Route").join(","));
    browser
        .says(&request("BYE", "sip:bob@192.0.2.7", &set))
        .await;
    assert!(second.hears().await.starts_with("BYE "));
}

#[tokio::test]
async fn rfc5626_5_3_1_the_token_of_the_flow_itself_leads_the_other_way() {
    let site = Site::new().await;
    let (mut browser, path) = site.registered().await;
    let route = format!("Route: {}\r\n", site.udp_uri(&user(&path)));
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", &route))
        .await;
    let message = site.upstream_gets().await;
    assert!(message.starts_with("MESSAGE ") && fields(&message, "Route").is_empty());
    assert_eq!(field(&message, "Max-Forwards"), "69");
}
