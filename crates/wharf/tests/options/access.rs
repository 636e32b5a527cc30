//! `access`: ordered rules on sources.

use wharf::config::{ProxyMode, Rule};
use wharf::{ChangeError, Refusal};

use tokio::io::AsyncWriteExt;

use super::{Answer, IT, arrive, connect, knock, refused, tcp};

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| rule(text)).collect()
}

#[tokio::test(start_paused = true)]
async fn access() {
    // The first that matches decides.
    let (handle, connector) = tcp(|it| {
        it.access = rules(&["deny 192.0.2.7", "allow 192.0.2.0/24", "deny all"]);
    });
    let answer = async |from: &str| arrive(&connector, from).await.0;
    assert_eq!(answer("192.0.2.1").await, Answer::Served);
    assert_eq!(answer("192.0.2.7").await, Answer::Closed);
    assert_eq!(answer("2001:db8::1").await, Answer::Closed);
    // An IPv4 source that comes by IPv6 is the same source.
    assert_eq!(answer("::ffff:192.0.2.7").await, Answer::Closed);
    assert_eq!(answer("::ffff:192.0.2.1").await, Answer::Served);
    assert_eq!(refused(&handle, Refusal::Access), 3);
    // None means allow.
    handle.set_access(IT, Vec::new()).unwrap();
    assert_eq!(answer("192.0.2.7").await, Answer::Served);
    // Who is there stays.
    let (served, mut there) = arrive(&connector, "192.0.2.1").await;
    assert_eq!(served, Answer::Served);
    handle.set_access(IT, rules(&["deny all"])).unwrap();
    assert_eq!(answer("192.0.2.1").await, Answer::Closed);
    assert_eq!(knock(&mut there).await, Answer::Served);
}

#[tokio::test(start_paused = true)]
async fn rules_are_put_before_others_and_taken_away() {
    let (handle, connector) = tcp(|it| it.access = rules(&["deny all"]));
    let answer = async |from: &str| arrive(&connector, from).await.0;
    assert_eq!(answer("192.0.2.1").await, Answer::Closed);
    handle.prepend_access(IT, rule("allow 192.0.2.1")).unwrap();
    assert_eq!(answer("192.0.2.1").await, Answer::Served);
    assert_eq!(answer("192.0.2.2").await, Answer::Closed);
    // A duplicate is an error, and changes nothing.
    let before = handle.inspect(IT).unwrap().config.access;
    let error = handle.prepend_access(IT, rule("deny all")).unwrap_err();
    assert!(matches!(error, ChangeError::Configuration(_)), "{error}");
    assert!(error.to_string().contains("access"), "{error}");
    assert_eq!(handle.inspect(IT).unwrap().config.access, before);
    handle.remove_access(IT, &rule("deny all")).unwrap();
    assert_eq!(answer("192.0.2.2").await, Answer::Served);
    let error = handle.remove_access(IT, &rule("deny all")).unwrap_err();
    assert!(error.to_string().contains("deny all"), "{error}");
    handle.remove_access(IT, &rule("allow 192.0.2.1")).unwrap();
    assert_eq!(handle.inspect(IT).unwrap().config.access, []);
    let unknown = handle.prepend_access("nobody", rule("deny all"));
    assert!(matches!(unknown.unwrap_err(), ChangeError::Unknown(_)));
}

#[tokio::test(start_paused = true)]
async fn the_client_behind_a_proxy_is_judged_too() {
    let (handle, connector) = tcp(|it| {
        it.proxy.mode = ProxyMode::Required;
        it.proxy.trusted = vec!["192.0.2.0/24".parse().unwrap()];
        it.access = rules(&["deny 198.51.100.7"]);
    });
    let mut answers = Vec::new();
    for client in ["198.51.100.1", "198.51.100.7"] {
        let mut stream = connect(&connector, "192.0.2.1").await;
        let header = format!("PROXY TCP4 {client} 203.0.113.1 1 2\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        answers.push(knock(&mut stream).await);
    }
    assert_eq!(answers, [Answer::Served, Answer::Closed]);
    assert_eq!(refused(&handle, Refusal::ProxiedAccess), 1);
}
