use super::site::{
    Site, assert_status, branch, datagram, field, fields, hear_over_tcp, ok, request, send_over_tcp,
};

#[tokio::test]
async fn k6_a_browser_registers_and_is_reached_by_its_path() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let contact = "Contact: <sip:x@df7jal23ls0d.invalid;transport=ws>;reg-id=1\r\n";
    browser
        .says(&request("REGISTER", "sip:example.com", contact))
        .await;
    let register = site.upstream_gets().await;
    let port = site.address("udp").port();
    let vias = fields(&register, "Via");
    assert!(vias[0].starts_with(&format!("SIP/2.0/UDP edge.example:{port};branch=z9hG4bK")));
    assert!(vias[0].ends_with(";rport"));
    assert!(
        vias[1].ends_with(";branch=z9hG4bK56sdasks;received=127.0.0.1"),
        "{vias:?}"
    );
    assert_eq!(field(&register, "Max-Forwards"), "69");
    assert!(
        register.contains(contact),
        "what is not the edge's business stays: {register}"
    );
    let path = field(&register, "Path");
    assert!(path.starts_with("<sip:c") && path.ends_with(&format!("@edge.example:{port};lr;ob>")));

    site.upstream_sends(&ok(&register)).await;
    let answer = browser.hears().await;
    assert_status(&answer, "200 OK");
    assert_eq!(fields(&answer, "Via"), [vias[1].clone()]);

    let target = "sip:x@df7jal23ls0d.invalid;transport=ws";
    let message = datagram("MESSAGE", target, &format!("Route: {path}\r\n"));
    site.upstream_sends(&message).await;
    let heard = browser.hears().await;
    assert!(heard.starts_with(&format!("MESSAGE {target} SIP/2.0\r\n")));
    assert!(fields(&heard, "Route").is_empty(), "{heard}");
    let ws = site.address("ws").port();
    assert!(field(&heard, "Via").starts_with(&format!("SIP/2.0/WS edge.example:{ws};")));
    browser.says(&ok(&heard)).await;
    let answer = site.upstream_gets().await;
    assert_status(&answer, "200 OK");
    assert_eq!(fields(&answer, "Via").len(), 1);
    site.counts(|stats| (stats.to_upstream, stats.to_clients, stats.responses) == (1, 1, 2))
        .await;
}

#[tokio::test]
async fn rfc5626_5_1_only_the_first_edge_says_ob() {
    let site = Site::new().await;
    let phone = site.phone().await;
    let lower = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKlow\r\n";
    phone
        .says(&datagram("REGISTER", "sip:example.com", lower))
        .await;
    let path = field(&site.upstream_gets().await, "Path");
    assert!(path.ends_with(";lr>"), "{path}");
}

#[tokio::test]
async fn rfc3261_16_11_retransmission_cancel_and_ack_have_the_branch_of_their_request() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let mut branches = Vec::new();
    for method in ["INVITE", "INVITE", "CANCEL", "ACK"] {
        browser
            .says(&request(method, "sip:bob@example.com", ""))
            .await;
        branches.push(branch(&site.upstream_gets().await));
    }
    assert!(
        branches.iter().all(|one| *one == branches[0]),
        "{branches:?}"
    );
    for other in ["z9hG4bKother", "no-cookie"] {
        let invite = request("INVITE", "sip:bob@example.com", "");
        browser
            .says(&invite.replace("z9hG4bK56sdasks", other))
            .await;
        let branch = branch(&site.upstream_gets().await);
        assert!(!branches.contains(&branch), "{branch}");
        branches.push(branch);
    }
    // Without the cookie a branch may come again: the call and the number tell requests apart.
    let second = request("INVITE", "sip:bob@example.com", "").replace("CSeq: 1 ", "CSeq: 2 ");
    browser
        .says(&second.replace("z9hG4bK56sdasks", "no-cookie"))
        .await;
    assert!(!branches.contains(&branch(&site.upstream_gets().await)));
}

#[tokio::test]
async fn a_request_without_hops_goes_no_further() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let message = request("MESSAGE", "sip:bob@example.com", "");
    for (hops, status) in [
        ("Max-Forwards: 0\r\n", "483 Too Many Hops"),
        ("Max-Forwards: x\r\n", "400 Bad Max-Forwards"),
    ] {
        browser
            .says(&message.replace("Max-Forwards: 70\r\n", hops))
            .await;
        let answer = browser.hears().await;
        assert_status(&answer, status);
        assert!(field(&answer, "Via").ends_with(";received=127.0.0.1"));
    }
    browser
        .says(&message.replace("Max-Forwards: 70\r\n", ""))
        .await;
    assert_eq!(field(&site.upstream_gets().await, "Max-Forwards"), "70");
    site.counts(|stats| (stats.refused, stats.to_upstream) == (2, 1))
        .await;
}

