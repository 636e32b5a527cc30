use super::site::{Site, assert_status, datagram, field, fields, ok, request};

#[tokio::test]
async fn c8_a_response_that_the_edge_did_not_ask_for_is_dropped() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let good = ok(&site.upstream_gets().await);
    let via = field(&good, "Via");
    let own = format!("Via: {via}\r\n");
    let cases = [
        // RFC 4475 §3.3.10 (bcast).
        good.replace("edge.example", "255.255.255.255"),
        good.replace("branch=z9hG4bK", "branch=z9hG4bKx"),
        good.replacen(&own, "", 1),
        format!("SIP/2.0 200 OK\r\n{own}To: <sip:x>\r\n\r\n"),
        "SIP/2.0 200 OK\r\nTo: <sip:x>\r\n\r\n".to_owned(),
    ];
    for (at, stray) in (1_u64..).zip(&cases) {
        site.upstream_sends(stray).await;
        site.counts(|stats| stats.strays == at).await;
    }
    site.upstream_sends(&good).await;
    assert_status(&browser.hears().await, "200 OK");
    site.counts(|stats| stats.responses == 1).await;
}

#[tokio::test]
async fn a_client_does_not_answer_for_the_upstream() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let good = ok(&site.upstream_gets().await);
    let stranger = site.phone().await;
    stranger.says(&good).await;
    site.counts(|stats| stats.strays == 1).await;
    let mut other = site.browser().await;
    other.says(&good).await;
    site.counts(|stats| stats.strays == 2).await;
    assert_eq!(site.edge.stats().responses, 0);
}

#[tokio::test]
async fn a_response_to_one_that_has_left_is_counted() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let good = ok(&site.upstream_gets().await);
    browser.leaves().await;
    site.all_have_left().await;
    site.upstream_sends(&good).await;
    site.counts(|stats| stats.gone == 1).await;
}

#[tokio::test]
async fn s9_a_response_goes_to_the_source_where_rport_asks_for_it_and_else_to_sent_by() {
    let site = Site::new().await;
    let phone = site.phone().await;
    let listening = site.phone().await;
    let port = listening.0.local_addr().unwrap().port();
    let asking =
        datagram("MESSAGE", "sip:bob@example.com", "").replace(":9;", &format!(":{port};"));
    phone.says(&asking).await;
    site.upstream_sends(&ok(&site.upstream_gets().await)).await;
    assert!(field(&phone.hears().await, "Via").contains(";rport="));
    phone.says(&asking.replace(";rport", "")).await;
    site.upstream_sends(&ok(&site.upstream_gets().await)).await;
    assert_status(&listening.hears().await, "200 OK");
}

/// Who changes the lower Vias does not have the edge send somewhere else.
#[tokio::test]
async fn s4_a_response_goes_to_nobody_but_who_asked() {
    let site = Site::new().await;
    let (phone, bystander) = (site.phone().await, site.phone().await);
    phone
        .says(&datagram("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let good = ok(&site.upstream_gets().await);
    let below = fields(&good, "Via")[1].clone();
    for other in [
        "SIP/2.0/UDP 127.0.0.3:9;branch=z9hG4bKup".to_owned(),
        format!("{below};maddr=127.0.0.3"),
        format!(
            "{};received=127.0.0.3;rport=9",
            below.split(';').next().unwrap()
        ),
    ] {
        site.upstream_sends(&good.replace(&below, &other)).await;
        assert_eq!(field(&phone.hears().await, "Via"), other);
    }
    assert!(bystander.0.try_recv(&mut [0; 100]).is_err());
}
