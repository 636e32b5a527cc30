//! An edge is an open relay to nobody.

use super::site::{Site, assert_status, datagram, fields, request, user};

#[tokio::test]
async fn what_a_client_sends_reaches_the_upstream_or_nothing() {
    let site = Site::new().await;
    let bystander = site.phone().await;
    let elsewhere = bystander.0.local_addr().unwrap();
    let mut browser = site.browser().await;
    let route = format!("Route: <sip:{elsewhere};lr>\r\n");
    browser
        .says(&request("MESSAGE", &format!("sip:x@{elsewhere}"), &route))
        .await;
    let message = site.upstream_gets().await;
    assert_eq!(
        fields(&message, "Route").len(),
        1,
        "that is the upstream's business: {message}"
    );
    assert!(bystander.0.try_recv(&mut [0; 100]).is_err());
}

#[tokio::test]
async fn a_client_does_not_reach_another_by_its_token() {
    let site = Site::new().await;
    let (_victim, path) = site.registered().await;
    let mut browser = site.browser().await;
    let route = format!("Route: {path}\r\n");
    browser
        .says(&request("MESSAGE", "sip:x@x.invalid", &route))
        .await;
    assert_status(&browser.hears().await, "403 Not Your Flow");
    // Nor does somebody who speaks UDP, as the upstream does.
    let stranger = site.phone().await;
    stranger
        .says(&datagram("MESSAGE", "sip:x@x.invalid", &route))
        .await;
    assert_status(&stranger.hears().await, "403 Not Your Flow");
    assert_eq!(
        (site.edge.stats().refused, site.edge.stats().to_clients),
        (2, 0)
    );
}

#[tokio::test]
async fn k6_the_upstream_reaches_clients_by_tokens_of_the_edge_alone() {
    let site = Site::new().await;
    let (browser, path) = site.registered().await;
    let token = user(&path);
    let as_upstream = token.replacen('c', "u", 1);
    let cut = &token[..token.len() - 2];
    let plain = site.udp_uri("alice").replace("alice@", "");
    for (route, status) in [
        (String::new(), "403 No Flow Token"),
        (plain, "403 No Flow Token"),
        (site.udp_uri("alice"), "403 Bad Flow Token"),
        (site.udp_uri(&as_upstream), "403 Bad Flow Token"),
        (site.udp_uri(cut), "403 Bad Flow Token"),
        ("<sip:edge.example:9;lr>".into(), "403 No Flow Token"),
    ] {
        let lines = if route.is_empty() {
            route
        } else {
            format!("Route: {route}\r\n")
        };
        let answer = site
            .upstream_asks(&datagram("MESSAGE", "sip:x@x.invalid", &lines))
            .await;
        assert_status(&answer, status);
    }
    browser.leaves().await;
    let gone = datagram("MESSAGE", "sip:x@x.invalid", &format!("Route: {path}\r\n"));
    site.all_have_left().await;
    assert_status(&site.upstream_asks(&gone).await, "430 Flow Failed");
}

#[tokio::test]
async fn a_token_of_the_upstream_leads_it_nowhere() {
    let site = Site::new().await;
    let mut browser = site.browser().await;
    browser
        .says(&request("INVITE", "sip:bob@example.com", ""))
        .await;
    let routes = fields(&site.upstream_gets().await, "Record-Route");
    let route = format!("Route: {}\r\n", routes[1]);
    let answer = site
        .upstream_asks(&datagram("MESSAGE", "sip:x@x.invalid", &route))
        .await;
    assert_status(&answer, "403 No Flow Token");
}

/// A message with something cut, doubled, or made up.
fn mangled(message: &str, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = message.as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        let to = random.usize(at..bytes.len());
        match random.u8(..5) {
            0 => bytes[at] = random.u8(..),
            1 => drop(bytes.drain(at..to.min(at + 20))),
            2 => {
                let part = bytes[at..to].to_vec();
                bytes.splice(at..at, part);
            }
            3 => drop(bytes.splice(at..at, *b"\r\n")),
            _ => bytes.swap(at, to),
        }
    }
    bytes
}

#[tokio::test]
async fn whatever_a_stranger_sends_no_client_hears_it() {
    let site = Site::new().await;
    let (mut victim, path) = site.registered().await;
    victim
        .says(&request("INVITE", "sip:bob@example.com", ""))
        .await;
    let invite = site.upstream_gets().await;
    let routes = fields(&invite, "Record-Route").join(",");
    let route = format!("Route: {path}\r\n");
    let whole = format!("Route: {routes}\r\nRoute: {path}\r\n");
    let seeds = [
        datagram("MESSAGE", "sip:x@x.invalid", &route),
        datagram("INVITE", "sip:x@x.invalid", &whole),
        datagram("BYE", "sip:x@x.invalid", ""),
        super::site::ok(&invite),
        invite,
    ];
    let stranger = site.phone().await;
    let mut random = fastrand::Rng::with_seed(7);
    let before = site.delivered();
    for turn in 1..=3_000 {
        let mangled = mangled(&seeds[turn % seeds.len()], &mut random);
        stranger.0.send(&mangled).await.unwrap();
        // No more on the way than a socket holds.
        if turn % 20 == 0 {
            site.takes(before + turn as u64).await;
        }
    }
    // The first thing that the victim hears is from the upstream.
    let known = datagram("MESSAGE", "sip:known@x.invalid", &route);
    site.upstream_sends(&known).await;
    assert!(
        victim
            .hears()
            .await
            .starts_with("MESSAGE sip:known@x.invalid ")
    );
    site.counts(|stats| stats.to_clients == 1 && stats.refused > 0 && stats.strays > 0)
        .await;
    assert_eq!(site.panics(), 0);
}