#[tokio::test]
async fn a_request_that_comes_back_at_once_ends() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("MESSAGE", "sip:bob@example.com", ""))
        .await;
    let message = site.upstream_gets().await;
    // Back from the upstream's address: as if the edge were its own upstream.
    assert_status(&site.upstream_asks(&message).await, "482 Loop Detected");
}

#[tokio::test]
async fn rfc3261_16_3_what_is_demanded_of_proxies_is_refused() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let demands = "Proxy-Require: foo,\r\n bar\r\nProxy-Require: baz\r\n";
    browser
        .says(&request("INVITE", "sip:bob@example.com", demands))
        .await;
    let answer = browser.hears().await;
    assert_status(&answer, "420 Bad Extension");
    assert_eq!(field(&answer, "Unsupported"), "foo, bar,baz");
    for (method, demands) in [("CANCEL", demands), ("OPTIONS", "Proxy-Require: \r\n")] {
        browser
            .says(&request(method, "sip:bob@example.com", demands))
            .await;
        assert!(site.upstream_gets().await.starts_with(method));
    }
}

#[tokio::test]
async fn options_to_the_edge_itself_are_answered() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let (ws, udp) = (site.address("ws").port(), site.address("udp").port());
    browser
        .says(&request("OPTIONS", &format!("sip:edge.example:{ws}"), ""))
        .await;
    assert_status(&browser.hears().await, "200 OK");
    let asked = datagram("OPTIONS", &format!("sip:edge.example:{udp}"), "");
    assert_status(&site.upstream_asks(&asked).await, "200 OK");
    assert_eq!(site.edge.stats().answered, 2);
    // Neither to a user there nor to another host.
    for target in [
        format!("sip:bob@edge.example:{ws}"),
        "sip:example.com".into(),
    ] {
        browser.says(&request("OPTIONS", &target, "")).await;
        assert!(
            site.upstream_gets()
                .await
                .starts_with(&format!("OPTIONS {target} "))
        );
    }
}

#[tokio::test]
async fn a_target_of_any_scheme_goes_to_the_upstream() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser.says(&request("INVITE", "tel:+1234", "")).await;
    assert!(
        site.upstream_gets()
            .await
            .starts_with("INVITE tel:+1234 SIP/2.0\r\n")
    );
    browser
        .says(&request("INVITE", "sip:x", "Route: <sip:a\r\n"))
        .await;
    assert_status(&browser.hears().await, "400 Bad Route");
}

#[tokio::test]
async fn a_sips_target_does_not_go_on_in_the_clear() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("INVITE", "sips:bob@example.com", ""))
        .await;
    assert_status(&browser.hears().await, "480 SIPS Not Allowed");
}

#[tokio::test]
async fn what_no_datagram_takes_is_refused() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let message = request("MESSAGE", "sip:bob@example.com", "") + &"x".repeat(65_507);
    browser.says(&message).await;
    assert_status(&browser.hears().await, "513 Message Too Large");
}

#[tokio::test]
async fn an_ack_of_the_edges_own_answer_goes_nowhere() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    let invite =
        request("INVITE", "sip:bob@example.com", "").replace("Forwards: 70", "Forwards: 0");
    browser.says(&invite).await;
    let to = field(&browser.hears().await, "To");
    let ack = request("ACK", "sip:bob@example.com", "");
    browser
        .says(&ack.replace("<sip:bob@example.com>", &to))
        .await;
    browser
        .says(&request("BYE", "sip:bob@example.com", ""))
        .await;
    assert!(site.upstream_gets().await.starts_with("BYE "));
}

#[tokio::test]
async fn f1_what_goes_over_a_stream_has_a_content_length() {
    let site = Site::new().await;
    let mut phone = site.tcp().await;
    let via = "SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKtcp";
    let message = request("REGISTER", "sip:example.com", "Content-Length: 0\r\n").replace(
        "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks",
        via,
    );
    send_over_tcp(&mut phone, &message).await;
    let register = site.upstream_gets().await;
    let path = field(&register, "Path");
    site.upstream_sends(&ok(&register)).await;
    assert_eq!(
        field(&hear_over_tcp(&mut phone).await, "Content-Length"),
        "0"
    );
    let message = datagram("MESSAGE", "sip:x@192.0.2.1", &format!("Route: {path}\r\n"));
    site.upstream_sends(&message).await;
    assert_eq!(
        field(&hear_over_tcp(&mut phone).await, "Content-Length"),
        "0"
    );
}
