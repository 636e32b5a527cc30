//! `proxy.*`: whether a header is read, and from whom.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{ProxyMode, ProxyOptions};
use wharf::testkit::{Connector, MemoryStream};
use wharf::{Handle, Refusal};

use super::{IT, connect, refused, settle, tcp};

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.7 1234 443\r\n";

/// What the sources of these tests are trusted by.
const TRUSTED: &str = "192.0.2.0/24";

fn proxy(mode: ProxyMode) -> ProxyOptions {
    ProxyOptions {
        mode,
        trusted: match mode {
            ProxyMode::Off => Vec::new(),
            _ => vec![TRUSTED.parse().unwrap()],
        },
    }
}

/// Sends a header and a word, ends, and says what has come back of it.
async fn say(connector: &Connector, from: &str, header: &[u8]) -> String {
    let mut client: MemoryStream = connect(connector, from).await;
    let mut said = header.to_vec();
    said.extend(b"word");
    // Who was turned away already cannot send.
    let _ = client.write_all(&said).await;
    let _ = client.shutdown().await;
    let mut back = String::new();
    let _ = client.read_to_string(&mut back).await;
    settle().await;
    back
}

fn set(handle: &Handle, options: ProxyOptions) {
    handle.change(IT, |config| config.proxy = options).unwrap();
}

#[tokio::test(start_paused = true)]
async fn mode() {
    let (handle, connector) = tcp(|_| ());
    let whole = String::from_utf8([V1, b"word"].concat()).unwrap();
    assert_eq!(say(&connector, "192.0.2.1", V1).await, whole);

    set(&handle, proxy(ProxyMode::Optional));
    assert_eq!(say(&connector, "192.0.2.1", V1).await, "word");
    assert_eq!(say(&connector, "192.0.2.1", b"").await, "word");

    set(&handle, proxy(ProxyMode::Required));
    assert_eq!(say(&connector, "192.0.2.1", V1).await, "word");
    assert_eq!(say(&connector, "192.0.2.1", b"").await, "");
    assert_eq!(refused(&handle, Refusal::ProxyMissing), 1);

    set(&handle, proxy(ProxyMode::Off));
    assert_eq!(say(&connector, "192.0.2.1", V1).await, whole);
}

#[tokio::test(start_paused = true)]
async fn trusted() {
    let (handle, connector) = tcp(|config| config.proxy = proxy(ProxyMode::Optional));
    let whole = String::from_utf8([V1, b"word"].concat()).unwrap();
    assert_eq!(say(&connector, "192.0.2.1", V1).await, "word");
    // Of a stranger it is payload, and never believed.
    assert_eq!(say(&connector, "198.51.100.1", V1).await, whole);

    set(&handle, proxy(ProxyMode::Required));
    assert_eq!(say(&connector, "198.51.100.1", V1).await, "");
    assert_eq!(refused(&handle, Refusal::ProxyUntrusted), 1);

    set(
        &handle,
        ProxyOptions {
            mode: ProxyMode::Required,
            trusted: vec!["198.51.100.0/24".parse().unwrap()],
        },
    );
    assert_eq!(say(&connector, "198.51.100.1", V1).await, "word");
    assert_eq!(say(&connector, "192.0.2.1", V1).await, "");
    assert_eq!(refused(&handle, Refusal::ProxyUntrusted), 2);
}
